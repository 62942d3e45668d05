//! A metric of a run as one number: `val_loss:min` is the least finite value of a column, `lr:last` its last one.
//!
//! Only rows that count are looked at: those that a resumed attempt has replaced are left out.

use crate::failure::Failure;
use crate::rows::number_of;
use qstore_run::{Direction, RunGoal, RunReader};
use qstore_schema::{DataType, Value};
use serde::Serialize;
use std::cmp::Ordering;
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
    /// Whether a greater number is a better one. A last value or a sum is judged by the goal of the run, or by
    /// what its name says.
    pub(crate) fn is_greatest_best(&self, goal: Option<&RunGoal>) -> bool {
        let of_name = || {
            let goal = goal.filter(|goal| goal.metric == self.name);
            goal.map_or_else(|| Fold::guess(&self.name), |goal| goal.direction.into())
        };
        match self.fold {
            Fold::Min => false,
            Fold::Max => true,
            Fold::Last | Fold::Sum => of_name() == Fold::Max,
        }
    }

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

/// Where a number is among those of other runs: the best first, then NaN and runs without one. Numbers of which the
/// least is best come before those of which the greatest is: they have nothing else in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rank {
    is_missing: bool,
    is_greatest_best: bool,
    /// Smaller is better.
    signed: f64,
}

impl Rank {
    pub(crate) fn new(number: Option<f64>, is_greatest_best: bool) -> Self {
        match number.filter(|number| !number.is_nan()) {
            Some(number) => {
                let signed = if is_greatest_best { -number } else { number };
                Self { is_missing: false, is_greatest_best, signed }
            }
            None => Self { is_missing: true, is_greatest_best: false, signed: 0.0 },
        }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let group = |rank: &Self| (rank.is_missing, rank.is_greatest_best);
        group(self).cmp(&group(other)).then(self.signed.total_cmp(&other.signed))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

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
    use proptest::prelude::*;

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

    #[test]
    fn a_last_value_is_judged_by_the_goal_or_by_its_name() {
        let is_greatest_best = |text: &str, goal: Option<&RunGoal>| {
            text.parse::<Metric>().unwrap().is_greatest_best(goal)
        };
        assert!(is_greatest_best("accuracy:last", None) && is_greatest_best("x:max", None));
        assert!(!is_greatest_best("loss:last", None) && !is_greatest_best("accuracy:min", None));
        let goal = RunGoal::new("gain", Direction::Max);
        assert!(is_greatest_best("gain:last", Some(&goal)));
        assert!(!is_greatest_best("gain:last", None) && !is_greatest_best("lr:last", Some(&goal)));
    }

    #[test]
    fn the_best_is_first_and_what_is_not_a_number_last() {
        let sorted = |is_greatest_best: bool| {
            let mut all = vec![None, Some(f64::NAN), Some(2.0), Some(f64::NEG_INFINITY), Some(1.0)];
            all.sort_by_key(|number| Rank::new(*number, is_greatest_best));
            format!("{all:?}")
        };
        assert_eq!(sorted(false), "[Some(-inf), Some(1.0), Some(2.0), None, Some(NaN)]");
        assert_eq!(sorted(true), "[Some(2.0), Some(1.0), Some(-inf), None, Some(NaN)]");
    }

    fn rank() -> impl Strategy<Value = Rank> {
        let number = prop_oneof![
            Just(None),
            Just(Some(f64::NAN)),
            Just(Some(-0.0)),
            (-2..3_i32).prop_map(|number| Some(number.into())),
            any::<f64>().prop_map(Some),
        ];
        (number, any::<bool>()).prop_map(|(number, is_best)| Rank::new(number, is_best))
    }

    proptest! {
        #[test]
        fn ranks_have_a_total_order(a in rank(), b in rank(), c in rank()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert!(a.cmp(&a).is_eq());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }
    }
}
