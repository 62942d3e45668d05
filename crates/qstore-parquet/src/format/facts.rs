//! What is known about some values of a column without reading them: nulls, NaN, and finite bounds.
//!
//! Parquet's own statistics say nothing about a chunk with a NaN, because readers disagree on what a maximum
//! is then, and an infinity makes a bound that no picture can use.

use crate::columns::column::{Column, HeldValues};
use crate::columns::table::Values;
use std::ops::Range;

/// What is known about some values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Facts {
    pub(crate) nulls: u32,
    pub(crate) nans: u32,
    pub(crate) infinite: u32,
    /// The least and the largest finite number, if there is one.
    pub(crate) finite: Option<Finite>,
}

/// The least and the largest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Finite {
    Int(i64, i64),
    Float(f64, f64),
}

impl Facts {
    /// Of some rows of a column.
    pub(crate) fn of(column: &Column, rows: &Range<usize>) -> Self {
        let values = column.values_of(rows);
        let nulls = (rows.len() - values.len()) as u32;
        match &column.values {
            HeldValues::Int(all) => Self::of_ints(all[values].iter().copied(), nulls),
            HeldValues::Float(all) => Self::of_floats(all[values].iter().copied(), nulls),
            HeldValues::Bool(_) | HeldValues::Text(_) | HeldValues::List(_) => {
                Self { nulls, ..Self::default() }
            }
        }
    }

    /// Of values that were read.
    pub(crate) fn of_read(values: &Values) -> Self {
        fn nulls<T>(all: &[Option<T>]) -> u32 {
            all.iter().filter(|value| value.is_none()).count() as u32
        }
        match values {
            Values::Int(all) => Self::of_ints(all.iter().flatten().copied(), nulls(all)),
            Values::Float(all) => Self::of_floats(all.iter().flatten().copied(), nulls(all)),
            Values::Bool(all) => Self { nulls: nulls(all), ..Self::default() },
            Values::Text(all) => Self { nulls: nulls(all), ..Self::default() },
            Values::List(all) => Self { nulls: nulls(all), ..Self::default() },
        }
    }

    /// Of a column that is null in all rows.
    pub(crate) fn null(rows: usize) -> Self {
        Self { nulls: rows as u32, ..Self::default() }
    }

    fn of_ints(values: impl Iterator<Item = i64>, nulls: u32) -> Self {
        let bounds = values.fold(None, |bounds: Option<(i64, i64)>, value| {
            let (min, max) = bounds.unwrap_or((value, value));
            Some((min.min(value), max.max(value)))
        });
        Self { nulls, finite: bounds.map(|(min, max)| Finite::Int(min, max)), ..Self::default() }
    }

    fn of_floats(values: impl Iterator<Item = f64>, nulls: u32) -> Self {
        let mut facts = Self { nulls, ..Self::default() };
        let mut bounds: Option<(f64, f64)> = None;
        for value in values {
            if value.is_finite() {
                let (min, max) = bounds.unwrap_or((value, value));
                bounds = Some((min.min(value), max.max(value)));
            } else if value.is_nan() {
                facts.nans += 1;
            } else {
                facts.infinite += 1;
            }
        }
        facts.finite = bounds.map(|(min, max)| Finite::Float(min, max));
        facts
    }

    /// Of these values and those of another.
    pub(crate) fn with(self, other: Self) -> Self {
        let finite = match (self.finite, other.finite) {
            (Some(Finite::Int(min, max)), Some(Finite::Int(least, largest))) => {
                Some(Finite::Int(min.min(least), max.max(largest)))
            }
            (Some(Finite::Float(min, max)), Some(Finite::Float(least, largest))) => {
                Some(Finite::Float(min.min(least), max.max(largest)))
            }
            (one, None) => one,
            (None, other) => other,
            // The values of a column have one type.
            (Some(_), Some(_)) => None,
        };
        Self {
            nulls: self.nulls + other.nulls,
            nans: self.nans + other.nans,
            infinite: self.infinite + other.infinite,
            finite,
        }
    }

    /// The same of values that became floats.
    pub(crate) fn as_floats(self) -> Self {
        let finite = match self.finite {
            // They are exact: otherwise the column would not have changed.
            Some(Finite::Int(min, max)) => Some(Finite::Float(min as f64, max as f64)),
            finite => finite,
        };
        Self { finite, ..self }
    }

    /// Whether there is a number that is not finite.
    pub(crate) fn has_odd(&self) -> bool {
        self.nans > 0 || self.infinite > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_of_finite_numbers_and_the_others_are_counted() {
        let facts = |all: &[Option<f64>]| Facts::of_read(&Values::Float(all.to_vec()));
        let (nan, inf) = (Some(f64::NAN), Some(f64::INFINITY));
        let found = facts(&[nan, Some(2.0), None, inf, Some(-1.0), Some(f64::NEG_INFINITY), nan]);
        let finite = Some(Finite::Float(-1.0, 2.0));
        assert_eq!(found, Facts { nulls: 1, nans: 2, infinite: 2, finite });
        assert_eq!(facts(&[nan, None, inf]).finite, None);
        let both = facts(&[nan, Some(3.0)]).with(facts(&[inf])).with(facts(&[Some(-4.0), None]));
        let finite = Some(Finite::Float(-4.0, 3.0));
        assert_eq!(both, Facts { nulls: 1, nans: 1, infinite: 1, finite });
        let ints = Facts::of_read(&Values::Int(vec![Some(i64::MAX), None, Some(-1)]));
        assert_eq!((ints.nulls, ints.finite), (1, Some(Finite::Int(-1, i64::MAX))));
    }
}
