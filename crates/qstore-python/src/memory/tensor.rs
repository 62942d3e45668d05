//! A loaded tensor, as Python sees it where there is no numpy, or where numpy has no such element type.

use super::export::contiguous;
use super::loaded::Words;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use qstore_schema::{Dtype, Tensor as Loaded};
use std::ffi::{CStr, c_int, c_long};

/// An array of numbers: an element type, a shape, and memory that `memoryview`, `numpy.asarray` and `torch.frombuffer` see
/// without a copy and may write to.
#[pyclass(module = "qstore._native", name = "Tensor", frozen, weakref)]
pub(crate) struct Tensor {
    dtype: Dtype,
    shape: Vec<ffi::Py_ssize_t>,
    /// Of C order, in bytes.
    strides: Vec<ffi::Py_ssize_t>,
    words: Words,
}

impl Tensor {
    /// A tensor that was loaded into this memory; its memory goes over, if nothing else refers to it.
    pub(crate) fn of(loaded: Loaded, memory: &super::Loaded) -> Self {
        let dtype = loaded.dtype();
        let shape = loaded.shape().iter().map(|length| *length as isize).collect();
        let strides = contiguous(loaded.shape(), dtype.size());
        Self { dtype, shape, strides, words: memory.take(loaded) }
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }
}

#[pymethods]
impl Tensor {
    /// The element type, such as "bfloat16".
    #[getter(dtype)]
    fn dtype_name(&self) -> &'static str {
        self.dtype.name()
    }

    /// The length of each dimension.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.shape)
    }

    /// The size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.words.len()
    }

    fn __repr__(&self) -> String {
        let shape: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        format!("<Tensor: {} [{}]>", self.dtype, shape.join(", "))
    }

    /// Exports the memory. Element types that the protocol has no format for are unsigned integers of their size.
    ///
    /// # Safety
    /// `view` is a structure that the interpreter asks to fill.
    // SAFETY: called by the interpreter only.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no buffer to fill"));
        }
        let this = slf.get();
        let format = format_of(this.dtype).as_ptr().cast_mut();
        let asked = |flag: c_int| flags & flag == flag;
        if asked(ffi::PyBUF_F_CONTIGUOUS)
            && this.shape.iter().filter(|length| **length > 1).count() > 1
        {
            return Err(PyBufferError::new_err("its elements are in C order"));
        }
        // SAFETY: `view` is not null and is filled as the protocol says: it gets a reference to the object, which owns
        // everything that the pointers point to and never changes it. It is contiguous, so it may leave out the strides.
        unsafe {
            let view = &mut *view;
            view.buf = this.words.address().cast();
            view.len = this.words.len() as isize;
            view.itemsize = this.dtype.size() as isize;
            view.readonly = 0;
            view.ndim = this.shape.len() as c_int;
            view.format = if asked(ffi::PyBUF_FORMAT) { format } else { std::ptr::null_mut() };
            let numbers = |given: bool, numbers: &Vec<isize>| {
                if given { numbers.as_ptr().cast_mut() } else { std::ptr::null_mut() }
            };
            view.shape = numbers(asked(ffi::PyBUF_ND), &this.shape);
            view.strides = numbers(asked(ffi::PyBUF_STRIDES), &this.strides);
            view.suboffsets = std::ptr::null_mut();
            view.internal = std::ptr::null_mut();
            view.obj = slf.into_any().into_ptr();
        }
        Ok(())
    }
}

/// The format in the notation of `struct`, with the codes that numpy has for its own types.
fn format_of(dtype: Dtype) -> &'static CStr {
    const IS_LONG: bool = size_of::<c_long>() == 8;
    match dtype {
        Dtype::Bool => c"?",
        Dtype::Int8 => c"b",
        Dtype::Int16 => c"h",
        Dtype::Int32 => c"i",
        Dtype::Int64 => {
            if IS_LONG {
                c"l"
            } else {
                c"q"
            }
        }
        Dtype::UInt16 | Dtype::BFloat16 => c"H",
        Dtype::UInt32 => c"I",
        Dtype::UInt64 => {
            if IS_LONG {
                c"L"
            } else {
                c"Q"
            }
        }
        Dtype::Float16 => c"e",
        Dtype::Float32 => c"f",
        Dtype::Float64 => c"d",
        Dtype::Complex64 => c"Zf",
        Dtype::Complex128 => c"Zd",
        _ => c"B",
    }
}
