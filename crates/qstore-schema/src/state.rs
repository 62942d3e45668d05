//! The state of a model or an optimizer: nested maps and lists of tensors, numbers and texts.
//!
//! The shape follows what `PyTorch`'s `state_dict()` returns, including integer keys and lists of groups,
//! so that such a state survives a round trip unchanged.

use crate::big_int::{BigInt, beyond_64_bits};
use crate::dtype::Dtype;
use crate::tensor::Tensor;
use bytes::Bytes;
use indexmap::IndexMap;
use smol_str::SmolStr;
use std::fmt::{self, Write as _};

/// A key of a [`StateDict`]: a name or an integer, which are never equal to each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A name.
    Name(SmolStr),
    /// An integer, as optimizers use for the parameters they hold.
    Int(i64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Int(number) => write!(f, "{number}"),
        }
    }
}

/// One node of a state.
///
/// `Tuple`, `BigInt`, `Complex` and `Bytes` are there so that a state of another language comes back as it was.
/// A state without them is stored in a form that earlier versions read; so raw bytes, such as the state of a random
/// number generator, are best a 1-dimensional `uint8` tensor, as in `PyTorch`: see [`State::bytes`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Nothing.
    Null,
    /// A flag.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond 64 bits.
    BigInt(BigInt),
    /// A number.
    Float(f64),
    /// A complex number: the real part, then the imaginary part.
    Complex([f64; 2]),
    /// A text.
    Text(SmolStr),
    /// Bytes that are not an array of numbers: Python's `bytes`.
    Bytes(Bytes),
    /// An array of numbers.
    Tensor(Tensor),
    /// Nodes in order.
    List(Vec<State>),
    /// Nodes in order that the language of the state tells from a list: Python's `tuple`.
    Tuple(Vec<State>),
    /// Nodes by key.
    Dict(StateDict),
}

/// Nodes by key, in the order they were inserted.
///
/// What a method named after a kind of node returns for a key that is missing, or whose node is of another
/// kind, is `None`; nothing is converted, except that [`float`](Self::float) accepts an integer.
///
/// ```
/// use qstore_schema::{State, StateDict, Tensor};
///
/// let moments = StateDict::from([("exp_avg", Tensor::scalar(0.1_f32))]);
/// let mut optimizer = StateDict::new();
/// optimizer.insert("state", StateDict::from([(0_i64, moments)]));
/// optimizer.insert("param_groups", vec![State::from(StateDict::from([("lr", 1e-3)]))]);
///
/// let state = optimizer.dict("state").unwrap();
/// assert!(state.dict(0_i64).unwrap().tensor("exp_avg").is_some());
/// assert!(state.dict("0").is_none(), "a number is not its spelling");
///
/// let group = optimizer.list("param_groups").unwrap()[0].as_dict().unwrap();
/// assert_eq!(group.float("lr"), Some(1e-3));
/// ```
///
/// # How is this different from a `HashMap<String, Tensor>`?
/// It keeps the order, nests, holds numbers and texts beside tensors, and tells the key `0` from `"0"`.
/// Where only tensors matter, [`tensors`](Self::tensors) walks them at any depth.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateDict {
    nodes: IndexMap<Key, State>,
}

macro_rules! by_kind {
    ($($(#[$doc:meta])* $name:ident, $as:ident -> $kind:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self, key: impl Into<Key>) -> Option<$kind> {
            self.get(key)?.$as()
        }
    )*};
}

impl StateDict {
    /// A dict without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a node and returns the one it replaced.
    pub fn insert(&mut self, key: impl Into<Key>, node: impl Into<State>) -> Option<State> {
        self.nodes.insert(key.into(), node.into())
    }

    /// The node under that key.
    #[must_use]
    pub fn get(&self, key: impl Into<Key>) -> Option<&State> {
        self.nodes.get(&key.into())
    }

