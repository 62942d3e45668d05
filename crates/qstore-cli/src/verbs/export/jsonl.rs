//! Rows as JSON lines: an object a row, without its nulls.

use super::row_sink::RowSink;
use super::target::Target;
use crate::console::Console;
use crate::failure::Failure;
use crate::output::json::{self, Datum};
use qstore_schema::{Field, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

#[derive(Debug)]
pub(super) struct Jsonl {
    target: Target,
    names: Vec<String>,
}

impl Jsonl {
    pub(super) fn new(target: Target) -> Self {
        Self { target, names: Vec::new() }
    }
}

/// A row as an object. What a terminal would obey is escaped, so the lines may be printed.
struct Object<'a>(&'a [String], &'a [Value]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let values = self.0.iter().zip(self.1).filter(|(_, value)| **value != Value::Null);
        for (name, value) in values {
            map.serialize_entry(name, &Datum(value.clone()))?;
        }
        map.end()
    }
}

impl RowSink for Jsonl {
    fn begin(&mut self, fields: &[Field], _: &mut Console<'_>) -> Result<(), Failure> {
        self.names = fields.iter().map(|field| field.name.to_string()).collect();
        Ok(())
    }

    fn row(&mut self, row: &[Value], console: &mut Console<'_>) -> Result<(), Failure> {
        let mut line = Vec::new();
        json::write(&mut line, &Object(&self.names, row)).map_err(Failure::Output)?;
        self.target.write(&line, console)
    }

    fn finish(self: Box<Self>, console: &mut Console<'_>) -> Result<u64, Failure> {
        self.target.finish(console)
    }
}
