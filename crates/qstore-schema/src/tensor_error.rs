//! What can be wrong with a tensor.

use crate::dtype::Dtype;

/// A tensor that cannot be made, or cannot be read in the requested way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// A tensor's shape and its bytes disagree.
    #[error("a {dtype} tensor of shape {shape:?} takes {expected} bytes, but {found} were given")]
    ShapeMismatch {
        /// The element type.
        dtype: Dtype,
        /// The requested shape.
        shape: Vec<usize>,
        /// The number of bytes that the shape takes.
        expected: usize,
        /// The number of bytes given.
        found: usize,
    },
    /// A shape has more bytes than can be addressed.
    #[error("shape {shape:?} has more bytes than this machine can address")]
    ShapeOverflow {
        /// The requested shape.
        shape: Vec<usize>,
    },
    /// A tensor was read as elements of another type.
    #[error(
        "the tensor holds {found}, not {requested}; read it as {found} and convert the elements"
    )]
    DtypeMismatch {
        /// What the tensor holds.
        found: Dtype,
        /// The requested element type.
        requested: Dtype,
    },
    /// The tensor's bytes start at an address that the element type cannot be read from.
    #[error("the tensor's bytes are not aligned for {dtype}; use `to_vec`, which copies them")]
    Misaligned {
        /// The element type.
        dtype: Dtype,
    },
    /// The bytes are not valid elements, such as a `bool` of 2.
    #[error("the tensor's bytes contain an invalid {dtype}")]
    InvalidElement {
        /// The element type.
        dtype: Dtype,
    },
}
