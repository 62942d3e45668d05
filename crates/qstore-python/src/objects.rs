//! A loaded state as Python objects.

use crate::memory::{Loaded as Memory, Tensor};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyComplex, PyDict, PyInt, PyList, PyNone, PyTuple};
use qstore_schema::{Key, State, StateDict, Tensor as Loaded};
use std::sync::Arc;

/// Below this size in bytes, copying takes less time than letting others have the GIL meanwhile.
const SMALL: usize = 1 << 16;

/// Turns states into objects; each tensor is what `convert` makes of it.
pub(crate) struct Objects<'py> {
    pub(crate) py: Python<'py>,
    /// The memory that the tensors were loaded into.
    pub(crate) memory: Arc<Memory>,
    pub(crate) convert: Option<Bound<'py, PyAny>>,
}

impl<'py> Objects<'py> {
    /// The object of a state. The memory of its tensors goes over, or is dropped as soon as it is copied.
    pub(crate) fn of(&self, state: State) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        Ok(match state {
            State::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
            State::Int(number) => number.into_pyobject(py)?.into_any(),
            State::BigInt(number) => py.get_type::<PyInt>().call1((number.as_str(), 16))?,
            State::Float(number) => number.into_pyobject(py)?.into_any(),
            State::Complex([re, im]) => PyComplex::from_doubles(py, re, im).into_any(),
            State::Text(text) => text.as_str().into_pyobject(py)?.into_any(),
            State::Bytes(bytes) => PyBytes::new(py, &bytes).into_any(),
            State::Tensor(tensor) => self.tensor(tensor)?,
            State::List(nodes) => {
                let list = PyList::empty(py);
                for node in nodes {
                    list.append(self.of(node)?)?;
                }
                list.into_any()
            }
            State::Tuple(nodes) => {
                let nodes = nodes.into_iter().map(|node| self.of(node));
                PyTuple::new(py, nodes.collect::<PyResult<Vec<_>>>()?)?.into_any()
            }
            State::Dict(dict) => self.dict(dict)?.into_any(),
            _ => PyNone::get(py).to_owned().into_any(),
        })
    }

    /// The dict of a state.
    pub(crate) fn dict(&self, state: StateDict) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(self.py);
        for (key, node) in state {
            let node = self.of(node)?;
            match key {
                Key::Name(name) => dict.set_item(name.as_str(), node)?,
                Key::Int(number) => dict.set_item(number, node)?,
            }
        }
        Ok(dict)
    }

    fn tensor(&self, loaded: Loaded) -> PyResult<Bound<'py, PyAny>> {
        let tensor = if loaded.data().len() < SMALL {
            Tensor::of(loaded, &self.memory)
        } else {
            self.py.check_signals()?;
            // It may have to be copied.
            let memory = &self.memory;
            self.py.detach(|| Tensor::of(loaded, memory))
        };
        let tensor = Bound::new(self.py, tensor)?.into_any();
        match &self.convert {
            Some(convert) => convert.call1((tensor,)),
            None => Ok(tensor),
        }
    }
}

/// Copies a tensor into an array, which has the same shape and element type. False if it cannot be written to.
#[pyfunction]
pub(crate) fn copy_into(
    py: Python<'_>,
    array: &Bound<'_, PyAny>,
    tensor: &Bound<'_, Tensor>,
) -> PyResult<bool> {
    let Some(to) = crate::arrays::Array::writable(array)? else { return Ok(false) };
    let from = crate::arrays::Array::of(tensor.as_any())?;
    let Some(from) = from else { return Ok(false) };
    let (source, target) = (from.source(), to.target()?);
    if from.len() != to.len() {
        return Ok(false);
    }
    py.detach(move || target.copy_all(&source));
    Ok(true)
}

/// The element type and the shape of an array; None for anything else.
#[pyfunction]
pub(crate) fn describe<'py>(
    py: Python<'py>,
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<(&'static str, Bound<'py, PyTuple>)>> {
    if let Ok(tensor) = object.cast::<Tensor>() {
        let shape = tensor.getattr(intern!(py, "shape"))?.cast_into::<PyTuple>()?;
        return Ok(Some((tensor.get().dtype().name(), shape)));
    }
    let Some(array) = crate::arrays::Array::of(object)? else { return Ok(None) };
    Ok(Some((array.dtype.name(), PyTuple::new(py, &array.shape)?)))
}
