//! The rows held in memory, column by column: pending ones, and those whose row group is not full yet.
//!
//! A row is accepted whole or not at all: when one of its values does not fit, what the row has already
//! added is rolled back.

use crate::columns::fit::Fit;
use qstore_schema::{DataType, Field, FieldVisitor, Record, SmolStr, ValueRef};
use std::collections::HashMap;
use std::ops::Range;

/// The maximum number of columns; values of further names are left out. A metrics file has tens of
/// columns, and every column costs every reader something in every row group.
pub(crate) const COLUMNS_MAX: usize = 256;

/// One column of the held rows.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) field: Field,
    /// The type of an undeclared column may still widen.
    is_declared: bool,
    /// Which values it takes while it has the type that the file gave it.
    fit: Fit,
    /// The values that are not null, without gaps.
    pub(crate) values: HeldValues,
    /// One level per row: 1 for a value, 0 for null. Empty if the column is not nullable.
    pub(crate) levels: Vec<i16>,
}

/// The values of a held column, without nulls. ([`Values`](crate::columns::table::Values) are those that
/// were read, with nulls.)
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HeldValues {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<SmolStr>),
}

/// Why a row was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the row has no values, and the file has no columns yet")]
    Empty,
    #[error("a value has an empty name; every metric needs a name")]
    Unnamed,
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
    #[error(
        "column `{name}` holds integers and the row has a float; {number} in the column cannot become a float without changing"
    )]
    NotExact { name: SmolStr, number: i64 },
    #[error(
        "column `{name}` holds integers that could not be read, so it cannot become one of floats: {reason}"
    )]
    Unreadable { name: SmolStr, reason: String },
}

/// Finds the largest integer, by magnitude, that the published file has in a column.
pub(crate) type LargestStored<'a> = dyn FnMut(usize) -> Result<i64, String> + 'a;

/// All columns of the rows held.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<Column>,
    by_name: HashMap<SmolStr, usize>,
    /// The numbers of the record's declared columns in this file.
    declared: Vec<usize>,
    len: usize,
    columns_rejected: u64,
}

impl Rows {
    /// No rows, in a file with these `fields`, for records with these `declared` columns.
    pub(crate) fn new(fields: &[Field], declared: &[Field]) -> Self {
        let columns: Vec<_> = fields
            .iter()
            .map(|field| Column::new(field.clone(), declared.iter().any(|d| d.name == field.name)))
            .collect();
        let by_name: HashMap<_, _> =
            fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        let declared = declared.iter().map(|field| by_name[&field.name]).collect();
        Self { columns, by_name, declared, len: 0, columns_rejected: 0 }
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

    pub(crate) fn len(&self) -> usize {
        self.len
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

    /// The number of values that were left out because the file has the maximum number of columns.
    pub(crate) fn columns_rejected(&self) -> u64 {
        self.columns_rejected
    }

    /// Adds a row. `largest_stored` is called only when a column of integers has to become one of
    /// floats.
    pub(crate) fn push(
        &mut self,
        record: &impl Record,
        largest_stored: &mut LargestStored<'_>,
    ) -> Result<(), Rejection> {
        let known = self.columns.len();
        let mut visit = Visit { rows: self, largest_stored, widened: Vec::new(), rejection: None };
        record.visit(&mut visit);
        let Visit { widened, rejection, .. } = visit;
        match rejection.map_or_else(|| self.fill(), Err) {
            Ok(()) => {
                self.len += 1;
                Ok(())
            }
            Err(rejection) => {
                self.roll_back(known, &widened);
                Err(rejection)
            }
        }
    }

    /// Drops the oldest rows.
    pub(crate) fn forget(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.forget(rows);
        }
        self.len -= rows;
    }

    /// Adds a null to every column that the new row left out.
    fn fill(&mut self) -> Result<(), Rejection> {
        if self.columns.is_empty() {
            return Err(Rejection::Empty);
        }
        let wanted = self.len + 1;
        for column in &mut self.columns {
            if column.len() < wanted {
                column.push_null()?;
            }
        }
        Ok(())
    }

    /// Rolls back what a row has done: the columns it added, its values, the widening.
    fn roll_back(&mut self, columns: usize, widened: &[usize]) {
        for column in self.columns.drain(columns..) {
            self.by_name.remove(&column.field.name);
        }
        for column in &mut self.columns {
            if column.len() > self.len {
                column.pop();
            }
        }
        for index in widened {
            self.columns[*index].narrow();
        }
    }

    /// Sets one value of the new row; returns whether the column became one of floats for it.
    fn set(
        &mut self,
        index: usize,
        value: ValueRef<'_>,
        largest_stored: &mut LargestStored<'_>,
    ) -> Result<bool, Rejection> {
        let column = &mut self.columns[index];
        let name = || column.field.name.clone();
        if column.len() > self.len {
            return Err(Rejection::Twice { name: name() });
        }
        let is_float_for_int =
            matches!((&column.values, value), (HeldValues::Int(_), ValueRef::Float(_)));
        let widens = is_float_for_int && !column.is_declared && column.fit.may_widen();
        if widens {
            let largest = largest_stored(index)
                .map_err(|reason| Rejection::Unreadable { name: name(), reason })?;
            column.widen(largest)?;
        }
        column.push(value)?;
        Ok(widens)
    }

    fn add_column(&mut self, name: &SmolStr, data_type: DataType) -> Option<usize> {
        if self.columns.len() >= COLUMNS_MAX {
            self.columns_rejected += 1;
            return None;
        }
        let index = self.columns.len();
        let field = Field { name: name.clone(), data_type, nullable: true };
        let mut column = Column::new(field, false);
        column.levels.resize(self.len, 0);
        self.columns.push(column);
        self.by_name.insert(name.clone(), index);
        Some(index)
    }
}

/// Adds the values of one record; after the first one that does not fit it ignores the rest.
struct Visit<'a, 's> {
    rows: &'a mut Rows,
    largest_stored: &'a mut LargestStored<'s>,
    /// Columns that became floats for this row.
    widened: Vec<usize>,
    rejection: Option<Rejection>,
}

impl Visit<'_, '_> {
    fn set(&mut self, index: usize, value: ValueRef<'_>) {
        if self.rejection.is_some() {
            return;
        }
        match self.rows.set(index, value, self.largest_stored) {
            Ok(true) => self.widened.push(index),
            Ok(false) => {}
            Err(rejection) => self.rejection = Some(rejection),
        }
    }
}

impl FieldVisitor for Visit<'_, '_> {
    fn declared(&mut self, index: usize, _: &'static Field, value: ValueRef<'_>) {
        self.set(self.rows.declared[index], value);
    }

    fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>) {
        if name.is_empty() {
            self.rejection.get_or_insert(Rejection::Unnamed);
            return;
        }
        let known = self.rows.by_name.get(name).copied();
        let index = match (known, value.data_type()) {
            (Some(index), _) => Some(index),
            (None, Some(data_type)) => self.rows.add_column(name, data_type),
            // A null for a column that never had a value: there is no column yet.
            (None, None) => None,
        };
        if let Some(index) = index {
            self.set(index, value);
        }
    }
}

impl Column {
    fn new(field: Field, is_declared: bool) -> Self {
        let values = match field.data_type {
            DataType::Bool => HeldValues::Bool(Vec::new()),
            DataType::Int64 => HeldValues::Int(Vec::new()),
            DataType::Utf8 => HeldValues::Text(Vec::new()),
            _ => HeldValues::Float(Vec::new()),
        };
        Self { field, is_declared, fit: Fit::Any, values, levels: Vec::new() }
    }

    /// A column of nulls.
    pub(crate) fn nulls(field: Field, rows: usize) -> Self {
        let mut column = Self::new(field, false);
        column.levels.resize(rows, 0);
        column
    }

    fn len(&self) -> usize {
        if self.field.nullable { self.levels.len() } else { self.values.len() }
    }

    /// Becomes a copy of some rows of another column.
    fn copy_from(&mut self, other: &Self, rows: &Range<usize>) {
        self.field.clone_from(&other.field);
        self.is_declared = other.is_declared;
        self.levels.clear();
        if other.field.nullable {
            self.levels.extend_from_slice(&other.levels[rows.clone()]);
        }
        self.values.copy_from(&other.values, other.values_of(rows));
    }

    /// The range of values that belong to these rows.
    fn values_of(&self, rows: &Range<usize>) -> Range<usize> {
        if self.field.nullable {
            self.values_before(rows.start)..self.values_before(rows.end)
        } else {
            rows.clone()
        }
    }

    fn values_before(&self, row: usize) -> usize {
        self.levels[..row].iter().map(|level| *level as usize).sum()
    }

