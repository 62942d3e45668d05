//! JSON lines: an object a row. Objects within are flattened, their names joined by `.`; a list of numbers is a list.
//! The texts `NaN`, `Infinity` and `-Infinity` are the floats, as `qstore export` writes them.

use super::{Rows, malformed};
use crate::failure::Failure;
use qstore_schema::{SmolStr, Value};
use serde_json::Value as Json;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

pub(super) fn read(path: &Path, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::reading(path, error))?;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| Failure::reading(path, error))?;
        if line.trim().is_empty() {
            continue;
        }
        let at = |reason: String| malformed(path, format!("line {}: {reason}", number + 1));
        let json: Json = serde_json::from_str(&line).map_err(|error| at(error.to_string()))?;
        let Json::Object(_) = json else { return Err(at("it is not an object".into())) };
        let mut row = Vec::new();
        flatten(String::new(), json, &mut row);
        rows.push(row)?;
    }
    Ok(())
}

fn flatten(name: String, json: Json, row: &mut Vec<(SmolStr, Value)>) {
    let value = match json {
        Json::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                flatten(name, value, row);
            }
            return;
        }
        Json::Null => Value::Null,
        Json::Bool(value) => Value::from(value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::from(integer),
            (None, float) => Value::from(float.unwrap_or(f64::NAN)),
        },
        Json::String(text) => match &*text {
            "NaN" => Value::from(f64::NAN),
            "Infinity" => Value::from(f64::INFINITY),
            "-Infinity" => Value::from(f64::NEG_INFINITY),
            _ => Value::from(text.as_str()),
        },
        Json::Array(values) => {
            let numbers: Option<Vec<f64>> = values.iter().map(number).collect();
            match numbers {
                Some(numbers) => Value::List(numbers.into()),
                None => Value::from(&*Json::Array(values).to_string()),
            }
        }
    };
    row.push((name.into(), value));
}

fn number(json: &Json) -> Option<f64> {
    match json {
        Json::String(text) if text == "NaN" => Some(f64::NAN),
        Json::String(text) if text == "Infinity" => Some(f64::INFINITY),
        Json::String(text) if text == "-Infinity" => Some(f64::NEG_INFINITY),
        other => other.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_row() {
        let json = serde_json::json!({"step": 1, "a": {"b": 0.5, "c": [1, "NaN"]}, "t": "NaN", "x": [1, "y"]});
        let mut row = Vec::new();
        flatten(String::new(), json, &mut row);
        let find = |name: &str| &row.iter().find(|(known, _)| known == name).unwrap().1;
        assert_eq!((find("step"), find("a.b")), (&Value::from(1_i64), &Value::from(0.5)));
        assert!(matches!(find("a.c"), Value::List(list) if format!("{list:?}") == "[1.0, NaN]"));
        assert!(matches!(find("t"), Value::Float(value) if value.is_nan()));
        assert_eq!(find("x"), &Value::from("[1,\"y\"]"));
    }
}
