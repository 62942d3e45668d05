//! A tree of Python values as a state: dicts, lists, tuples, numbers, texts, bytes and arrays.
//!
//! First the tree is walked, which calls Python; then the arrays are copied, which does not. Nothing that Python does
//! afterwards changes the state that comes out: only what cannot change is not copied.

use crate::addresses::ByAddress;
use crate::arrays::{Array, class_of};
use crate::errors::StateError;
use crate::memory::Source;
use crate::values;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString,
    PyTuple,
};
use qstore_checkpoint::DEPTH_MAX;
use qstore_schema::{BigInt, Dtype, Key, SmolStr, State, StateDict, Tensor, Value};
use qstore_zarr::{ArenaError, StagingArena};

/// What a node of a tree becomes.
type Walk<T> = fn(&mut Walked, &Bound<'_, PyAny>) -> PyResult<T>;

/// A walked tree, whose arrays are not copied yet.
enum Node {
    Plain(State),
    /// The array with this number.
    Array(usize),
    /// Bytes, which are copied as an array.
    Bytes(usize),
    List(Vec<Node>),
    Tuple(Vec<Node>),
    Dict(Vec<(Key, Node)>),
}

/// Trees that have been walked, with the arrays in them.
#[derive(Default)]
pub(crate) struct Walked {
    arrays: Vec<Array>,
    /// The first array at each address.
    at: ByAddress<usize>,
    trees: Vec<(SmolStr, Node)>,
    /// The keys down to the current node, for messages.
    path: Vec<Key>,
}

/// Copies of the arrays, in their order.
pub(crate) struct Copied {
    tensors: Vec<Tensor>,
}

impl Walked {
    /// Walks the tree of a part.
    ///
    /// # Errors
    /// `StateError`, which names the place, for what cannot be saved.
    pub(crate) fn part(&mut self, name: &str, tree: &Bound<'_, PyAny>) -> PyResult<()> {
        self.path = vec![Key::Name(name.into())];
        let node = self.node(tree)?;
        self.trees.push((name.into(), node));
        Ok(())
    }

    /// The bytes of all arrays.
    pub(crate) fn bytes(&self) -> u64 {
        self.arrays.iter().map(Array::len).sum()
    }

    /// The bytes of each array.
    pub(crate) fn lens(&self) -> Vec<usize> {
        self.arrays.iter().map(|array| array.len() as usize).collect()
    }

    /// Copies all arrays into the arena, without the GIL.
    ///
    /// # Errors
    /// If the arena has no room.
    pub(crate) fn copy(&self, py: Python<'_>, arena: &StagingArena) -> Result<Copied, ArenaError> {
        let sources: Vec<_> = self
            .arrays
            .iter()
            .map(|array| (array.dtype, array.shape.clone(), array.source()))
            .collect();
        let tensors = py.detach(|| {
            let copy = |(dtype, shape, source): (Dtype, Vec<usize>, Source<'_>)| {
                arena.fill(dtype, shape, |block| source.copy_to(block))
            };
            sources.into_iter().map(copy).collect::<Result<Vec<_>, _>>()
        });
        Ok(Copied { tensors: tensors? })
    }

    /// The states, with the copies of their arrays.
    pub(crate) fn states(self, copied: &Copied) -> Vec<(SmolStr, StateDict)> {
        let trees = self.trees.into_iter();
        let states = trees.map(|(name, node)| match node.state(&copied.tensors) {
            State::Dict(dict) if !is_wrapper(&dict) => (name, dict),
            other => (name, StateDict::from_iter([(Key::Name(TREE.into()), other)])),
        });
        states.collect()
    }

    fn node(&mut self, object: &Bound<'_, PyAny>) -> PyResult<Node> {
        if let Ok(float) = object.cast::<PyFloat>() {
            return Ok(Node::Plain(State::Float(float.value())));
        }
        if let Ok(text) = object.cast::<PyString>() {
            let text = text.to_cow().map_err(|error| self.refused_by(object, &error))?;
            return Ok(Node::Plain(State::from(&*text)));
        }
        if let Some(state) = number(object)? {
            return Ok(Node::Plain(state));
        }
        if let Ok(dict) = object.cast::<PyDict>() {
            // A list of its own: a method that is called on the way may change the dict.
            return self.entries(dict.items().iter(), Self::node).map(Node::Dict);
        }
        if let Ok(list) = object.cast::<PyList>() {
            return self.elements(list.iter(), Self::node).map(Node::List);
        }
        if let Ok(tuple) = object.cast::<PyTuple>() {
            return self.elements(tuple.iter(), Self::node).map(Node::Tuple);
        }
        let is_bytes = object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>();
        let array = Array::of(object).map_err(|error| self.refused_by(object, &error))?;
        if let Some(array) = array {
            let array =
                match array.shared(object).map_err(|error| self.refused_by(object, &error))? {
                    Ok(shared) if is_bytes => {
                        return Ok(Node::Plain(State::Bytes(shared.data().clone())));
                    }
                    Ok(shared) => return Ok(Node::Plain(State::Tensor(shared))),
                    Err(array) => array,
                };
            let number = self.number_of(array);
            return Ok(if is_bytes { Node::Bytes(number) } else { Node::Array(number) });
        }
        if let Ok(mapping) = object.cast::<PyMapping>() {
            return self.entries(mapping.items()?.iter(), Self::node).map(Node::Dict);
        }
        Err(self.refused(
            object,
            if object.hasattr("state_dict").unwrap_or(false) {
                "pass its `state_dict()`"
            } else {
                "a state has dicts, lists, tuples, numbers, texts, bytes, None and arrays"
            },
        ))
    }

    /// The number of an array. One that is in the state already, as tied weights are, is copied once.
    fn number_of(&mut self, array: Array) -> usize {
        let next = self.arrays.len();
        let first = *self.at.entry(array.address()).or_insert(next);
        if first < next && self.arrays[first].is_same(&array) {
            return first;
        }
        self.arrays.push(array);
        next
    }

    /// Walks the elements of a list or a tuple.
    fn elements<'py, T>(
        &mut self,
        nodes: impl Iterator<Item = Bound<'py, PyAny>>,
        walk: Walk<T>,
    ) -> PyResult<Vec<T>> {
        let below = |(number, node): (usize, _)| self.below(Key::Int(number as i64), &node, walk);
        nodes.enumerate().map(below).collect()
    }

    /// Walks the items of a dict.
    fn entries<'py, T>(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        walk: Walk<T>,
    ) -> PyResult<Vec<(Key, T)>> {
        let mut walked = Vec::with_capacity(items.size_hint().0);
        for item in items {
            let (key, node): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            let key = self.key(&key)?;
            let node = self.below(key.clone(), &node, walk)?;
            walked.push((key, node));
        }
        Ok(walked)
    }

    fn below<T>(&mut self, key: Key, node: &Bound<'_, PyAny>, walk: Walk<T>) -> PyResult<T> {
        self.path.push(key);
        if self.path.len() > DEPTH_MAX {
            let text = format!("it is nested more than {DEPTH_MAX} levels deep; flatten the state");
            return Err(self.refused(node, &text));
        }
        let walked = walk(self, node)?;
        self.path.pop();
        Ok(walked)
    }

    fn key(&self, key: &Bound<'_, PyAny>) -> PyResult<Key> {
        if let Ok(text) = key.cast::<PyString>() {
            let text = text.to_cow().map_err(|error| self.refused_by(key, &error))?;
            return Ok(Key::Name((&*text).into()));
        }
        if !key.is_instance_of::<PyBool>()
            && let Ok(number) = key.cast::<PyInt>()
            && let Ok(number) = number.extract::<i64>()
        {
            return Ok(Key::Int(number));
        }
        Err(self.refused(key, "a key of a dict is a text or an integer of at most 64 bits"))
    }

    fn refused(&self, object: &Bound<'_, PyAny>, reason: &str) -> PyErr {
        let at: Vec<_> = self.path.iter().map(Key::to_string).collect();
        let at = at.join(".");
        let found = class_of(object);
        let text = format!("`{at}` has a value of type {found} that cannot be saved: {reason}");
        StateError::new_err((text, at))
    }

    /// For what a library raised; an interrupt is passed on.
    fn refused_by(&self, object: &Bound<'_, PyAny>, error: &PyErr) -> PyErr {
        let py = object.py();
        if !error.is_instance_of::<pyo3::exceptions::PyException>(py) {
            return error.clone_ref(py);
        }
        let refused = self.refused(object, &error.value(py).to_string());
        refused.set_cause(py, Some(error.clone_ref(py)));
        refused
    }
}

