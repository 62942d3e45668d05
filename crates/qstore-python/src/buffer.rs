//! The ring, for any Python object.

use crate::errors::of_setting;
use crate::waiting::{self, Deadline};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use qstore_buffer::{AsyncBuffer, BufferSettings, PushError};

/// A bounded first-in, first-out buffer whose `push` never waits.
#[pyclass(module = "qstore._native", frozen, subclass)]
pub(crate) struct Buffer {
    ring: AsyncBuffer<Py<PyAny>>,
}

#[pymethods]
impl Buffer {
    #[new]
    #[pyo3(signature = (maxsize, name))]
    fn new(maxsize: usize, name: String) -> PyResult<Self> {
        let settings = BufferSettings::default().maxsize(maxsize).name(name);
        let ring = AsyncBuffer::with_settings(settings).map_err(|error| of_setting(&error))?;
        Ok(Self { ring })
    }

    /// Stores an item. False if there was no room: the item was dropped and counted.
    fn push(&self, item: Py<PyAny>) -> PyResult<bool> {
        match self.ring.push(item) {
            Ok(()) => Ok(true),
            // In a child of a fork, too: nobody there takes anything out.
            Err(PushError::Full(_) | PushError::Forked(_)) => Ok(false),
            Err(PushError::Closed(_)) => Err(PyRuntimeError::new_err("the buffer was closed")),
        }
    }

    /// Takes the oldest item, or returns None when there is none within `timeout` seconds.
    #[pyo3(signature = (timeout=None))]
    fn pop(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        let deadline = Deadline::after(timeout)?;
        if let Some(item) = self.ring.try_pop() {
            return Ok(Some(item));
        }
        waiting::until(py, deadline, |slice| self.ring.pop_timeout(slice), Option::is_some)
    }

    /// Takes up to `count` items, and waits up to `timeout` seconds for the first of them.
    #[pyo3(signature = (count, timeout=None))]
    fn pop_many<'py>(
        &self,
        py: Python<'py>,
        count: usize,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let Some(first) = self.pop(py, timeout)? else { return Ok(list) };
        list.append(first)?;
        while list.len() < count
            && let Some(item) = self.ring.try_pop()
        {
            list.append(item)?;
        }
        Ok(list)
    }

    /// Throws all items away; the counters stay.
    fn clear(&self) {
        self.ring.clear();
    }

    fn __len__(&self) -> usize {
        self.ring.len()
    }

    fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    fn is_full(&self) -> bool {
        self.ring.is_full()
    }

    #[getter]
    fn maxsize(&self) -> usize {
        self.ring.maxsize()
    }

    #[getter]
    fn name(&self) -> String {
        self.ring.stats().name
    }

    #[getter]
    fn pushed_count(&self) -> u64 {
        self.ring.stats().pushed
    }

    #[getter]
    fn popped_count(&self) -> u64 {
        self.ring.stats().popped
    }

    #[getter]
    fn dropped_count(&self) -> u64 {
        self.ring.stats().dropped
    }

    /// The counters at one moment.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crate::stats::of_buffer(py, &self.ring.stats())
    }
}
