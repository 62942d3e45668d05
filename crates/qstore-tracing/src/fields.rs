//! The fields of a span or an event that become columns.

use qstore_schema::{Name, Value};
use smallvec::SmallVec;
use std::fmt;
use tracing_core::Field;
use tracing_core::field::Visit;

/// Number of fields that need no heap memory; most events have no more.
const INLINE: usize = 8;

/// Names and values, in the order in which they were recorded.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) values: SmallVec<[(Name, Value); INLINE]>,
    /// Whether a number or a flag is among them.
    pub(crate) has_number: bool,
}

impl Fields {
    fn number(&mut self, field: &Field, value: impl Into<Value>) {
        self.has_number = true;
        self.put(field, value);
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // The name of a field is a literal of the program, so nothing is interned.
        let name = Name::from_static(field.name());
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.values.push((name, value.into())),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.number(field, value),
            // Too large for a column of integers; as a float it would not fit that column either.
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.number(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match i64::try_from(value) {
            Ok(value) => self.number(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != "message" {
            self.put(field, value);
        }
    }

    /// The message, and values recorded with `%` or `?`: they are for people, not for columns.
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