/// The only key of a part whose tree is not a dict.
const TREE: &str = "qstore.tree";

/// Whether a part is not a dict itself, but the tree below its only key is it.
fn is_wrapper(dict: &StateDict) -> bool {
    dict.len() == 1 && dict.get(TREE).is_some()
}

/// The tree that a loaded part is.
pub(crate) fn unwrapped(part: StateDict) -> State {
    if !is_wrapper(&part) {
        return State::Dict(part);
    }
    part.into_iter().next().map_or(State::Null, |(_, tree)| tree)
}

impl Node {
    fn state(self, copied: &[Tensor]) -> State {
        let states = |nodes: Vec<Self>| nodes.into_iter().map(|node| node.state(copied)).collect();
        match self {
            Self::Plain(state) => state,
            Self::Array(number) => State::Tensor(copied[number].clone()),
            Self::Bytes(number) => State::Bytes(copied[number].data().clone()),
            Self::List(list) => State::List(states(list)),
            Self::Tuple(list) => State::Tuple(states(list)),
            Self::Dict(dict) => {
                let dict = dict.into_iter().map(|(key, node)| (key, node.state(copied)));
                State::Dict(dict.collect())
            }
        }
    }
}

/// Metadata: plain values only, with scalars of libraries as what they convert to.
///
/// # Errors
/// `StateError`, which names the place, for what cannot be saved.
pub(crate) fn metadata(tree: &Bound<'_, PyDict>) -> PyResult<StateDict> {
    let mut walked = Walked { path: vec![Key::Name("metadata".into())], ..Walked::default() };
    walked.plain_dict(tree)
}

