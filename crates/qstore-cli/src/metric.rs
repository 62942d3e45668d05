//! A metric of a run as one number: `val_loss:min` is the least finite value of a column, `lr:last` its last one.
//!
//! Only rows that count are looked at: those that a resumed attempt has replaced are left out.

use crate::failure::Failure;
use crate::rows::number_of;
use qstore_run::{Direction, RunReader};
use qstore_schema::{DataType, Value};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Columns that say where a row is, and are not metrics.
pub(crate) const PLACES: [&str; 3] = ["epoch", "step", "timestamp"];

/// How a column becomes one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fold {
    /// The least finite value.
    Min,
    /// The greatest finite value.
    Max,
    /// The last value that is not null.
    Last,
    /// The sum of all finite values.
    Sum,
}

/// A column, and how it becomes one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) fold: Fold,
}

/// A number of a run, and where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) value: f64,
    pub(crate) step: Option<i64>,
    pub(crate) epoch: Option<i64>,
}

impl FromStr for Metric {
    type Err = String;

    /// `NAME`, or `NAME:FOLD`. A name may have colons in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, fold) = match text.rsplit_once(':') {
            Some((name, "min")) => (name, Fold::Min),
            Some((name, "max")) => (name, Fold::Max),
            Some((name, "last")) => (name, Fold::Last),
            Some((name, "sum")) => (name, Fold::Sum),
            _ => (text, Fold::guess(text)),
        };
        if name.is_empty() {
            return Err("write NAME:min, NAME:max, NAME:last or NAME:sum".into());
        }
        Ok(Self { name: name.into(), fold })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.fold.name())
    }
}

impl Fold {
    /// What a column of that name is most likely judged by.
    pub(crate) fn guess(name: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        match () {
            () if has(&["cost_usd", "credits_used"]) => Self::Sum,
            () if has(&["loss", "error", "perplexity"]) => Self::Min,
            () if has(&["acc", "score", "fidelity", "reward", "auc", "f1"]) => Self::Max,
            () => Self::Last,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Last => "last",
            Self::Sum => "sum",
        }
    }
}

impl From<Direction> for Fold {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Min => Self::Min,
            Direction::Max => Self::Max,
        }
    }
}

impl Metric {
    /// The metric that a run is judged by: its goal, or the first column that is usual.
    pub(crate) fn of_run(run: &RunReader) -> Result<Option<Self>, Failure> {
        if let Some(goal) = &run.run_json().goal {
            return Ok(Some(Self { name: goal.metric.clone(), fold: goal.direction.into() }));
        }
        let names = numbers(run)?;
        let usual = ["val_loss", "train_loss", "loss"]
            .iter()
            .find(|usual| names.iter().any(|name| name == *usual));
        Ok(usual.map(|name| Self { name: (*name).into(), fold: Fold::Min }))
    }

    /// The number of a run; `None` if it has none.
    pub(crate) fn of(&self, run: &RunReader) -> Result<Option<Found>, Failure> {
        match self.fold {
            Fold::Min => best(run, &self.name, Direction::Min),
            Fold::Max => best(run, &self.name, Direction::Max),
            Fold::Last => last(run, &self.name),
            Fold::Sum => sum(run, &self.name),
        }
    }
}

/// The columns of a run that hold numbers and are metrics.
pub(crate) fn numbers(run: &RunReader) -> Result<Vec<String>, Failure> {
    let Some(file) = run.metrics()? else { return Ok(Vec::new()) };
    let is_number = |data_type| matches!(data_type, DataType::Int64 | DataType::Float64);
    let fields = file.fields().iter().filter(|field| is_number(field.data_type));
    let names = fields.map(|field| field.name.to_string());
    Ok(names.filter(|name| !PLACES.contains(&name.as_str())).collect())
}

fn best(run: &RunReader, name: &str, direction: Direction) -> Result<Option<Found>, Failure> {
    let best = run.best(name, direction)?;
    Ok(best.map(|best| Found { value: best.value, step: best.step, epoch: best.epoch }))
}

/// The last value of a column of numbers.
pub(crate) fn last(run: &RunReader, name: &str) -> Result<Option<Found>, Failure> {
    let Some(last) = run.last(name)? else { return Ok(None) };
    let value = match last.value {
        Value::Int(value) => value as f64,
        Value::Float(value) => value,
        Value::Bool(value) => f64::from(u8::from(value)),
        _ => return Ok(None),
    };
    Ok(Some(Found { value, step: last.step, epoch: last.epoch }))
}

fn sum(run: &RunReader, name: &str) -> Result<Option<Found>, Failure> {
    let Some(file) = run.metrics()? else { return Ok(None) };
    if !file.fields().iter().any(|field| field.name == name) {
        return Ok(None);
    }
    let mut sum = None;
    for part in run.current_rows()? {
        for batch in file.batches(&[name], part.rows)? {
            let batch = batch?;
            let numbers =
                (0..batch.rows).filter_map(|row| number_of(&batch.columns[0].values, row));
            for value in numbers.filter(|value| value.is_finite()) {
                sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
    }
    Ok(sum.map(|value| Found { value, step: None, epoch: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_a_name_and_a_fold() {
        let check = |text: &str, name: &str, fold: Fold| {
            let metric: Metric = text.parse().unwrap();
            assert_eq!((&*metric.name, metric.fold), (name, fold), "{text}");
        };
        check("val_loss:max", "val_loss", Fold::Max);
        check("val_loss", "val_loss", Fold::Min);
        check("test/accuracy", "test/accuracy", Fold::Max);
        check("cost_usd", "cost_usd", Fold::Sum);
        check("lr", "lr", Fold::Last);
        check("a:b", "a:b", Fold::Last);
        check("a:b:sum", "a:b", Fold::Sum);
        assert!(":min".parse::<Metric>().is_err());
    }
}
