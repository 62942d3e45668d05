//! The memory of an object that has DLPack, as long as its capsule lives.
//!
//! The structures are those of DLPack before version 1, which a producer hands out unless it is asked for later ones:
//! <https://dmlc.github.io/dlpack/latest/c_api.html>. The capsule is not consumed, so its own destructor gives the memory
//! back, in the thread that drops the last reference.

use super::export::contiguous;
use super::strided::{Layout, Source, Target};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use qstore_schema::Dtype;
use std::ffi::c_void;
use std::slice;

/// The name of a capsule that nobody has consumed.
const NAME: &std::ffi::CStr = c"dltensor";

/// `DLTensor`, with which a `DLManagedTensor` begins.
#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *const i64,
    /// In elements. Null means that they are contiguous.
    strides: *const i64,
    byte_offset: u64,
}

/// Devices whose memory the processor reads: the main memory, and that which CUDA or ROCm has pinned there.
const HOSTS: [i32; 3] = [1, 3, 11];

/// An array behind a capsule. As an export of a buffer it is used and dropped attached to the interpreter.
pub(crate) struct Capsule {
    /// Keeps everything below alive.
    _owner: Py<PyAny>,
    start: *mut u8,
    dtype: Dtype,
    shape: Vec<usize>,
    /// In bytes.
    strides: Vec<isize>,
    is_writable: bool,
}

impl Capsule {
    /// The array behind a capsule that nobody has consumed. The protocol does not say whether its memory may be written
    /// to: the caller does.
    ///
    /// # Errors
    /// `TypeError` for elements that a checkpoint does not have; `BufferError` for the memory of a device.
    pub(crate) fn of(capsule: Bound<'_, PyAny>, is_writable: bool) -> PyResult<Self> {
        // SAFETY: the object is alive and this thread is attached. Another object, or another name, is an error.
        let tensor = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), NAME.as_ptr()) };
        if tensor.is_null() {
            return Err(PyErr::fetch(capsule.py()));
        }
        // SAFETY: a capsule of this name points to a `DLManagedTensor`, which begins with a `DLTensor`. It lives as long as
        // the capsule, which is held below.
        let tensor = unsafe { &*tensor.cast::<DlTensor>() };
        if !HOSTS.contains(&tensor.device_type) {
            return Err(PyBufferError::new_err("its memory is that of a device"));
        }
        let Some(dtype) = dtype_of(tensor) else {
            let DlTensor { code, bits, lanes, .. } = tensor;
            return Err(PyTypeError::new_err(format!(
                "its elements are of DLPack's type {code} with {bits} bits and {lanes} lanes, which a checkpoint does not have"
            )));
        };
        let numbers = |numbers: *const i64| {
            if numbers.is_null() || tensor.ndim <= 0 {
                return &[][..];
            }
            // SAFETY: the protocol says that there are `ndim` of them, which live as long as the tensor.
            unsafe { slice::from_raw_parts(numbers, tensor.ndim.unsigned_abs() as usize) }
        };
        let item = dtype.size();
        let shape: Vec<_> =
            numbers(tensor.shape).iter().map(|len| len.unsigned_abs() as usize).collect();
        let strides = if tensor.strides.is_null() {
            contiguous(&shape, item)
        } else {
            numbers(tensor.strides).iter().map(|step| *step as isize * item as isize).collect()
        };
        let start = tensor.data.cast::<u8>().wrapping_add(tensor.byte_offset as usize);
        Ok(Self { start, dtype, shape, strides, is_writable, _owner: capsule.unbind() })
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The length of each dimension.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes from an element to the next one of each dimension.
    pub(crate) fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// Where the first element is.
    pub(crate) fn address(&self) -> usize {
        self.start as usize
    }

    /// The memory, to be copied from.
    pub(crate) fn source(&self) -> Source<'_> {
        Source::new(self.start, self.layout())
    }

    /// The memory, to be copied to.
    ///
    /// # Errors
    /// `BufferError` if it is not known to be writable.
    pub(crate) fn target(&self) -> PyResult<Target<'_>> {
        if !self.is_writable {
            return Err(PyBufferError::new_err("its memory must not be written to"));
        }
        Ok(Target::new(self.start, self.layout()))
    }

    fn layout(&self) -> Layout {
        Layout::new(self.shape.clone(), self.strides.clone(), self.dtype.size(), 1)
    }
}

/// The element type; `None` for one that a checkpoint does not have.
fn dtype_of(tensor: &DlTensor) -> Option<Dtype> {
    if tensor.lanes != 1 {
        return None;
    }
    Some(match (tensor.code, tensor.bits) {
        (0, 8) => Dtype::Int8,
        (0, 16) => Dtype::Int16,
        (0, 32) => Dtype::Int32,
        (0, 64) => Dtype::Int64,
        (1, 8) => Dtype::UInt8,
        (1, 16) => Dtype::UInt16,
        (1, 32) => Dtype::UInt32,
        (1, 64) => Dtype::UInt64,
        (2, 16) => Dtype::Float16,
        (2, 32) => Dtype::Float32,
        (2, 64) => Dtype::Float64,
        (4, 16) => Dtype::BFloat16,
        (5, 64) => Dtype::Complex64,
        (5, 128) => Dtype::Complex128,
        (6, 8) => Dtype::Bool,
        (10, 8) => Dtype::Float8E4M3,
        (12, 8) => Dtype::Float8E5M2,
        _ => return None,
    })
}
