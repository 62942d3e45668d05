//! A plain second record of the run, for the tests: one JSON object a line, written at once.
//!
//! It is what a careful program would do without Q-Store, and it is as slow as that: every line is a
//! system call in the training thread. Numbers stand as the hexadecimal digits of their bits, so that
//! nothing is lost in the spelling.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use qstore::schema::{Field, FieldVisitor, SmolStr, ValueRef};
use qstore::{MetricsRow, Record, Row};
use serde_json::{Map, Value, json};

use crate::training::State;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal, at its end if it exists.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file })
    }

    /// A row that is about to be logged, before the logger stamps it.
    pub fn row(&mut self, row: &MetricsRow) -> io::Result<()> {
        let row = values(row);
        self.line(&json!({ "row": row }))
    }

    /// The metrics of an epoch that are about to be logged.
    pub fn epoch(&mut self, epoch: i64, train: &Row, val: &Row) -> io::Result<()> {
        let (train, val) = (values(train), values(val));
        self.line(&json!({ "epoch": epoch, "train": train, "val": val }))
    }

    /// How many rows of this session the writer has published by now.
    pub fn written(&mut self, rows: u64) -> io::Result<()> {
        self.line(&json!({ "written": rows }))
    }

    /// A checkpoint that is about to be saved.
    pub fn saving(&mut self, epoch: u64, state: &State) -> io::Result<()> {
        let bits = |numbers: &[f64]| numbers.iter().copied().map(bits).collect::<Vec<_>>();
        self.line(&json!({ "saving": {
            "epoch": epoch,
            "angles": bits(&state.parameters),
            "exp_avg": bits(&state.adam.m),
            "exp_avg_sq": bits(&state.adam.v),
        } }))
    }

    /// A checkpoint that is durable.
    pub fn durable(&mut self, epoch: u64) -> io::Result<()> {
        self.line(&json!({ "durable": epoch }))
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        self.file.write_all(format!("{value}\n").as_bytes())
    }
}

/// A record's values by name.
fn values(record: &impl Record) -> Map<String, Value> {
    let mut values = Values { values: Map::new() };
    record.visit(&mut values);
    values.values
}

struct Values {
    values: Map<String, Value>,
}

impl FieldVisitor for Values {
    fn declared(&mut self, _: usize, field: &'static Field, value: ValueRef<'_>) {
        self.extra(&field.name, value);
    }

    fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>) {
        let value = match value {
            ValueRef::Bool(value) => json!(value),
            ValueRef::Int(value) => json!(value),
            ValueRef::Float(value) => bits(value),
            ValueRef::Text(value) => json!(value),
            _ => Value::Null,
        };
        self.values.insert(name.to_string(), value);
    }
}

fn bits(number: f64) -> Value {
    json!({ "bits": format!("{:016x}", number.to_bits()) })
}
