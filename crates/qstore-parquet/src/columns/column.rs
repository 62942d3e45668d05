//! One column of the rows held in memory.

use crate::columns::fit::Fit;
use crate::columns::present::Present;
use qstore_schema::{DataType, Field, SmolStr, ValueRef};
use std::ops::Range;
use std::sync::Arc;

/// One column of the held rows.
///
/// Nulls at the end are implied: a row without a value costs the column nothing, and a new column needs
/// no entry for the rows before it until it gets its first value.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) field: Field,
    /// Whether the record type declares it. Such a column never changes its type.
    pub(crate) is_declared: bool,
    /// Which values it takes while it has the type that the file gave it.
    pub(crate) fit: Fit,
    /// The values that are not null, without gaps.
    pub(crate) values: HeldValues,
    /// The rows that have a value. Not kept if the column is not nullable.
    pub(crate) present: Present,
}

/// The values of a held column, without nulls. ([`Values`](crate::columns::table::Values) are those that
/// were read, with nulls.)
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HeldValues {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<SmolStr>),
    /// Shared with the copies that are being encoded: a list may be longer than all other values of its row.
    List(Vec<Arc<[f64]>>),
}

/// Whether a column has taken a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    Whole,
    /// Integers became floats for it.
    Widened,
    /// The value is of another kind, or cannot be converted without changing.
    Clash,
    /// Another program has declared the column for smaller numbers.
    TooLarge,
    /// The row has a value in this column already.
    Twice,
}

/// Finds the largest integer, by magnitude, that the published file has in a column.
pub(crate) type LargestStored<'a> = dyn FnMut(usize) -> Result<i64, String> + 'a;

impl Column {
    pub(crate) fn new(field: Field, is_declared: bool) -> Self {
        let values = match field.data_type {
            DataType::Bool => HeldValues::Bool(Vec::new()),
            DataType::Int64 | DataType::Timestamp { .. } => HeldValues::Int(Vec::new()),
            DataType::FloatList => HeldValues::List(Vec::new()),
            DataType::Utf8 => HeldValues::Text(Vec::new()),
            _ => HeldValues::Float(Vec::new()),
        };
        Self { field, is_declared, fit: Fit::Any, values, present: Present::default() }
    }

    /// Whether no row has a value.
    pub(crate) fn is_null(&self) -> bool {
        self.field.nullable && self.values.len() == 0
    }