    by_kind! {
        /// The flag under that key.
        bool, as_bool -> bool;
        /// The integer under that key.
        int, as_int -> i64;
        /// The number under that key; an integer counts as one.
        float, as_float -> f64;
        /// The text under that key.
        text, as_text -> &str;
        /// The tensor under that key.
        tensor, as_tensor -> &Tensor;
        /// The raw bytes under that key: of a node of bytes, or of a 1-dimensional `uint8` tensor.
        bytes, as_bytes -> &Bytes;
        /// The list under that key.
        list, as_list -> &[State];
        /// The tuple under that key.
        tuple, as_tuple -> &[State];
        /// The dict under that key.
        dict, as_dict -> &Self;
    }

    /// Keys and nodes in the order they were inserted.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &State)> {
        self.nodes.iter()
    }

    /// Every tensor at any depth, with its path: the keys and list positions down to it, joined with `/`.
    /// Depth first, in the order of insertion.
    ///
    /// ```
    /// use qstore_schema::{State, StateDict, Tensor};
    ///
    /// let mut model = StateDict::from([("weight", Tensor::scalar(0.5_f32))]);
    /// model.insert("name", "a text is skipped");
    /// model.insert("heads", vec![StateDict::from([("bias", Tensor::scalar(1.0_f32))]).into()]);
    ///
    /// let paths: Vec<_> = model.tensors().map(|(path, _)| path).collect();
    /// assert_eq!(paths, ["weight", "heads/0/bias"]);
    /// ```
    pub fn tensors(&self) -> impl Iterator<Item = (String, &Tensor)> {
        Tensors { path: String::new(), open: vec![(0, Children::Dict(self.nodes.iter()))] }
    }

    /// The number of nodes directly in this dict.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether this dict has no nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The bytes of all tensors and nodes of bytes at any depth.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        self.nodes.values().map(State::tensor_bytes).sum()
    }
}

macro_rules! as_kind {
    ($($(#[$doc:meta])* $name:ident -> $kind:ty { $pattern:pat => $value:expr })*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> Option<$kind> {
            match self {
                $pattern => Some($value),
                _ => None,
            }
        }
    )*};
}

impl State {
    /// Raw bytes as a node: a 1-dimensional `uint8` tensor over them. Nothing is copied.
    ///
    /// Use it for the state of a random number generator or anything else that is opaque. Every format that
    /// stores tensors stores it, and Python reads it as an array of `uint8`.
    ///
    /// ```
    /// use qstore_schema::{State, StateDict};
    ///
    /// let rng = StateDict::from([("state", State::bytes(vec![7, 0, 255]))]);
    /// assert_eq!(rng.bytes("state").unwrap().as_ref(), [7, 0, 255]);
    /// assert_eq!(rng.tensor("state").unwrap().shape(), [3]);
    /// ```
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Tensor(Tensor::from_bytes(bytes.into()))
    }

    as_kind! {
        /// The flag, if the node is one.
        as_bool -> bool { Self::Bool(value) => *value }
        /// The integer, if the node is one.
        as_int -> i64 { Self::Int(value) => *value }
        /// The text, if the node is one.
        as_text -> &str { Self::Text(value) => value }
        /// The tensor, if the node is one.
        as_tensor -> &Tensor { Self::Tensor(value) => value }
        /// The list, if the node is one.
        as_list -> &[Self] { Self::List(value) => value }
        /// The tuple, if the node is one.
        as_tuple -> &[Self] { Self::Tuple(value) => value }
        /// The complex number, if the node is one: the real part, then the imaginary part.
        as_complex -> [f64; 2] { Self::Complex(value) => *value }
        /// The dict, if the node is one.
        as_dict -> &StateDict { Self::Dict(value) => value }
    }

    /// An integer as a node: an [`Int`](Self::Int) if it fits, otherwise a [`BigInt`](Self::BigInt).
    #[must_use]
    pub fn integer(value: i128) -> Self {
        beyond_64_bits(value).map_or(Self::Int(value as i64), Self::BigInt)
    }

    /// The integer, if the node is one and fits into 128 bits.
    #[must_use]
    pub fn as_integer(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::BigInt(value) => value.to_i128(),
            _ => None,
        }
    }

    /// The number, if the node is one; an integer counts as one, rounded to the nearest float.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            Self::BigInt(value) => Some(value.to_f64()),
            _ => None,
        }
    }

    /// The raw bytes, if the node is one of bytes or a 1-dimensional `uint8` tensor; see [`State::bytes`].
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        if let Self::Bytes(bytes) = self {
            return Some(bytes);
        }
        let tensor = self.as_tensor()?;
        let is_bytes = tensor.dtype() == Dtype::UInt8 && tensor.shape().len() == 1;
        is_bytes.then(|| tensor.data())
    }

    /// The bytes of all tensors and nodes of bytes at any depth.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        match self {
            Self::Tensor(tensor) => tensor.data().len() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::List(nodes) | Self::Tuple(nodes) => nodes.iter().map(Self::tensor_bytes).sum(),
            Self::Dict(dict) => dict.tensor_bytes(),
            _ => 0,
        }
    }
}

