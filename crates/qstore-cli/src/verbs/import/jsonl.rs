//! JSON lines: an object a row. Objects within are flattened, their names joined by `.`; a list of numbers is a list.
//! The texts `NaN`, `Infinity` and `-Infinity` are the floats, as `qstore export` writes them.

use super::{Rows, large, malformed, next_line};
use crate::failure::Failure;
use qstore_schema::{SmolStr, Value};
use serde_json::Value as Json;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub(super) fn read(path: &Path, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::reading(path, error))?;
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    for number in 1_u64.. {
        line.clear();
        if next_line(&mut reader, &mut line, path)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let at = |reason: String| malformed(path, format!("line {number}: {reason}"));
        let json: Json = serde_json::from_slice(&line).map_err(|error| at(error.to_string()))?;
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
            (None, _) if number.is_u64() => large(&number.to_string()),
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
