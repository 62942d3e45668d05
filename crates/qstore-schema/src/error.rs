//! What can be wrong with a row, a tensor or a state, each with what is needed to mend it.

use crate::{DataType, Dtype};
use smol_str::SmolStr;

/// Everything this crate refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two columns of one schema have the same name.
    #[error("column `{name}` is declared twice; give each column a name of its own")]
    DuplicateField {
        /// The name that stands twice.
        name: SmolStr,
    },
    /// A value does not fit the column it was meant for.
    #[error(
        "column `{name}` holds {expected}, but the value is {found}; convert it or log it under another name"
    )]
    TypeMismatch {
        /// The column.
        name: SmolStr,
        /// What the column holds.
        expected: DataType,
        /// What was given, in words.
        found: &'static str,
    },
    /// Too many names of metrics were made at run time.
    #[error(
        "metric `{name}` is one too many: {max} different names were made already; a name must not \
         contain what differs from step to step, log that as a value"
    )]
    TooManyNames {
        /// The name that was refused.
        name: SmolStr,
        /// How many there can be.
        max: usize,
    },
    /// A tensor's shape and its bytes disagree.
    #[error("a {dtype} tensor of shape {shape:?} takes {expected} bytes, but {found} were given")]
    ShapeMismatch {
        /// The element type.
        dtype: Dtype,
        /// The shape that was asked for.
        shape: Vec<usize>,
        /// How many bytes that shape takes.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// A shape has more elements than can be addressed.
    #[error("shape {shape:?} has more bytes than this machine can address")]
    ShapeOverflow {
        /// The shape that was asked for.
        shape: Vec<usize>,
    },
    /// A tensor was read as elements of another type.
    #[error("the tensor holds {found}, not {requested}; read it as {found} and convert")]
    DtypeMismatch {
        /// What the tensor holds.
        found: Dtype,
        /// What was asked for.
        requested: Dtype,
    },
    /// Borrowed bytes do not start at an address the element type can be read from.
    #[error("the tensor's bytes are not aligned for {dtype}; use `to_vec`, which copies")]
    Misaligned {
        /// The element type.
        dtype: Dtype,
    },
    /// Bytes that are no value of the element type, such as a `bool` of 2.
    #[error("the tensor's bytes contain a value that is no {dtype}")]
    InvalidElement {
        /// The element type.
        dtype: Dtype,
    },
    /// A name that no dtype has.
    #[error("`{name}` is no tensor element type")]
    UnknownDtype {
        /// The name that was given.
        name: SmolStr,
    },
}