/// A walk over the tensors of a state. It does not recurse, so depth costs no stack.
struct Tensors<'s> {
    /// Of the innermost open node.
    path: String,
    /// The open nodes, outermost first, each with the length of its parent's path.
    open: Vec<(usize, Children<'s>)>,
}

enum Children<'s> {
    Dict(indexmap::map::Iter<'s, Key, State>),
    List(std::iter::Enumerate<std::slice::Iter<'s, State>>),
}

impl<'s> Iterator for Tensors<'s> {
    type Item = (String, &'s Tensor);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let len = self.path.len();
            let slash = if self.open.len() == 1 { "" } else { "/" };
            let (parent, children) = self.open.last_mut()?;
            let next = match children {
                Children::Dict(nodes) => {
                    nodes.next().map(|(key, node)| (write!(self.path, "{slash}{key}"), node))
                }
                Children::List(nodes) => {
                    nodes.next().map(|(index, node)| (write!(self.path, "{slash}{index}"), node))
                }
            };
            let Some((_, node)) = next else {
                self.path.truncate(*parent);
                self.open.pop();
                continue;
            };
            match node {
                State::Tensor(tensor) => {
                    let path = self.path.clone();
                    self.path.truncate(len);
                    return Some((path, tensor));
                }
                State::Dict(dict) => self.open.push((len, Children::Dict(dict.nodes.iter()))),
                State::List(list) | State::Tuple(list) => {
                    self.open.push((len, Children::List(list.iter().enumerate())));
                }
                _ => self.path.truncate(len),
            }
        }
    }
}

impl IntoIterator for StateDict {
    type Item = (Key, State);
    type IntoIter = indexmap::map::IntoIter<Key, State>;

    fn into_iter(self) -> Self::IntoIter {
        self.nodes.into_iter()
    }
}

impl<K: Into<Key>, N: Into<State>> FromIterator<(K, N)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (K, N)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().map(|(key, node)| (key.into(), node.into())).collect() }
    }
}

impl<K: Into<Key>, N: Into<State>, const COUNT: usize> From<[(K, N); COUNT]> for StateDict {
    fn from(nodes: [(K, N); COUNT]) -> Self {
        nodes.into_iter().collect()
    }
}

macro_rules! from {
    ($target:ident: $($source:ty => |$value:ident| $node:expr;)*) => {$(
        impl From<$source> for $target {
            fn from($value: $source) -> Self { $node }
        }
    )*};
}

from! { Key:
    &str => |name| Self::Name(name.into());
    String => |name| Self::Name(name.into());
    SmolStr => |name| Self::Name(name);
    i64 => |number| Self::Int(number);
}

