//! One table of many runs: a row a run, with its parameters, and the last and the best of each metric.

use crate::console::Console;
use crate::failure::Failure;
use crate::metric::{self, Fold, Metric, numbers};
use crate::output::moment;
use crate::runs;
use qstore_run::{JsonValue, RunReader};
use qstore_schema::{DataType, Field, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

/// The columns that every run has.
const FIXED: [&str; 9] =
    ["run", "id", "group", "tags", "status", "created", "attempts", "rows", "git_commit"];

/// The columns and rows of the table. The columns of parameters and metrics are sorted by their names.
pub(super) fn of(
    paths: &[PathBuf],
    console: &mut Console<'_>,
) -> Result<(Vec<Field>, Vec<Vec<Value>>), Failure> {
    let runs = runs::open(paths, "export --all", console)?;
    let mut columns: BTreeMap<(bool, String), DataType> = BTreeMap::new();
    let mut rows = Vec::new();
    for (done, run) in runs.iter().enumerate() {
        let mut row = BTreeMap::new();
        for (name, value) in &run.run_json().params {
            row.insert((false, format!("params.{name}")), param(value));
        }
        add_metrics(run, &mut row)?;
        for (key, value) in &row {
            if let Some(data_type) = value.as_ref().data_type() {
                columns.entry(key.clone()).or_insert(data_type);
            }
        }
        rows.push(row);
        console.progress(format!("{} of {} runs", done + 1, runs.len()));
        console.go_on()?;
    }
    let fixed = FIXED.map(|name| (name.to_owned(), fixed_type(name)));
    let others = columns.iter().map(|((_, name), data_type)| (name.clone(), *data_type));
    let fields = fixed.into_iter().chain(others);
    let field =
        |(name, data_type): (String, _)| Field { name: name.into(), data_type, nullable: true };
    let fields = fields.map(field).collect();
    let mut table = Vec::new();
    for (run, row) in runs.iter().zip(rows) {
        let values = columns.keys().map(|key| row.get(key).cloned().unwrap_or_default());
        table.push(fixed_values(run)?.into_iter().chain(values).collect());
    }
    Ok((fields, table))
}

fn fixed_type(name: &str) -> DataType {
    if matches!(name, "attempts" | "rows") { DataType::Int64 } else { DataType::Utf8 }
}

fn fixed_values(run: &RunReader) -> Result<[Value; FIXED.len()], Failure> {
    let file = run.run_json();
    let status = run.status()?.state.name();
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    let git = file.last_attempt().and_then(|attempt| attempt.git.as_ref());
    let created = moment::utc(SystemTime::from(file.created));
    Ok([
        Value::from(&*runs::name(run)),
        text(&file.id),
        text(file.group.as_deref().unwrap_or_default()),
        text(&file.tags.join(",")),
        Value::from(status),
        Value::from(&*created),
        Value::from(file.attempts.len() as i64),
        Value::from(run.progress()?.rows as i64),
        text(git.map_or("", |git| &git.commit)),
    ])
}

fn add_metrics(run: &RunReader, row: &mut BTreeMap<(bool, String), Value>) -> Result<(), Failure> {
    for name in numbers(run)? {
        if let Some(last) = metric::last(run, &name)? {
            row.insert((true, format!("{name}.last")), Value::from(last.value));
        }
        let goal = run.run_json().goal.as_ref().filter(|goal| goal.metric == name);
        let fold = goal.map_or(Fold::guess(&name), |goal| goal.direction.into());
        if fold == Fold::Last {
            continue;
        }
        let metric = Metric { name, fold };
        if let Some(found) = metric.of(run)? {
            let Metric { name, fold } = metric;
            row.insert((true, format!("{name}.{}", fold.name())), Value::from(found.value));
        }
    }
    Ok(())
}

fn param(value: &JsonValue) -> Value {
    match value {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(value) => Value::from(*value),
        JsonValue::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(float)) => Value::from(float),
            _ => Value::from(&*number.to_string()),
        },
        JsonValue::String(text) => Value::from(&**text),
        other => Value::from(&*other.to_string()),
    }
}
