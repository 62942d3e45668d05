//! Files of pyarrow, DuckDB and polars with random options: read equal, or refused as what cannot be decoded
//! here, never as damage. The same files are continued in columns of the same types, or refused untouched.
//!
//! `QSTORE_FOREIGN` is the number of files (80 by default), `QSTORE_SEED` makes other ones.

use qstore::parquet::{Appended, MetricsLog, OpenError, ReadError, Values};
use qstore::schema::Row;
use qstore::{MetricsFile, WriterSettings};
use qstore_tests::readers;
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Writes the files and returns what is in each.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, Value)> {
    let (seed, count) = (variable("QSTORE_SEED", "1"), variable("QSTORE_FOREIGN", "80"));
    readers::run("foreign_columns.py", &[dir, Path::new(&seed), Path::new(&count)]);
    let count: usize = count.parse().expect("a whole number");
    let file = |number| {
        let path = dir.join(format!("{number}.parquet"));
        let found = std::fs::read_to_string(path.with_extension("json")).expect("it was written");
        (path, serde_json::from_str(&found).expect("it is JSON"))
    };
    (0..count).map(file).collect()
}

/// The values as the script writes them.
fn shown(values: &Values) -> Vec<Value> {
    fn all<T>(list: &[Option<T>], show: impl Fn(&T) -> Value) -> Vec<Value> {
        list.iter().map(|value| value.as_ref().map_or(Value::Null, &show)).collect()
    }
    match values {
        Values::Bool(list) => all(list, |flag| (*flag).into()),
        Values::Int(list) => all(list, |integer| integer.to_string().into()),
        Values::Float(list) => all(list, |float| float.to_bits().to_string().into()),
        Values::Text(list) => all(list, |text| text.as_str().into()),
        Values::List(list) => all(list, |list| {
            list.iter().map(|float| Value::from(float.to_bits().to_string())).collect()
        }),
        other => panic!("{other:?}"),
    }
}

/// A NaN that was widened may have other bits.
fn is_equal(found: &Value, expected: &Value, kind: &str) -> bool {
    if let ("list", Value::Array(found), Value::Array(expected)) = (kind, found, expected) {
        let mut pairs = found.iter().zip(expected);
        return found.len() == expected.len() && pairs.all(|(a, b)| is_equal(a, b, "float"));
    }
    let is_nan = |value: &Value| {
        let bits = value.as_str().and_then(|text| text.parse().ok());
        kind == "float" && bits.is_some_and(|bits| f64::from_bits(bits).is_nan())
    };
    found == expected || is_nan(found) && is_nan(expected)
}

/// What is wrong with how the file is read.
fn check_reading(path: &Path, expected: &Value) -> Result<(), String> {
    let file = match MetricsFile::open(path) {
        Ok(file) => file,
        Err(ReadError::Unsupported { .. }) if expected["file"] == true => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if expected["file"] == true {
        return Err("it was opened".into());
    }
    let validation = file.validate().map_err(|error| error.to_string())?;
    if validation.is_damaged() {
        return Err(format!("{:?}", validation.damage));
    }
    for (name, column) in expected["columns"].as_object().expect("an object") {
        let table = file.read(&[name], 0..u64::MAX).map_err(|error| error.to_string())?;
        let found = shown(table.column(name).expect("it was asked for"));
        let values = column["values"].as_array().expect("a list");
        let kind = column["kind"].as_str().expect("a text");
        let mut pairs = found.iter().zip(values);
        if found.len() != values.len() || !pairs.all(|(a, b)| is_equal(a, b, kind)) {
            return Err(format!("column {name} is {found:?}, not {values:?}"));
        }
    }
    let refused = expected["refused"].as_array().expect("a list");
    for name in refused {
        let name = name.as_str().expect("a text");
        match file.read(&[name], 0..u64::MAX) {
            Err(ReadError::Unsupported { .. }) => {}
            // There may be no value in it that does not fit.
            Ok(table)
                if shown(table.column(name).expect("asked for")).iter().all(Value::is_null) => {}
            other => return Err(format!("column {name}: {other:?}")),
        }
    }
    if refused.is_empty() && !validation.is_whole() {
        return Err(format!("{:?}", validation.unchecked));
    }
    Ok(())
}

/// The first row of a file, as a row to log.
fn first_row(path: &Path) -> Result<Row, String> {
    let file = MetricsFile::open(path).map_err(|error| error.to_string())?;
    let table = file.read(&[], 0..1).map_err(|error| error.to_string())?;
    table.iter_rows().next().ok_or_else(|| "it has no row".into())
}

/// What is wrong with how the file is continued: with its first row once more, which fits all of its columns,
/// and a new column. If it is continued, a copy of what it was is beside it.
fn check_continuing(path: &Path, expected: &Value) -> Result<(), String> {
    let before = std::fs::read(path).expect("it is there");
    match MetricsLog::<Row>::open(path, WriterSettings::default()) {
        Ok(mut log) => {
            // A column that holds more than ours can is continued, but its first row cannot be read.
            let is_read = expected["refused"].as_array().expect("a list").is_empty();
            if is_read {
                let mut row = first_row(path)?;
                row.set("a new column", 0.5);
                let columns = log.fields().len();
                let appended = log.append(&row, Instant::now());
                if appended != Appended::Whole || log.fields().len() != columns + 1 {
                    return Err(format!("its own row does not fit: {appended:?}"));
                }
                std::fs::write(path.with_extension("before.parquet"), &before).expect("a copy");
            }
            log.close().map_err(|error| error.to_string())?;
            let validation = qstore::parquet::validate(path).map_err(|error| error.to_string())?;
            if is_read && !validation.is_whole() || validation.is_damaged() {
                return Err(format!("{validation:?}"));
            }
            Ok(())
        }
        Err(OpenError::SchemaConflict { .. } | OpenError::Unsupported { .. }) => {
            let is_untouched = std::fs::read(path).expect("it is there") == before;
            if is_untouched { Ok(()) } else { Err("it was refused and changed".into()) }
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Small files of programs that are not among the readers: fastparquet in each of its codecs, and encrypted
/// ones; `expected.json` beside them has what each program was given.
#[test]
fn golden_files_of_other_programs_are_read_or_refused_as_listed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/foreign");
    let text = std::fs::read_to_string(golden.join("expected.json")).unwrap();
    let list: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (name, expected) in &list {
        let copy = dir.path().join(name);
        std::fs::copy(golden.join(name), &copy).unwrap();
        let found = check_reading(&copy, expected);
        let found = found.and_then(|()| check_continuing(&copy, expected));
        found.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    readers::run("continued.py", &[dir.path()]);
    println!("{} cases: files", list.len());
}

#[test]
fn what_other_programs_write_is_read_equal_or_refused_and_never_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let files = files(dir.path());
    for (path, expected) in &files {
        let reading = check_reading(path, expected);
        let found = reading.and_then(|()| check_continuing(path, expected));
        wrong.extend(found.err().map(|error| {
            let error: String = error.chars().take(600).collect();
            format!("{} ({}): {error}", path.display(), expected["options"])
        }));
    }
    println!("{} cases: files", files.len());
    readers::run("continued.py", &[dir.path()]);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}
