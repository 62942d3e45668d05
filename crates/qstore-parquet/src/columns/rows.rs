//! The rows held in memory, column by column: pending ones, and those whose row group is not full yet.
//!
//! A row is rejected only for a declared column; then what it has already added is rolled back. A value
//! of an undeclared metric never takes its row away: a value of another kind than its column's goes into
//! a sibling column, and what cannot be stored even there is omitted and reported.

use crate::columns::column::{Column, LargestStored, Placed};
use crate::columns::dataset_names::{DatasetNames, PARTITION};
use crate::columns::fit::Fit;
use qstore_schema::{DataType, Field, FieldVisitor, Record, SmolStr, ValueRef};
use std::collections::HashMap;
use std::ops::Range;

mod dataset;

/// The maximum number of columns besides declared ones; values of further names are left out. Every column has
/// an entry in every
/// row group, which every reader reads: ten thousand take half a megabyte for each group.
pub(crate) const COLUMNS_MAX: usize = 10_000;

/// The memory of a number, and of a text besides its letters.
const NUMBER_BYTES: usize = 8;
const TEXT_BYTES: usize = 24;

/// How many columns a value is offered: its own, a sibling, and so on.
const COLUMNS_PER_METRIC: usize = 3;

/// Why a row was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the row has no values, and the file has no columns yet")]
    Empty,
    #[error("column `{name}` holds {expected}, but the row has {found}")]
    Clash { name: SmolStr, expected: DataType, found: &'static str },
    #[error(
        "column `{name}` was declared by another program for smaller numbers than {value}; choose another name or another file"
    )]
    TooLarge { name: SmolStr, value: String },
    #[error("column `{name}` requires a value, but the row has none")]
    Missing { name: SmolStr },
    #[error("column `{name}` was set twice in one row, or to a value of the wrong type")]
    Twice { name: SmolStr },
}

/// A value that was left out of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Omission {
    pub(crate) column: SmolStr,
    pub(crate) why: Why,
}

/// Why a value was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("a metric needs a name")]
    Unnamed,
    #[error("the file has {COLUMNS_MAX} columns for metrics, the maximum")]
    TooManyColumns,
    #[error("it was set twice in one row; the first value is kept")]
    Twice,
    #[error("it is {0}, and fits neither its column nor one for values of that kind")]
    NoColumnFits(&'static str),
    #[error("the column for values of its kind is declared with another type")]
    NoColumnOfItsKind,
    #[error(
        "another column has the same name with other capital letters, and Spark takes the two for one; \
         use one spelling"
    )]
    OtherSpelling,
    #[error(
        "readers of a dataset make a column `{}` of the names of its directories; use another name",
        PARTITION
    )]
    Partition,
}

/// All columns of the rows held.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<Column>,
    by_name: HashMap<SmolStr, usize>,
    /// Columns for the values of another kind than their column's.
    siblings: HashMap<(usize, Kind), usize>,
    /// In a part of a dataset: what decides about its columns.
    dataset: Option<DatasetNames>,
    /// The numbers of the record's declared columns in this file.
    declared: Vec<usize>,
    /// The numbers of the columns that have a value in every row so far, and whether the record requires
    /// that. If it does not, the column becomes nullable with the first row that has none.
    required: Vec<(usize, bool)>,
    /// The undeclared columns that rows have set one after the other: mostly, the next row sets the same
    /// ones in the same order, and then their names need not be looked up.
    order: Vec<usize>,
    /// Grows with every change of the columns.
    edition: u64,
    /// About the memory of all values.
    bytes: usize,
    len: usize,
}

/// A kind of values; each has a suffix for sibling columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Number,
    Flag,
    Text,
    List,
    Time,
}

impl Kind {
    const fn of(data_type: DataType) -> Self {
        match data_type {
            DataType::Bool => Self::Flag,
            DataType::Utf8 => Self::Text,
            DataType::FloatList => Self::List,
            DataType::Timestamp { .. } => Self::Time,
            _ => Self::Number,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Number => "__number",
            Self::Flag => "__flag",
            Self::Text => "__text",
            Self::List => "__list",
            Self::Time => "__time",
        }
    }
}

impl Rows {
    /// No rows, in a file with these `fields`, for records with these `declared` columns.
    pub(crate) fn new(fields: &[Field], declared: &[Field]) -> Self {
        let by_name: HashMap<_, _> =
            fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        let mut columns: Vec<_> =
            fields.iter().map(|field| Column::new(field.clone(), false)).collect();
        for field in declared {
            columns[by_name[&field.name]].is_declared = true;
        }
        let is_required = |field: &Field| {
            declared.iter().any(|known| known.name == field.name && !known.nullable)
        };
        let with_values = fields.iter().enumerate().filter(|(_, field)| !field.nullable);
        let required = with_values.map(|(index, field)| (index, is_required(field))).collect();
        let declared = declared.iter().map(|field| by_name[&field.name]).collect();
        Self {
            columns,
            by_name,
            siblings: HashMap::new(),
            dataset: None,
            declared,
            required,
            order: Vec::new(),
            edition: 0,
            bytes: 0,
            len: 0,
        }
    }