    /// About the memory of its values, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        each!(HeldValues, &self.values, list => list.capacity() * size_of_item(list))
    }

    /// Whether row number `row` has a value. No row after it has one.
    pub(crate) fn has(&self, row: usize) -> bool {
        if self.field.nullable { self.present.end() > row } else { self.values.len() > row }
    }

    /// Becomes a copy of some rows of another column.
    pub(crate) fn copy_from(&mut self, other: &Self, rows: &Range<usize>) {
        self.field.clone_from(&other.field);
        self.is_declared = other.is_declared;
        self.present.copy_from(&other.present, rows);
        self.values.copy_from(&other.values, other.values_of(rows));
    }

    /// The range of values that belong to these rows.
    pub(crate) fn values_of(&self, rows: &Range<usize>) -> Range<usize> {
        if self.field.nullable {
            self.present.before(rows.start)..self.present.before(rows.end)
        } else {
            rows.clone()
        }
    }

    /// Sets the value of row number `row`, which comes after all rows that have one. Integers become
    /// floats if the column is not declared and no integer in it would change, held or stored.
    pub(crate) fn set(
        &mut self,
        row: usize,
        value: ValueRef<'_>,
        largest_stored: impl FnOnce() -> Result<i64, String>,
    ) -> Placed {
        if self.has(row) {
            return Placed::Twice;
        }
        let is_float_for_int =
            matches!((&self.values, value), (HeldValues::Int(_), ValueRef::Float(_)));
        let may_widen = self.fit.may_widen() && self.field.data_type == DataType::Int64;
        let widens = is_float_for_int && !self.is_declared && may_widen;
        if widens && !largest_stored().is_ok_and(|largest| self.widen(largest)) {
            return Placed::Clash;
        }
        let Some(value) = self.counted(value) else { return Placed::Clash };
        let Some(value) = self.fitted(value) else { return Placed::TooLarge };
        if !self.values.push(value) {
            return Placed::Clash;
        }
        if self.field.nullable {
            self.present.push(row);
        }
        if widens { Placed::Widened } else { Placed::Whole }
    }

    /// A time as the count that the column stores; `None` if it is none of those.
    fn counted<'v>(&self, value: ValueRef<'v>) -> Option<ValueRef<'v>> {
        let ValueRef::Timestamp(time) = value else { return Some(value) };
        let DataType::Timestamp { unit, is_utc } = self.field.data_type else { return None };
        // mutant: local_time_stored_as_utc
        let count = time.count_in(unit).filter(|_| is_utc == time.is_utc());
        count.map(ValueRef::Int)
    }

    /// The number as a column of another program stores it; `None` if it is too large for that.
    fn fitted<'v>(&self, value: ValueRef<'v>) -> Option<ValueRef<'v>> {
        // A column that became one of floats is stored as ours.
        let fit = match self.values {
            HeldValues::Int(_) if self.fit != Fit::Float32 => self.fit,
            HeldValues::Float(_) | HeldValues::List(_) if self.fit == Fit::Float32 => self.fit,
            _ => Fit::Any,
        };
        match value {
            // mutant: narrow_column_takes_any_integer
            ValueRef::Int(number) => fit.takes(number).then_some(value),
            ValueRef::Float(number) => fit.rounded(number).map(ValueRef::Float),
            // They are rounded when they are encoded.
            ValueRef::List(list) => {
                list.iter().all(|number| fit.rounded(*number).is_some()).then_some(value)
            }
            value => Some(value),
        }
    }

    /// Turns integers into floats, unless one of them, held or stored, would change its value.
    fn widen(&mut self, largest_stored: i64) -> bool {
        let HeldValues::Int(values) = &self.values else { return false };
        if !values.iter().chain([&largest_stored]).all(|value| is_exact(*value)) {
            return false;
        }
        self.values = HeldValues::Float(values.iter().map(|value| *value as f64).collect());
        self.field.data_type = DataType::Float64;
        true
    }

    /// From here on, rows without a value are null; so far each has one.
    pub(crate) fn make_nullable(&mut self) {
        self.field.nullable = true;
        self.present = Present::all(self.values.len());
    }

    /// Undoes a widening; every value was an integer before.
    pub(crate) fn narrow(&mut self) {
        if let HeldValues::Float(values) = &self.values {
            self.values = HeldValues::Int(values.iter().map(|value| *value as i64).collect());
            self.field.data_type = DataType::Int64;
        }
    }

    /// Removes the value of the last row, which has one.
    pub(crate) fn pop(&mut self) {
        self.present.pop();
        self.values.pop();
    }

    pub(crate) fn forget(&mut self, rows: usize) {
        let values = self.values_of(&(0..rows)).end;
        self.values.forget(values);
        self.present.forget(rows);
    }
}

const fn size_of_item<T>(_: &[T]) -> usize {
    size_of::<T>()
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
            (Self::List(list), Self::List(others)) => copy(list, &others[range]),
            (_, Self::Bool(others)) => *self = Self::Bool(others[range].to_vec()),
            (_, Self::Int(others)) => *self = Self::Int(others[range].to_vec()),
            (_, Self::Float(others)) => *self = Self::Float(others[range].to_vec()),
            (_, Self::Text(others)) => *self = Self::Text(others[range].to_vec()),
            (_, Self::List(others)) => *self = Self::List(others[range].to_vec()),
        }
    }

    /// Adds a value; `false` if it is of another kind or would change. An integer is accepted for a
    /// float if the conversion is exact.
    fn push(&mut self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Self::Bool(values), ValueRef::Bool(value)) => values.push(value),
            (Self::Int(values), ValueRef::Int(value)) => values.push(value),
            (Self::Float(values), ValueRef::Float(value)) => values.push(value),
            (Self::Float(values), ValueRef::Int(value)) if is_exact(value) => {
                values.push(value as f64);
            }
            (Self::Text(values), ValueRef::Text(value)) => {
                // Texts such as the backend repeat for hours: share the text instead of copying it.
                let repeated = values.last().filter(|last| *last == value).cloned();
                values.push(repeated.unwrap_or_else(|| value.into()));
            }
            (Self::List(values), ValueRef::List(value)) => values.push(value.into()),
            _ => return false,
        }
        true
    }

    /// Drops what refers to memory elsewhere.
    pub(crate) fn release(&mut self) {
        match self {
            Self::Text(list) => list.clear(),
            Self::List(list) => list.clear(),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => {}
        }
    }

    fn pop(&mut self) {
        each!(HeldValues, self, list => drop(list.pop()));
    }

    fn forget(&mut self, count: usize) {
        each!(HeldValues, self, list => drop(list.drain(..count)));
    }
}
