//! The names of the columns of a dataset: the name of a column alone decides its type, so that it has one type
//! in every part of every rank, although no rank knows what the others log.
//!
//! | value | column `NAME` |
//! |---|---|
//! | number | `NAME`, floats; an integer beyond 2^53, which a float would change: `NAME__integer` |
//! | flag | `NAME__flag` |
//! | text | `NAME__text` |
//! | list of floats | `NAME__list` |
//! | time in UTC; local time | `NAME__time`; `NAME__local_time`, in microseconds, which Spark 3 reads |
//!
//! A column that was announced or declared has the type that it was given, and takes values of that kind
//! under its own name. A metric whose own name ends in one of the suffixes is one of that type.
//!
//! A name that differs from a column's in its case only is refused: Spark takes the two for one. So is the
//! name of the partition column.

use crate::columns::column::is_exact;
use qstore_schema::{DataType, SmolStr, TimestampUnit, ValueRef};
use std::collections::HashMap;

/// The column that the engines make of the names of the directories.
pub(crate) const PARTITION: &str = "rank";

/// What a dataset knows about the names of its columns.
#[derive(Debug)]
pub(crate) struct DatasetNames {
    /// The value of the partition column.
    pub(crate) rank: u32,
    /// The number of each column, by its name in small letters.
    pub(crate) spellings: HashMap<String, usize>,
    /// The column of each metric, for each kind of values, as far as it is known.
    pub(crate) homes: HashMap<SmolStr, [Option<usize>; KINDS]>,
}

/// The number of kinds.
pub(crate) const KINDS: usize = 8;

/// What a value is, as far as columns differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An integer that is the same as a float.
    Whole,
    /// An integer that a float would change.
    Large,
    Float,
    Flag,
    Text,
    List,
    Time,
    LocalTime,
}

impl Kind {
    pub(crate) fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Int(value) if is_exact(value) => Some(Self::Whole),
            ValueRef::Int(_) => Some(Self::Large),
            ValueRef::Float(_) => Some(Self::Float),
            ValueRef::Bool(_) => Some(Self::Flag),
            ValueRef::Text(_) => Some(Self::Text),
            ValueRef::List(_) => Some(Self::List),
            ValueRef::Timestamp(time) if time.is_utc() => Some(Self::Time),
            ValueRef::Timestamp(_) => Some(Self::LocalTime),
            // Null, and what a later version may add.
            _ => None,
        }
    }

    pub(crate) fn fits(self, data_type: DataType) -> bool {
        match self {
            Self::Whole => matches!(data_type, DataType::Float64 | DataType::Int64),
            Self::Large => data_type == DataType::Int64,
            Self::Float => data_type == DataType::Float64,
            Self::Flag => data_type == DataType::Bool,
            Self::Text => data_type == DataType::Utf8,
            Self::List => data_type == DataType::FloatList,
            Self::Time => matches!(data_type, DataType::Timestamp { is_utc: true, .. }),
            Self::LocalTime => matches!(data_type, DataType::Timestamp { is_utc: false, .. }),
        }
    }

    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Whole | Self::Float => "__number",
            Self::Large => "__integer",
            Self::Flag => "__flag",
            Self::Text => "__text",
            Self::List => "__list",
            Self::Time => "__time",
            Self::LocalTime => "__local_time",
        }
    }
}

/// The type of an undeclared column, which its name decides.
pub(crate) fn type_of(name: &str) -> DataType {
    match name {
        name if name.ends_with("__integer") => DataType::Int64,
        name if name.ends_with("__flag") => DataType::Bool,
        name if name.ends_with("__text") => DataType::Utf8,
        name if name.ends_with("__list") => DataType::FloatList,
        name if name.ends_with("__time") => micros(true),
        name if name.ends_with("__local_time") => micros(false),
        _ => DataType::Float64,
    }
}

const fn micros(is_utc: bool) -> DataType {
    DataType::Timestamp { unit: TimestampUnit::Micros, is_utc }
}

/// Whether the suffix of the name says which type it has.
pub(crate) fn has_suffix(name: &str) -> bool {
    type_of(name) != DataType::Float64 || name.ends_with("__number")
}

/// The name as readers see it that do not distinguish small letters from capital ones.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

impl DatasetNames {
    /// Forgets the columns from that number on.
    pub(crate) fn forget_from(&mut self, known: usize) {
        self.spellings.retain(|_, column| *column < known);
        for home in self.homes.values_mut().flatten() {
            *home = home.filter(|column| *column < known);
        }
    }
}