impl Walked {
    fn plain_dict(&mut self, dict: &Bound<'_, PyDict>) -> PyResult<StateDict> {
        Ok(self.entries(dict.items().iter(), Self::plain)?.into_iter().collect())
    }

    fn plain(&mut self, object: &Bound<'_, PyAny>) -> PyResult<State> {
        if let Ok(dict) = object.cast::<PyDict>() {
            return self.plain_dict(dict).map(State::Dict);
        }
        if let Ok(list) = object.cast::<PyList>() {
            return self.elements(list.iter(), Self::plain).map(State::List);
        }
        if let Ok(tuple) = object.cast::<PyTuple>() {
            return self.elements(tuple.iter(), Self::plain).map(State::Tuple);
        }
        if let Some(state) = number(object)? {
            return Ok(state);
        }
        match values::value("", object) {
            Ok(Value::Null) => Ok(State::Null),
            Ok(Value::Bool(flag)) => Ok(State::Bool(flag)),
            Ok(Value::Int(number)) => Ok(State::Int(number)),
            Ok(Value::Float(number)) => Ok(State::Float(number)),
            Ok(Value::Text(text)) => Ok(State::from(&*text)),
            Err(error) if !error.is_instance_of::<PyTypeError>(object.py()) => {
                Err(self.refused_by(object, &error))
            }
            _ => Err(self.refused(
                object,
                "metadata has dicts, lists, tuples, numbers, texts and None; put anything else into a part",
            )),
        }
    }
}

/// None, a flag, an integer or a complex number.
fn number(object: &Bound<'_, PyAny>) -> PyResult<Option<State>> {
    if object.is_none() {
        return Ok(Some(State::Null));
    }
    // Before `PyInt`: a flag is an integer, too.
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Some(State::Bool(flag.is_true())));
    }
    if let Ok(integer) = object.cast::<PyInt>() {
        return self::integer(integer).map(Some);
    }
    if let Ok(complex) = object.cast::<PyComplex>() {
        use pyo3::types::PyComplexMethods as _;
        return Ok(Some(State::Complex([complex.real(), complex.imag()])));
    }
    Ok(None)
}

fn integer(integer: &Bound<'_, PyInt>) -> PyResult<State> {
    match integer.extract::<i64>() {
        Ok(integer) => Ok(State::Int(integer)),
        Err(error) if error.is_instance_of::<PyOverflowError>(integer.py()) => {
            // The function, not a method: the text of a subclass may be anything.
            let hex = integer.py().import("builtins")?.call_method1("hex", (integer,))?;
            let text = hex.cast::<PyString>()?.to_cow()?;
            let parsed = text.parse::<BigInt>();
            parsed.map(State::BigInt).map_err(|error| PyOverflowError::new_err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}
