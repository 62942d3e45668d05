//! What a call that logs returns: an outcome that may be awaited, ignored, or made a task.
//!
//! One object stands for each outcome, so a step allocates nothing. It has the methods of a coroutine that is
//! done: `await` costs nothing that could be measured, where a real coroutine costs a microsecond and a half.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What became of a row. True if it was accepted.
#[pyclass(module = "qstore", frozen)]
pub(crate) struct Logged {
    /// `"accepted"`, `"dropped"` or `"forked"`.
    #[pyo3(get)]
    outcome: &'static str,
}

static ACCEPTED: PyOnceLock<Py<Logged>> = PyOnceLock::new();
static DROPPED: PyOnceLock<Py<Logged>> = PyOnceLock::new();
static FORKED: PyOnceLock<Py<Logged>> = PyOnceLock::new();

impl Logged {
    pub(crate) fn accepted(py: Python<'_>) -> PyResult<Py<Self>> {
        Self::one(py, &ACCEPTED, "accepted")
    }

    pub(crate) fn dropped(py: Python<'_>) -> PyResult<Py<Self>> {
        Self::one(py, &DROPPED, "dropped")
    }

    pub(crate) fn forked(py: Python<'_>) -> PyResult<Py<Self>> {
        Self::one(py, &FORKED, "forked")
    }

    fn one(
        py: Python<'_>,
        place: &PyOnceLock<Py<Self>>,
        outcome: &'static str,
    ) -> PyResult<Py<Self>> {
        Ok(place.get_or_try_init(py, || Py::new(py, Self { outcome }))?.clone_ref(py))
    }
}

#[pymethods]
impl Logged {
    fn __bool__(&self) -> bool {
        self.outcome == "accepted"
    }

    fn __repr__(&self) -> String {
        format!("<Logged: {}>", self.outcome)
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: Py<Self>) -> PyResult<()> {
        Err(PyStopIteration::new_err(slf))
    }

    /// As a coroutine that is done.
    fn send(slf: Py<Self>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyStopIteration::new_err(slf))
    }

    /// Raises what it is given, as a coroutine does that waits for nothing.
    #[pyo3(signature = (kind, value=None, _traceback=None))]
    #[expect(clippy::unused_self, reason = "a coroutine has this method")]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Err(PyErr::from_value(value.unwrap_or(kind).clone()))
    }

    /// Nothing is open.
    #[expect(clippy::unused_self, reason = "a coroutine has this method")]
    fn close(&self) {}
}