    /// The same, of columns that another program may have declared narrower: what each of them takes, in
    /// the order of the file.
    pub(crate) fn fitted(mut self, fits: Vec<Fit>) -> Self {
        for (column, fit) in self.columns.iter_mut().zip(fits) {
            column.fit = fit;
        }
        self
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|column| column.field.clone()).collect()
    }

    /// A number that is the same as long as the columns are.
    pub(crate) fn edition(&self) -> u64 {
        self.edition
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// About the memory of a row, at least 1.
    pub(crate) fn row_bytes(&self) -> usize {
        (self.bytes / self.len.max(1)).max(1)
    }

    /// A copy of some rows, column by column, in the memory of `copy`.
    pub(crate) fn copy(&self, rows: &Range<usize>, mut copy: Vec<Column>) -> Vec<Column> {
        let Self { columns, .. } = self;
        copy.truncate(columns.len());
        let new =
            columns[copy.len()..].iter().map(|column| Column::new(column.field.clone(), false));
        copy.extend(new);
        for (copy, column) in copy.iter_mut().zip(columns) {
            copy.copy_from(column, rows);
        }
        copy
    }

    /// Adds a row, and returns the values that were left out of it. `largest_stored` is called only when
    /// a column of integers has to become one of floats.
    pub(crate) fn push(
        &mut self,
        record: &impl Record,
        largest_stored: &mut LargestStored<'_>,
    ) -> Result<Vec<Omission>, Rejection> {
        let (known, bytes) = (self.columns.len(), self.bytes);
        let mut visit = Visit {
            rows: self,
            largest_stored,
            widened: Vec::new(),
            omitted: Vec::new(),
            rejection: None,
            place: 0,
        };
        record.visit(&mut visit);
        let Visit { widened, omitted, rejection, .. } = visit;
        let is_changed = self.columns.len() > known || !widened.is_empty();
        self.edition += u64::from(is_changed);
        match rejection.map_or_else(|| self.complete(), Err) {
            Ok(()) => {
                self.len += 1;
                Ok(omitted)
            }
            Err(rejection) => {
                self.roll_back(known, &widened);
                self.bytes = bytes;
                Err(rejection)
            }
        }
    }

    /// Drops the oldest rows.
    pub(crate) fn forget(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.forget(rows);
        }
        self.bytes -= self.row_bytes().saturating_mul(rows).min(self.bytes);
        self.len -= rows;
    }

    /// Checks that the new row has a value wherever the record requires one. Other columns of the file
    /// that had a value in every row become nullable if it has none.
    fn complete(&mut self) -> Result<(), Rejection> {
        let Self { columns, required, edition, len, .. } = self;
        if columns.is_empty() {
            return Err(Rejection::Empty);
        }
        let lacks = |columns: &[Column], index: usize| !columns[index].has(*len);
        let missing =
            required.iter().find(|(index, is_required)| *is_required && lacks(columns, *index));
        if let Some((index, _)) = missing {
            return Err(Rejection::Missing { name: columns[*index].field.name.clone() });
        }
        required.retain(|(index, _)| {
            let is_null = lacks(columns, *index);
            if is_null {
                columns[*index].make_nullable();
                *edition += 1;
            }
            !is_null
        });
        Ok(())
    }

    /// Rolls back what a row has done: the columns it added, its values, the widening.
    fn roll_back(&mut self, known: usize, widened: &[usize]) {
        for column in self.columns.drain(known..) {
            self.by_name.remove(&column.field.name);
        }
        self.siblings.retain(|_, sibling| *sibling < known);
        if let Some(names) = &mut self.dataset {
            names.forget_from(known);
        }
        self.order.retain(|index| *index < known);
        for column in self.columns.iter_mut().filter(|column| column.has(self.len)) {
            column.pop();
        }
        for index in widened.iter().filter(|index| **index < known) {
            self.columns[*index].narrow();
        }
    }

    /// The column of that name. `place` is that of the name among the undeclared ones of its row, the next of
    /// which has the next place: the row before mostly had the same name there.
    fn find(&mut self, name: &SmolStr, place: &mut usize) -> Option<usize> {
        let guess = self.order.get(*place).copied();
        if let Some(index) = guess.filter(|index| self.columns[*index].field.name == *name) {
            *place += 1;
            return Some(index);
        }
        let index = *self.by_name.get(name)?;
        if let Some(known) = self.order.get_mut(*place) {
            *known = index;
        } else if *place == self.order.len() {
            self.order.push(index);
        }
        *place += 1;
        Some(index)
    }

    /// Creates the column of that name, which does not exist, if there is room for it.
    fn create(&mut self, name: &SmolStr, data_type: DataType) -> Option<usize> {
        if self.columns.len() - self.declared.len() >= COLUMNS_MAX {
            return None;
        }
        let index = self.columns.len();
        let field = Field { name: name.clone(), data_type, nullable: true };
        self.columns.push(Column::new(field, false));
        self.by_name.insert(name.clone(), index);
        Some(index)
    }

    /// The column for values of another kind than those of column number `of`. It has the same name and a
    /// suffix. `None` if the file has the maximum number of columns.
    fn sibling(&mut self, of: usize, data_type: DataType) -> Option<usize> {
        let kind = Kind::of(data_type);
        if let Some(sibling) = self.siblings.get(&(of, kind)) {
            return Some(*sibling);
        }
        let name = SmolStr::from_iter([self.columns[of].field.name.as_str(), kind.suffix()]);
        let known = self.by_name.get(&name).copied();
        let sibling = known.or_else(|| self.create(&name, data_type))?;
        self.siblings.insert((of, kind), sibling);
        Some(sibling)
    }
}

