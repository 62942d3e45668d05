//! The memory of an object that has the buffer protocol, as long as it is exported.

use super::strided::{Layout, Source, Target};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::CStr;
use std::slice;

/// A buffer of an object. It is released when this is dropped, by the thread that is attached to the interpreter: it is
/// neither `Send` nor used in a closure that is detached.
pub(crate) struct Export {
    /// In a box, because an exporter may point into it.
    view: Box<ffi::Py_buffer>,
}

impl Export {
    /// Exports the memory of an object, with its format, shape and strides.
    ///
    /// # Errors
    /// What the object raises: `BufferError` or `ValueError`, for elements that the protocol has no format for, or
    /// memory that must not be written to.
    pub(crate) fn of(object: &Bound<'_, PyAny>, is_written: bool) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        let flags = if is_written { ffi::PyBUF_RECORDS } else { ffi::PyBUF_RECORDS_RO };
        // SAFETY: the object is alive, this thread is attached, and `view` is a zeroed structure at a fixed place.
        let status = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) };
        if status != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        let export = Self { view };
        if !export.view.suboffsets.is_null() {
            return Err(PyBufferError::new_err("its rows are behind pointers"));
        }
        Ok(export)
    }

    /// Whether an object has the buffer protocol.
    pub(crate) fn can_be_had(object: &Bound<'_, PyAny>) -> bool {
        // SAFETY: the object is alive and this thread is attached.
        unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
    }

    /// The format of an element in the notation of the module `struct`; bytes, if there is none.
    pub(crate) fn format(&self) -> &str {
        if self.view.format.is_null() {
            return "B";
        }
        // SAFETY: the protocol says that it is a text that ends with a zero and lives as long as the buffer.
        let format = unsafe { CStr::from_ptr(self.view.format) };
        format.to_str().unwrap_or("?")
    }

    /// The size of an element in bytes.
    pub(crate) fn item_len(&self) -> usize {
        self.view.itemsize.unsigned_abs()
    }

    /// The length of each dimension.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.lengths(self.view.shape).iter().map(|length| length.unsigned_abs()).collect()
    }

    /// Where the first element is.
    pub(crate) fn address(&self) -> usize {
        self.view.buf as usize
    }

    /// The bytes from an element to the next one of each dimension; empty if the elements are contiguous.
    pub(crate) fn strides(&self) -> &[ffi::Py_ssize_t] {
        self.lengths(self.view.strides)
    }

    /// Whether the memory cannot be written to through this export.
    pub(crate) fn is_read_only(&self) -> bool {
        self.view.readonly != 0
    }

    /// Whether the elements are one after the other.
    pub(super) fn is_contiguous(&self) -> bool {
        let (shape, strides) = (self.shape(), self.strides());
        let plain = contiguous(&shape, self.item_len());
        // The step of a dimension with one element means nothing.
        strides.is_empty()
            || shape.contains(&0)
            || (0..shape.len()).all(|at| shape[at] == 1 || strides.get(at) == plain.get(at))
    }

    /// The memory of contiguous elements, which nothing may change meanwhile.
    pub(super) fn bytes(&self) -> &[u8] {
        let len = self.view.len.unsigned_abs();
        if len == 0 {
            return &[];
        }
        // SAFETY: the protocol says that contiguous elements take `len` bytes from `buf` on, which stay where they are as
        // long as the buffer is exported. Nothing changes them: the caller has made sure of it.
        unsafe { slice::from_raw_parts(self.view.buf.cast(), len) }
    }

    /// The memory, to be copied from. `swapped` is the number of bytes of a number whose order is reversed, or 1.
    pub(crate) fn source(&self, swapped: usize) -> Source<'_> {
        Source::new(self.view.buf.cast(), self.layout(swapped))
    }

    /// The memory, to be copied to.
    ///
    /// # Errors
    /// `BufferError` if it was not exported for that.
    pub(crate) fn target(&self, swapped: usize) -> PyResult<Target<'_>> {
        if self.view.readonly != 0 {
            return Err(PyBufferError::new_err("its memory must not be written to"));
        }
        Ok(Target::new(self.view.buf.cast(), self.layout(swapped)))
    }

    fn layout(&self, swapped: usize) -> Layout {
        let shape = self.shape();
        let strides = if self.view.strides.is_null() {
            contiguous(&shape, self.item_len()) // as of ctypes
        } else {
            self.lengths(self.view.strides).to_vec()
        };
        Layout::new(shape, strides, self.item_len(), swapped)
    }

    /// One number for each dimension.
    fn lengths(&self, numbers: *const ffi::Py_ssize_t) -> &[ffi::Py_ssize_t] {
        if numbers.is_null() {
            return &[]; // without dimensions
        }
        // SAFETY: the protocol says that there are `ndim` of them, which live as long as the buffer.
        unsafe { slice::from_raw_parts(numbers, self.view.ndim.unsigned_abs() as usize) }
    }
}

/// The strides of C order, in bytes.
pub(super) fn contiguous(shape: &[usize], item: usize) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut step = item as isize;
    for (stride, length) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(*length as isize);
    }
    strides
}

impl Drop for Export {
    fn drop(&mut self) {
        // SAFETY: it was exported once, and this thread is attached: see the type.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.view) };
    }
}
