//! Rows as plain JSON, in which a test tells an external reader what to expect.
//!
//! A float is written as the hexadecimal digits of its bits: a reader must find exactly those. A time is
//! written as what it counts.

use qstore::schema::{Field, FieldVisitor, Record, SmolStr, TimestampUnit, ValueRef};
use serde_json::{Map, Value, json};

/// A record's values by column.
pub fn row<R: Record>(record: &R) -> Value {
    let mut row = Row { values: Map::new() };
    record.visit(&mut row);
    Value::Object(row.values)
}

/// A float as its bits.
pub fn float(number: f64) -> Value {
    json!({ "bits": format!("{:016x}", number.to_bits()) })
}

struct Row {
    values: Map<String, Value>,
}

impl FieldVisitor for Row {
    fn declared(&mut self, _: usize, field: &'static Field, value: ValueRef<'_>) {
        self.extra(&field.name, value);
    }

    fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>) {
        let value = match value {
            ValueRef::Bool(value) => json!(value),
            ValueRef::Int(value) => json!(value),
            ValueRef::Float(value) => float(value),
            ValueRef::Text(value) => json!(value),
            ValueRef::List(list) => list.iter().map(|element| float(*element)).collect(),
            ValueRef::Timestamp(time) => {
                let unit = match time.unit() {
                    TimestampUnit::Millis => "ms",
                    TimestampUnit::Micros => "us",
                    TimestampUnit::Nanos => "ns",
                };
                json!({ "count": time.count(), "unit": unit, "utc": time.is_utc() })
            }
            _ => Value::Null,
        };
        self.values.insert(name.to_string(), value);
    }
}
