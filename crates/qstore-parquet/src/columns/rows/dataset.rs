//! Rows of a dataset: which column each value goes into, by the rules of
//! [`dataset_names`](crate::columns::dataset_names).

use super::{Rows, Visit, Why};
use crate::columns::column::Placed;
use crate::columns::dataset_names::{DatasetNames, Kind, PARTITION, folded, type_of};
use qstore_schema::{DataType, SmolStr, ValueRef};
use std::collections::HashMap;

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
        let home = self.create(name, data_type).ok_or(Why::TooManyColumns)?;
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
        let kind = Kind::of(value).ok_or(Why::NoColumnFits(value.describe()))?;
        let column = self.rows.home(name, kind)?;
        match self.set(column, value) {
            Placed::Whole | Placed::Widened => Ok(()),
            Placed::Twice => Err(Why::Twice),
            Placed::Clash | Placed::TooLarge => Err(Why::NoColumnFits(value.describe())),
        }
    }
}

#[cfg(test)]
mod tests;
