//! What the integers of a column count, when the program that wrote it says that they are times.

use std::fmt;

/// A column of dates or times, whose values are read as the integers that are stored.
///
/// ```
/// use qstore_parquet::{TimeOf, TimeType, TimeUnit};
///
/// let written_by_pandas =
///     TimeType { of: TimeOf::Epoch, unit: TimeUnit::Nanoseconds, is_utc: false };
/// assert_eq!(written_by_pandas.to_string(), "nanoseconds since 1970-01-01, local time");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeType {
    /// What it is counted from.
    pub of: TimeOf,
    /// What one is.
    pub unit: TimeUnit,
    /// Whether the times are in UTC; otherwise they are local times of a place that the file does not
    /// name. Irrelevant for dates.
    pub is_utc: bool,
}

/// What a column of times counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeOf {
    /// Days since 1970-01-01.
    Date,
    /// Time since the beginning of 1970-01-01.
    Epoch,
    /// Time since midnight, of any day.
    Midnight,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeUnit {
    /// Days.
    Days,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
    /// Billionths of a second.
    Nanoseconds,
}

impl fmt::Display for TimeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            TimeUnit::Days => "days",
            TimeUnit::Milliseconds => "milliseconds",
            TimeUnit::Microseconds => "microseconds",
            TimeUnit::Nanoseconds => "nanoseconds",
        };
        let since = match self.of {
            TimeOf::Midnight => "midnight",
            _ => "1970-01-01",
        };
        write!(f, "{unit} since {since}")?;
        match (self.of, self.is_utc) {
            (TimeOf::Date, _) => Ok(()),
            (_, true) => f.write_str(", UTC"),
            (_, false) => f.write_str(", local time"),
        }
    }
}