/// About the memory of a value.
fn bytes_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(text) => TEXT_BYTES + text.len(),
        ValueRef::List(list) => TEXT_BYTES + size_of_val(list),
        _ => NUMBER_BYTES,
    }
}

/// The value in words, for a column that does not take it.
fn described(expected: DataType, value: ValueRef<'_>) -> &'static str {
    match (expected, value) {
        (DataType::Timestamp { is_utc, .. }, ValueRef::Timestamp(time)) => {
            match (is_utc, time.is_utc()) {
                (true, false) => "a local time, not one in UTC",
                (false, true) => "a time in UTC, not a local one",
                _ => "a time that is not a whole number of them",
            }
        }
        _ => value.describe(),
    }
}

/// A number as text.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Int(value) => value.to_string(),
        ValueRef::Float(value) => value.to_string(),
        value => value.describe().to_owned(),
    }
}

/// Adds the values of one record; after one that makes it rejected it ignores the rest.
struct Visit<'a, 's> {
    rows: &'a mut Rows,
    largest_stored: &'a mut LargestStored<'s>,
    /// Columns that became floats for this row.
    widened: Vec<usize>,
    omitted: Vec<Omission>,
    rejection: Option<Rejection>,
    /// The place of the next undeclared name in the row.
    place: usize,
}

impl Visit<'_, '_> {
    /// Sets the value of a column.
    fn set(&mut self, index: usize, value: ValueRef<'_>) -> Placed {
        let Self { rows, largest_stored, widened, .. } = self;
        let row = rows.len;
        let placed = rows.columns[index].set(row, value, || largest_stored(index));
        match placed {
            Placed::Whole => rows.bytes += bytes_of(value),
            Placed::Widened => {
                rows.bytes += bytes_of(value);
                widened.push(index);
            }
            Placed::Clash | Placed::TooLarge | Placed::Twice => {}
        }
        placed
    }

    /// Sets the value of a declared column, or rejects the row.
    fn set_declared(&mut self, index: usize, value: ValueRef<'_>) {
        if value == ValueRef::Null {
            return; // if the column needs a value, this is found in the end
        }
        let placed = self.set(index, value);
        let field = &self.rows.columns[index].field;
        let name = || field.name.clone();
        self.rejection = match placed {
            Placed::Whole | Placed::Widened => return,
            Placed::Twice => Some(Rejection::Twice { name: name() }),
            Placed::TooLarge => Some(Rejection::TooLarge { name: name(), value: shown(value) }),
            Placed::Clash => {
                let (expected, found) = (field.data_type, described(field.data_type, value));
                Some(Rejection::Clash { name: name(), expected, found })
            }
        };
    }

    /// Sets the value of an undeclared metric: in its column, or in a sibling, or not at all.
    fn set_undeclared(
        &mut self,
        (name, known): (&SmolStr, Option<usize>),
        data_type: DataType,
        value: ValueRef<'_>,
    ) -> Result<(), Why> {
        if name.is_empty() {
            return Err(Why::Unnamed);
        }
        if self.rows.dataset.is_some() {
            return self.set_in_dataset(name, value);
        }
        let column = known.or_else(|| self.rows.create(name, data_type));
        let mut column = column.ok_or(Why::TooManyColumns)?;
        // A sibling needs one of its own when it holds numbers and this one is not exact there, or when it
        // is another metric's.
        for _ in 0..COLUMNS_PER_METRIC {
            if self.rows.columns[column].is_declared {
                break;
            }
            match self.set(column, value) {
                Placed::Whole | Placed::Widened => return Ok(()),
                Placed::Twice => return Err(Why::Twice),
                Placed::Clash | Placed::TooLarge => {}
            }
            column = self.rows.sibling(column, data_type).ok_or(Why::TooManyColumns)?;
        }
        Err(Why::NoColumnFits(value.describe()))
    }
}

impl FieldVisitor for Visit<'_, '_> {
    fn declared(&mut self, index: usize, _: &'static Field, value: ValueRef<'_>) {
        if self.rejection.is_none() {
            self.set_declared(self.rows.declared[index], value);
        }
    }

    fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>) {
        if self.rejection.is_some() {
            return;
        }
        let known = self.rows.find(name, &mut self.place);
        if let Some(index) = known.filter(|index| self.rows.columns[*index].is_declared) {
            return self.set_declared(index, value);
        }
        // A null is what a row without the metric has as well.
        let Some(data_type) = value.data_type() else { return };
        if let Err(why) = self.set_undeclared((name, known), data_type, value) {
            self.omitted.push(Omission { column: name.clone(), why });
        }
    }
}

#[cfg(test)]
mod tests;
