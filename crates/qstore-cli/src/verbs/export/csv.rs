//! Rows as CSV, as RFC 4180 has it: a line of names, then a line a row.
//!
//! Null is nothing between two commas, an empty text is `""`. Floats have all their digits, so they are read
//! back bit for bit; `NaN` and `inf` are written as pandas reads them. A list is JSON in quotes.

use super::row_sink::RowSink;
use super::target::Target;
use crate::console::Console;
use crate::failure::Failure;
use crate::output::json::{Datum, timestamp};
use qstore_schema::{Field, Value};
use std::fmt::Write;

#[derive(Debug)]
pub(super) struct Csv {
    target: Target,
    line: String,
}

impl Csv {
    pub(super) fn new(target: Target) -> Self {
        Self { target, line: String::new() }
    }

    fn end_line(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        self.line.push('\n');
        self.target.write(self.line.as_bytes(), console)?;
        self.line.clear();
        Ok(())
    }
}

impl RowSink for Csv {
    fn begin(&mut self, fields: &[Field], console: &mut Console<'_>) -> Result<(), Failure> {
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                self.line.push(',');
            }
            push_text(&mut self.line, &field.name);
        }
        self.end_line(console)
    }

    fn row(&mut self, row: &[Value], console: &mut Console<'_>) -> Result<(), Failure> {
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                self.line.push(',');
            }
            push(&mut self.line, value);
        }
        self.end_line(console)
    }

    fn finish(self: Box<Self>, console: &mut Console<'_>) -> Result<u64, Failure> {
        self.target.finish(console)
    }
}

/// Appends a value as a field.
fn push(line: &mut String, value: &Value) {
    match value {
        Value::Bool(value) => line.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => line.push_str(&value.to_string()),
        // The shortest text that is read back as the same number.
        Value::Float(value) => {
            let _ = write!(line, "{value:?}");
        }
        Value::Text(text) => push_text(line, text),
        Value::Timestamp(time) => line.push_str(&timestamp(*time)),
        Value::List(_) => {
            let list = serde_json::to_string(&Datum(value.clone())).unwrap_or_default();
            push_text(line, &list);
        }
        _ => {}
    }
}

/// Appends a text, in quotes where it could be taken for something else.
fn push_text(line: &mut String, text: &str) {
    let is_plain = !text.is_empty()
        && !text.contains([',', '"', '\n', '\r'])
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && text.parse::<f64>().is_err()
        && !matches!(text, "true" | "false");
    if is_plain {
        line.push_str(text);
        return;
    }
    line.push('"');
    line.push_str(&text.replace('"', "\"\""));
    line.push('"');
}
