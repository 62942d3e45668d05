//! Which column of a dataset a value goes into: its name and its kind alone decide, so that a column has
//! one type in every part of every rank, although no rank knows what the others log.
//!
//! | value | column `NAME` |
//! |---|---|
//! | number | `NAME`, floats; an integer beyond 2^53, which a float would change: `NAME__integer` |
//! | flag | `NAME__flag` |
//! | text | `NAME__text` |
//!
//! A column that was announced or declared has the type that it was given, and takes values of that kind
//! under its own name. A metric whose own name ends in one of the suffixes is one of that type.
//!
//! A name that differs from a column's in its case only is refused: Spark takes the two for one. So is the
//! name of the partition column.

use super::{Rows, Visit, Why};
use crate::columns::column::{Placed, is_exact};
use qstore_schema::{DataType, SmolStr, ValueRef};
use std::collections::HashMap;

/// The column that the engines make of the names of the directories.
pub(crate) const PARTITION: &str = "rank";

/// What a dataset knows about the names of its columns.
#[derive(Debug)]
pub(crate) struct DatasetNames {
    /// The value of the partition column.
    rank: u32,
    /// The number of each column, by its name in small letters.
    spellings: HashMap<String, usize>,
    /// The column of each metric, for each kind of values, as far as it is known.
    homes: HashMap<SmolStr, [Option<usize>; KINDS]>,
}

const KINDS: usize = 5;

/// What a value is, as far as columns differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An integer that is the same as a float.
    Whole,
    /// An integer that a float would change.
    Large,
    Float,
    Flag,
    Text,
}

impl Kind {
    fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Int(value) if is_exact(value) => Some(Self::Whole),
            ValueRef::Int(_) => Some(Self::Large),
            ValueRef::Float(_) => Some(Self::Float),
            ValueRef::Bool(_) => Some(Self::Flag),
            ValueRef::Text(_) => Some(Self::Text),
            // A kind that has one type only keeps its own name.
            _ => None,
        }
    }

    fn fits(self, data_type: DataType) -> bool {
        match self {
            Self::Whole => matches!(data_type, DataType::Float64 | DataType::Int64),
            Self::Large => data_type == DataType::Int64,
            Self::Float => data_type == DataType::Float64,
            Self::Flag => data_type == DataType::Bool,
            Self::Text => data_type == DataType::Utf8,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Whole | Self::Float => "__number",
            Self::Large => "__integer",
            Self::Flag => "__flag",
            Self::Text => "__text",
        }
    }
}

/// The type of an undeclared column, which its name decides.
pub(crate) fn type_of(name: &str) -> DataType {
    match name {
        name if name.ends_with("__integer") => DataType::Int64,
        name if name.ends_with("__flag") => DataType::Bool,
        name if name.ends_with("__text") => DataType::Utf8,
        _ => DataType::Float64,
    }
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
    pub(super) fn forget_from(&mut self, known: usize) {
        self.spellings.retain(|_, column| *column < known);
        for homes in self.homes.values_mut() {
            homes.iter_mut().for_each(|home| *home = home.filter(|column| *column < known));
        }
    }
}

impl Rows {
    /// The same, of a part of the dataset in which this rank writes.
    pub(crate) fn of_rank(mut self, rank: u32) -> Self {
        let names = self.columns.iter().map(|column| folded(&column.field.name));
        let spellings = names.enumerate().map(|(index, name)| (name, index)).collect();
        self.dataset = Some(DatasetNames { rank, spellings, homes: HashMap::new() });
        self
    }

    /// The type that a column of that name has, or would have.
    fn type_of(&self, name: &SmolStr) -> DataType {
        let known = self.by_name.get(name).map(|index| self.columns[*index].field.data_type);
        known.unwrap_or_else(|| type_of(name))
    }

    /// The column for values of this kind of that metric, which is created if there is room for it.
    fn home(&mut self, name: &SmolStr, kind: Kind) -> Result<usize, Why> {
        let known = self.dataset.as_ref().and_then(|names| names.homes.get(name));
        if let Some(home) = known.and_then(|homes| homes[kind as usize]) {
            return Ok(home);
        }
        let mut own = name.clone();
        if !kind.fits(self.type_of(&own)) {
            own = SmolStr::from_iter([name.as_str(), kind.suffix()]);
        }
        let data_type = self.type_of(&own);
        let is_declared = |index: &usize| self.columns[*index].is_declared;
        if !kind.fits(data_type) || self.by_name.get(&own).is_some_and(is_declared) {
            return Err(Why::NoColumnOfItsKind);
        }
        let home = match self.by_name.get(&own) {
            Some(home) => *home,
            None => self.new_home(&own, data_type)?,
        };
        if let Some(names) = &mut self.dataset {
            names.homes.entry(name.clone()).or_default()[kind as usize] = Some(home);
        }
        Ok(home)
    }

    fn new_home(&mut self, name: &SmolStr, data_type: DataType) -> Result<usize, Why> {
        let folded = folded(name);
        let is_taken = |names: &DatasetNames| names.spellings.contains_key(&folded);
        // mutant: other_spelling_gets_a_column
        if self.dataset.as_ref().is_some_and(is_taken) {
            return Err(Why::OtherSpelling);
        }
        let home = self.column(name, data_type).ok_or(Why::TooManyColumns)?;
        if let Some(names) = &mut self.dataset {
            names.spellings.insert(folded, home);
        }
        Ok(home)
    }
}

impl Visit<'_, '_> {
    /// Sets the value of an undeclared metric in a dataset.
    pub(super) fn set_in_dataset(
        &mut self,
        name: &SmolStr,
        data_type: DataType,
        value: ValueRef<'_>,
    ) -> Result<(), Why> {
        let rank = self.rows.dataset.as_ref().map(|names| names.rank);
        // mutant: partition_column_written
        if name.len() == PARTITION.len() && folded(name) == PARTITION {
            let is_the_rank = match value {
                ValueRef::Int(value) => rank.map(i64::from) == Some(value),
                ValueRef::Float(value) => rank.map(f64::from) == Some(value),
                _ => false,
            };
            // Every reader shows it already.
            return if is_the_rank { Ok(()) } else { Err(Why::Partition) };
        }
        let column = match Kind::of(value) {
            Some(kind) => self.rows.home(name, kind)?,
            None => self.rows.column(name, data_type).ok_or(Why::TooManyColumns)?,
        };
        match self.set(column, value) {
            Placed::Whole | Placed::Widened => Ok(()),
            Placed::Twice => Err(Why::Twice),
            Placed::Clash | Placed::TooLarge => Err(Why::NoColumnFits(value.describe())),
        }
    }
}

#[cfg(test)]
mod tests;