from! { State:
    bool => |value| Self::Bool(value);
    i64 => |value| Self::Int(value);
    f64 => |value| Self::Float(value);
    &str => |value| Self::Text(value.into());
    String => |value| Self::Text(value.into());
    Bytes => |value| Self::bytes(value);
    Tensor => |tensor| Self::Tensor(tensor);
    Vec<State> => |nodes| Self::List(nodes);
    StateDict => |dict| Self::Dict(dict);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_spelling_are_different_keys() {
        let mut dict = StateDict::new();
        dict.insert(0_i64, "number");
        dict.insert("0", "name");
        assert_eq!((dict.text(0_i64), dict.text("0")), (Some("number"), Some("name")));
    }

    #[test]
    fn insertion_order_is_kept() {
        let dict = StateDict::from([("z", 1_i64), ("a", 2), ("m", 3)]);
        let keys: Vec<_> = dict.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["z", "a", "m"]);
    }

    #[test]
    fn tensor_bytes_are_counted_at_any_depth() {
        let inner = StateDict::from([("m", Tensor::scalar(1.0_f64))]);
        let list = vec![State::from(inner.clone()), State::from(Tensor::scalar(1_u8))];
        let mut dict = StateDict::from([("list", list)]);
        dict.insert("dict", inner);
        dict.insert("tuple", State::Tuple(vec![State::Bytes(vec![1, 2, 3].into())]));
        assert_eq!(dict.tensor_bytes(), 8 + 1 + 8 + 3);
    }

    #[test]
    fn bytes_and_a_flat_array_of_uint8_are_read_as_bytes() {
        let mut dict = StateDict::from([("rng", State::bytes(vec![1, 2, 3]))]);
        dict.insert("empty", State::bytes(Vec::new()));
        dict.insert("matrix", Tensor::from_vec(vec![1_u8, 2], [1, 2]).unwrap());
        dict.insert("signed", Tensor::from_vec(vec![1_i8], [1]).unwrap());
        dict.insert("text", "123");
        dict.insert("opaque", State::Bytes(vec![4].into()));
        assert_eq!(dict.bytes("opaque"), Some(&Bytes::from(vec![4])));
        assert!(dict.tensor("opaque").is_none());
        assert_eq!(dict.bytes("rng"), Some(&Bytes::from(vec![1, 2, 3])));
        assert_eq!(dict.bytes("empty"), Some(&Bytes::new()));
        for key in ["matrix", "signed", "text", "missing"] {
            assert_eq!(dict.bytes(key), None, "{key}");
        }
    }

    #[test]
    fn a_tuple_is_not_a_list_and_an_integer_has_one_form() {
        let one = vec![State::from(1_i64)];
        let dict = StateDict::from([("t", State::Tuple(one.clone())), ("l", State::List(one))]);
        assert_ne!(dict.get("t"), dict.get("l"));
        assert_eq!(dict.tuple("t"), dict.list("l"));
        assert!(dict.list("t").is_none() && dict.tuple("l").is_none());
        for value in [0, -1, i128::from(i64::MAX), i128::from(i64::MIN), 1 << 63, i128::MIN] {
            let node = State::integer(value);
            assert_eq!((node.as_integer(), node.as_float()), (Some(value), Some(value as f64)));
            assert_eq!(node.as_int().is_some(), i64::try_from(value).is_ok());
        }
        assert_eq!(State::Complex([1.0, -2.0]).as_complex(), Some([1.0, -2.0]));
    }

    #[test]
    fn tensors_are_listed_depth_first_with_their_paths() {
        let leaf = |value: f32| State::from(Tensor::scalar(value));
        let inner = StateDict::from([(0_i64, leaf(1.0)), (1_i64, leaf(2.0))]);
        let mut dict = StateDict::from([("state", inner)]);
        dict.insert("empty", StateDict::new());
        dict.insert("list", vec![State::Null, State::Tuple(vec![leaf(3.0)]), leaf(4.0)]);
        dict.insert("bytes", State::Bytes(vec![1].into()));
        dict.insert("lr", 0.1);
        dict.insert("", StateDict::from([("", leaf(5.0))]));
        let found: Vec<_> = dict
            .tensors()
            .map(|(path, tensor)| (path, tensor.to_vec::<f32>().unwrap()[0]))
            .collect();
        let paths = ["state/0", "state/1", "list/1/0", "list/2", "/"];
        let expected: Vec<_> =
            paths.iter().map(|path| (*path).to_owned()).zip([1.0, 2.0, 3.0, 4.0, 5.0]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_very_deep_state_is_walked_without_recursion() {
        let mut state = State::from(Tensor::scalar(1_u8));
        for _ in 0..200_000 {
            state = State::List(vec![state]);
        }
        let dict = StateDict::from([("deep", state)]);
        assert_eq!(dict.tensors().count(), 1);
        // Dropping it recurses; that is not what is tested here.
        std::mem::forget(dict);
    }
}