    fn push(&mut self, value: ValueRef<'_>) -> Result<(), Rejection> {
        let fit = self.fit();
        match (&mut self.values, value) {
            (_, ValueRef::Null) => return self.push_null(),
            (HeldValues::Bool(values), ValueRef::Bool(value)) => values.push(value),
            (HeldValues::Int(values), ValueRef::Int(value)) => {
                // mutant: narrow_column_takes_any_integer
                if !fit.takes(value) {
                    return Err(self.does_not_fit(&value));
                }
                values.push(value);
            }
            (HeldValues::Float(values), ValueRef::Float(value)) => match fit.rounded(value) {
                Some(value) => values.push(value),
                None => return Err(self.does_not_fit(&value)),
            },
            (HeldValues::Float(values), ValueRef::Int(value))
                if is_exact(value) && fit.takes(value) =>
            {
                values.push(value as f64);
            }
            (HeldValues::Text(values), ValueRef::Text(value)) => {
                // Texts such as the backend repeat for hours: share the text instead of copying it.
                let repeated = values.last().filter(|last| *last == value).cloned();
                values.push(repeated.unwrap_or_else(|| value.into()));
            }
            (_, value) => {
                return Err(Rejection::Clash {
                    name: self.field.name.clone(),
                    expected: self.field.data_type,
                    found: value.describe(),
                });
            }
        }
        if self.field.nullable {
            self.levels.push(1);
        }
        Ok(())
    }

    /// What it takes now: a column that became one of floats is stored as ours.
    fn fit(&self) -> Fit {
        match (&self.values, self.fit) {
            (HeldValues::Int(_), fit @ Fit::Integers { .. })
            | (HeldValues::Float(_), fit @ Fit::Float32) => fit,
            _ => Fit::Any,
        }
    }

    fn does_not_fit(&self, value: &dyn std::fmt::Display) -> Rejection {
        Rejection::TooLarge { name: self.field.name.clone(), value: value.to_string() }
    }

    fn push_null(&mut self) -> Result<(), Rejection> {
        if !self.field.nullable {
            return Err(Rejection::Missing { name: self.field.name.clone() });
        }
        self.levels.push(0);
        Ok(())
    }

    /// Turns integers into floats, unless one of them, held or stored, would change its value.
    fn widen(&mut self, largest_stored: i64) -> Result<(), Rejection> {
        let HeldValues::Int(values) = &self.values else { return Ok(()) };
        let not_exact = values.iter().chain([&largest_stored]).find(|value| !is_exact(**value));
        if let Some(number) = not_exact {
            return Err(Rejection::NotExact { name: self.field.name.clone(), number: *number });
        }
        self.values = HeldValues::Float(values.iter().map(|value| *value as f64).collect());
        self.field.data_type = DataType::Float64;
        Ok(())
    }

    /// Undoes a widening; every value was an integer before.
    fn narrow(&mut self) {
        if let HeldValues::Float(values) = &self.values {
            self.values = HeldValues::Int(values.iter().map(|value| *value as i64).collect());
            self.field.data_type = DataType::Int64;
        }
    }

    /// Removes the value of the last row.
    fn pop(&mut self) {
        let had_value = !self.field.nullable || self.levels.pop() == Some(1);
        if had_value {
            self.values.pop();
        }
    }

    fn forget(&mut self, rows: usize) {
        let values = self.values_of(&(0..rows)).end;
        self.values.forget(values);
        if self.field.nullable {
            self.levels.drain(..rows);
        }
    }
}

pub(crate) fn is_exact(value: i64) -> bool {
    value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}

impl HeldValues {
    pub(crate) fn len(&self) -> usize {
        each!(HeldValues, self, list => list.len())
    }

    /// Becomes a copy of some of the others, which may have another type.
    fn copy_from(&mut self, others: &Self, range: Range<usize>) {
        fn copy<T: Clone>(list: &mut Vec<T>, others: &[T]) {
            list.clear();
            list.extend_from_slice(others);
        }
        match (&mut *self, others) {
            (Self::Bool(list), Self::Bool(others)) => copy(list, &others[range]),
            (Self::Int(list), Self::Int(others)) => copy(list, &others[range]),
            (Self::Float(list), Self::Float(others)) => copy(list, &others[range]),
            (Self::Text(list), Self::Text(others)) => copy(list, &others[range]),
            (_, Self::Bool(others)) => *self = Self::Bool(others[range].to_vec()),
            (_, Self::Int(others)) => *self = Self::Int(others[range].to_vec()),
            (_, Self::Float(others)) => *self = Self::Float(others[range].to_vec()),
            (_, Self::Text(others)) => *self = Self::Text(others[range].to_vec()),
        }
    }

    fn pop(&mut self) {
        each!(HeldValues, self, list => drop(list.pop()));
    }

    fn forget(&mut self, count: usize) {
        each!(HeldValues, self, list => drop(list.drain(..count)));
    }
}

#[cfg(test)]
mod tests;
