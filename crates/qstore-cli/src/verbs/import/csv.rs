//! CSV as RFC 4180 has it, with a line of names. A field without quotes is null, an integer, a float, a flag or a
//! text, whichever it can be read as first; one in quotes is a text.

use super::{Rows, large, malformed, next_line};
use crate::failure::Failure;
use qstore_schema::{SmolStr, Value};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

pub(super) fn read(path: &Path, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::reading(path, error))?;
    let mut records = Records { reader: BufReader::new(file), line: 0 };
    let Some(heads) = records.next(path)? else { return Ok(()) };
    let names: Vec<SmolStr> = heads.into_iter().map(|field| field.text.into()).collect();
    if names.iter().any(SmolStr::is_empty) {
        return Err(malformed(path, "a column has no name in the first line; give it one"));
    }
    while let Some(record) = records.next(path)? {
        if record.len() != names.len() {
            let (line, found, wanted) = (records.line, record.len(), names.len());
            let reason =
                format!("the record that ends in line {line} has {found} fields, not {wanted}");
            return Err(malformed(path, reason));
        }
        let values = names.iter().cloned().zip(record.into_iter().map(Field::value));
        rows.push(values.collect())?;
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq)]
struct Field {
    text: String,
    is_quoted: bool,
}

impl Field {
    fn value(self) -> Value {
        let text = &*self.text;
        if self.is_quoted {
            return Value::from(text);
        }
        if text.is_empty() {
            return Value::Null;
        }
        if let Ok(integer) = text.parse::<i64>() {
            return Value::from(integer);
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return large(text);
        }
        // Only what looks like a number: `nan` and `inf` are also read by Rust, `infinity` as well.
        if let Ok(float) = text.parse::<f64>() {
            return Value::from(float);
        }
        match text {
            "true" | "True" | "TRUE" => Value::from(true),
            "false" | "False" | "FALSE" => Value::from(false),
            _ => Value::from(text),
        }
    }
}

/// The records of a file, one at a time.
struct Records<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Records<R> {
    /// The next record; a blank line is none.
    fn next(&mut self, path: &Path) -> Result<Option<Vec<Field>>, Failure> {
        let mut record = Vec::new();
        let mut is_open = false;
        loop {
            let start = record.len();
            let read = next_line(&mut self.reader, &mut record, path)?;
            self.line += 1;
            // As many quotes close a field as open one.
            is_open = record[start..].iter().fold(is_open, |open, byte| open ^ (*byte == b'"'));
            if read == 0 && record.is_empty() {
                return Ok(None);
            }
            if is_open && read == 0 {
                return Err(malformed(
                    path,
                    format!("a quote is missing before line {}", self.line),
                ));
            }
            if !is_open {
                let text = std::str::from_utf8(&record)
                    .map_err(|_| malformed(path, format!("line {} is not UTF-8", self.line)))?;
                let text = text.trim_end_matches(['\n', '\r']);
                // A byte order mark, as spreadsheets write it.
                let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
                if !text.is_empty() {
                    return Ok(Some(fields(text)));
                }
                record.clear();
                if read == 0 {
                    return Ok(None);
                }
            }
        }
    }
}

/// The fields of a record whose quotes are in pairs.
fn fields(record: &str) -> Vec<Field> {
    let mut fields = vec![Field::default()];
    let mut is_inside = false;
    let mut chars = record.chars().peekable();
    while let Some(char) = chars.next() {
        let field = fields.last_mut().expect("there is always a field");
        match char {
            '"' if is_inside && chars.peek() == Some(&'"') => {
                chars.next();
                field.text.push('"');
            }
            '"' => {
                is_inside = !is_inside;
                field.is_quoted = true;
            }
            ',' if !is_inside => fields.push(Field::default()),
            other => field.text.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<Vec<Value>> {
        let mut records = Records { reader: text.as_bytes(), line: 0 };
        let next = || records.next(Path::new("x.csv")).unwrap();
        let records = std::iter::from_fn(next);
        records.map(|record| record.into_iter().map(Field::value).collect()).collect()
    }

    #[test]
    fn fields_are_what_they_look_like() {
        let found = records(
            "\u{feff}1,-2.5,,\"\",NaN,true,a b,\"1\"\r\n\n1e3,inf,x,y,z,False,-,\"\"\"a\nb,\"\n",
        );
        assert_eq!(found.len(), 2);
        let first = &found[0];
        assert_eq!(first[..4], [1.into(), (-2.5).into(), Value::Null, "".into()]);
        assert!(matches!(first[4], Value::Float(value) if value.is_nan()));
        assert_eq!(first[5..], [true.into(), "a b".into(), "1".into()]);
        assert_eq!(found[1][0], Value::from(1000.0));
        assert_eq!(found[1][7], Value::from("\"a\nb,"));
    }

    #[test]
    fn a_missing_quote_is_reported_with_its_line() {
        let mut records = Records { reader: &b"a\n\"b\nc\n"[..], line: 0 };
        assert!(records.next(Path::new("x.csv")).unwrap().is_some());
        let error = records.next(Path::new("x.csv")).unwrap_err().to_string();
        assert!(error.contains("a quote is missing"), "{error}");
    }
}
