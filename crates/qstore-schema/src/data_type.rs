//! The types that a column of metrics can have.

use crate::timestamp::TimestampUnit;
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
    /// A list of 64-bit floats of any length: a histogram, or a value for each parameter. No list at all is
    /// null, which an empty list is not.
    FloatList,
    /// A 64-bit count of that unit since 1970-01-01.
    Timestamp {
        /// What is counted.
        unit: TimestampUnit,
        /// Whether the times are in UTC; otherwise they are local times of a place that the file does not
        /// name.
        is_utc: bool,
    },
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "booleans",
            Self::Int64 => "64-bit integers",
            Self::Float64 => "64-bit floats",
            Self::Utf8 => "text",
            Self::FloatList => "lists of 64-bit floats",
            Self::Timestamp { unit: TimestampUnit::Millis, .. } => "times in milliseconds",
            Self::Timestamp { unit: TimestampUnit::Micros, .. } => "times in microseconds",
            Self::Timestamp { unit: TimestampUnit::Nanos, .. } => "times in nanoseconds",
        })
    }
}
