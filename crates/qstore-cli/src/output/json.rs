//! The JSON document of a call: `{"schema":"qstore.VERB/1", …}` on one line.
//!
//! Within `/1` fields are only added. What JSON has no number for is the text `"NaN"`, `"Infinity"` or
//! `"-Infinity"`, so every document can be parsed by every parser.

use super::escape::is_obeyed;
use super::moment;
use qstore_schema::{BigInt, DataType, State, StateDict, Timestamp, TimestampUnit, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;
use std::io::{self, Write};
use std::path::Path;

/// A document: the schema, then the fields of the body.
#[derive(Debug, serde::Serialize)]
pub struct Document<'a, T> {
    schema: String,
    #[serde(flatten)]
    body: &'a T,
}

impl<'a, T: Serialize> Document<'a, T> {
    /// The document of a verb.
    pub fn new(verb: &str, body: &'a T) -> Self {
        Self { schema: format!("qstore.{verb}/1"), body }
    }
}

/// Writes a value as JSON on one line. What a terminal would obey is escaped, as JSON permits for every
/// character: a document that is printed is as harmless as a table.
///
/// # Errors
/// If it cannot be written.
pub fn write(writer: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *writer, Harmless);
    value.serialize(&mut serializer)?;
    writer.write_all(b"\n")
}

struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut start = 0;
        for (at, char) in fragment.char_indices().filter(|(_, char)| is_obeyed(*char)) {
            writer.write_all(&fragment.as_bytes()[start..at])?;
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            start = at + char.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }
}

/// A float, also one that JSON does not have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_finite() => serializer.serialize_f64(value),
            value if value.is_nan() => serializer.serialize_str("NaN"),
            value if value > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum(pub Value);

impl Serialize for Datum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Float(value) => Number(*value).serialize(serializer),
            Value::Text(value) => serializer.serialize_str(value),
            Value::List(values) => {
                serializer.collect_seq(values.iter().map(|value| Number(*value)))
            }
            Value::Timestamp(time) => serializer.serialize_str(&timestamp(*time)),
            _ => serializer.serialize_unit(),
        }
    }
}

/// A time of a column, with the digits of its unit: `2026-11-30T08:04:58.125Z`.
#[must_use]
pub fn timestamp(time: Timestamp) -> String {
    let unit = time.unit().per_second();
    let (seconds, rest) = (time.count().div_euclid(unit), time.count().rem_euclid(unit));
    let digits = match time.unit() {
        TimestampUnit::Millis => 3,
        TimestampUnit::Micros => 6,
        TimestampUnit::Nanos => 9,
    };
    let zone = if time.is_utc() { "Z" } else { "" };
    format!("{}.{rest:0digits$}{zone}", moment::civil(seconds))
}

/// A node of a state without tensors: metadata, or the plain values beside tensors.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a>(pub &'a State);

/// A dict of a state.
#[derive(Debug, Clone, Copy)]
pub struct Dict<'a>(pub &'a StateDict);

impl Serialize for Dict<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, node) in self.0.iter() {
            map.serialize_entry(&key.to_string(), &Node(node))?;
        }
        map.end()
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            State::Bool(value) => serializer.serialize_bool(*value),
            State::Int(value) => serializer.serialize_i64(*value),
            State::BigInt(value) => serializer.serialize_str(BigInt::as_str(value)),
            State::Float(value) => Number(*value).serialize(serializer),
            State::Complex([re, im]) => serializer.collect_seq([Number(*re), Number(*im)]),
            State::Text(value) => serializer.serialize_str(value),
            State::Bytes(bytes) => serializer.serialize_str(&format!("{} bytes", bytes.len())),
            State::Tensor(tensor) => {
                serializer.serialize_str(&format!("{} {:?}", tensor.dtype(), tensor.shape()))
            }
            State::List(nodes) | State::Tuple(nodes) => {
                serializer.collect_seq(nodes.iter().map(Node))
            }
            State::Dict(dict) => Dict(dict).serialize(serializer),
            _ => serializer.serialize_unit(),
        }
    }
}

/// A path as a JSON text. Bytes that are not text are replaced: a JSON text cannot hold them.
#[must_use]
pub fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The name of a column's type, in documents and on the screen.
#[must_use]
pub fn type_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Bool => "flag",
        DataType::Int64 => "int",
        DataType::Float64 => "float",
        DataType::Utf8 => "text",
        DataType::FloatList => "list",
        DataType::Timestamp { .. } => "time",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn the_schema_comes_first() {
        #[derive(serde::Serialize)]
        struct Body {
            zeta: u8,
            alpha: u8,
        }
        let document = text(&Document::new("ls", &Body { zeta: 1, alpha: 2 }));
        assert_eq!(document, r#"{"schema":"qstore.ls/1","zeta":1,"alpha":2}"#);
    }

    #[test]
    fn what_json_has_no_number_for_is_a_text() {
        let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300].map(Number);
        assert_eq!(text(&values), r#"["NaN","Infinity","-Infinity",-0.0,1e+300]"#);
        let list = Datum(Value::from([0.5, f64::NAN]));
        assert_eq!(text(&list), r#"[0.5,"NaN"]"#);
    }

    #[test]
    fn a_document_that_is_printed_is_harmless() {
        let name = "\u{9b}2J\u{202e}\u{e0041}\x1b\"\u{7f}ä";
        let mut line = Vec::new();
        write(&mut line, &name).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "\"\\u009b2J\\u202e\\udb40\\udc41\\u001b\\\"\\u007fä\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), name);
    }

    #[test]
    fn times_keep_the_digits_of_their_unit() {
        let time = Datum(Value::from(Timestamp::millis(-1)));
        assert_eq!(text(&time), r#""1969-12-31T23:59:59.999Z""#);
        let local = Datum(Value::from(Timestamp::nanos(1_000_000_001).local()));
        assert_eq!(text(&local), r#""1970-01-01T00:00:01.000000001""#);
    }
}
