//! Rows as JSON lines: an object a row, without its nulls.

use super::row_sink::RowSink;
use super::target::Target;
use crate::console::Console;
use crate::failure::Failure;
use crate::output::json::Datum;
use qstore_schema::{Field, Value};
use serde::ser::{SerializeMap, Serializer};

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

impl RowSink for Jsonl {
    fn begin(&mut self, fields: &[Field], _: &mut Console<'_>) -> Result<(), Failure> {
        self.names = fields.iter().map(|field| field.name.to_string()).collect();
        Ok(())
    }

    fn row(&mut self, row: &[Value], console: &mut Console<'_>) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut json = serde_json::Serializer::new(&mut line);
        let values = self.names.iter().zip(row).filter(|(_, value)| **value != Value::Null);
        let written = (&mut json).serialize_map(None).and_then(|mut map| {
            for (name, value) in values {
                map.serialize_entry(name, &Datum(value.clone()))?;
            }
            map.end()
        });
        written.map_err(|error| Failure::Output(error.into()))?;
        line.push(b'\n');
        self.target.write(&line, console)
    }

    fn finish(self: Box<Self>, console: &mut Console<'_>) -> Result<u64, Failure> {
        self.target.finish(console)
    }
}
