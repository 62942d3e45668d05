//! The four types that a column of metrics can have.

use std::fmt;

/// The type of a column of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// `true` or `false`.
    Bool,
    /// A signed 64-bit integer.
    Int64,
    /// A 64-bit IEEE 754 number, NaN and infinities included.
    Float64,
    /// UTF-8 text.
    Utf8,
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "booleans",
            Self::Int64 => "64-bit integers",
            Self::Float64 => "64-bit floats",
            Self::Utf8 => "text",
        })
    }
}
