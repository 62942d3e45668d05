//! One run in the table: what a line says without reading more than footers and ends of columns.

use crate::catalog::{Catalog, Listed, Version};
use crate::error::PageError;
use crate::number::{Number, millis};
use qstore_run::{Direction, RunLosses, RunReader, RunState};
use qstore_schema::{DataType, Value};
use serde::Serialize;

/// A line of the table of runs.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) id: usize,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) status: &'static str,
    /// How the status is known, or why it is not.
    reason: String,
    group: Option<String>,
    tags: Vec<String>,
    notes: String,
    created: Option<i64>,
    changed: Option<i64>,
    pub(crate) rows: u64,
    step: Option<i64>,
    epoch: Option<i64>,
    attempts: usize,
    metric: Option<MetricSummary>,
    /// Rows and values that are not in the file.
    lost: u64,
    /// Why it cannot be read.
    error: Option<String>,
    #[serde(skip)]
    state: Option<RunState>,
}

/// The number that a run is judged by.
#[derive(Debug, Clone, Serialize)]
struct MetricSummary {
    name: String,
    goal: &'static str,
    last: Option<Number>,
    best: Option<Number>,
    step: Option<i64>,
    epoch: Option<i64>,
}

impl Summary {
    /// Reads what is known of a run. One that cannot be read has the reason in its line and hides no other.
    pub(crate) fn read(catalog: &Catalog, run: &Listed, version: Version) -> Self {
        let mut summary = Self {
            id: run.id,
            name: run.name.clone(),
            version: version.text(),
            status: "unreadable",
            ..Self::default()
        };
        if let Err(error) = summary.fill(catalog, run) {
            summary.status = "unreadable";
            summary.error = Some(error.to_string());
        }
        summary
    }

    /// Whether its status changes only with one of its files.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.state, Some(RunState::Finished | RunState::Failed | RunState::Crashed))
    }

    /// Whether it has the status that it had: a lock that is taken or released leaves no trace in a file.
    pub(crate) fn is_still(&self, catalog: &Catalog, run: &Listed) -> bool {
        let status = catalog.open(run).ok().and_then(|reader| reader.status().ok());
        status.is_some_and(|status| Some(status.state) == self.state)
    }

    fn fill(&mut self, catalog: &Catalog, run: &Listed) -> Result<(), PageError> {
        let reader = catalog.open(run)?;
        let file = reader.run_json();
        self.group.clone_from(&file.group);
        self.tags.clone_from(&file.tags);
        self.notes.clone_from(&file.notes);
        self.created = Some(file.created.micros().div_euclid(1_000));
        self.changed = reader.changed().map(millis);
        self.attempts = file.attempts.len();
        let status = reader.status()?;
        self.reason = status.reason.to_string();
        let progress = reader.progress()?;
        (self.rows, self.step, self.epoch) = (progress.rows, progress.step, progress.epoch);
        let RunLosses { dropped, evicted, cleared, refused, rejected, omitted_values, .. } =
            reader.losses()?;
        let counts = [dropped, evicted, cleared, refused, rejected, omitted_values];
        self.lost = counts.into_iter().fold(0, u64::saturating_add);
        self.metric = MetricSummary::read(&reader)?;
        // Last, so that a run that cannot be read has no status that it can.
        (self.status, self.state) = (status.state.name(), Some(status.state));
        Ok(())
    }
}

impl MetricSummary {
    fn read(run: &RunReader) -> Result<Option<Self>, PageError> {
        let goal = run.run_json().goal.as_ref();
        let goal = goal.map(|goal| (goal.metric.clone(), goal.direction));
        let Some((name, direction)) = goal.or(usual(run)?) else { return Ok(None) };
        let last = run.last(&name)?.and_then(|last| number(&last.value));
        let best = run.best(&name, direction)?;
        Ok(Some(Self {
            name,
            goal: direction.name(),
            last: last.map(Number),
            best: best.map(|best| Number(best.value)),
            step: best.and_then(|best| best.step),
            epoch: best.and_then(|best| best.epoch),
        }))
    }
}

/// What most runs are judged by, if this one does not say.
fn usual(run: &RunReader) -> Result<Option<(String, Direction)>, PageError> {
    let names = numbers(run)?;
    let found = ["val_loss", "train_loss", "loss"]
        .into_iter()
        .find(|usual| names.iter().any(|name| name == usual));
    Ok(found.map(|name| (name.to_owned(), Direction::Min)))
}

/// The columns that can be drawn, in the order of the file, those that say where a row is left out.
pub(crate) fn numbers(run: &RunReader) -> Result<Vec<String>, PageError> {
    let Some(file) = run.metrics()? else { return Ok(Vec::new()) };
    let is_place = |name: &str| matches!(name, "epoch" | "step" | "timestamp");
    let is_number = |data_type| matches!(data_type, DataType::Int64 | DataType::Float64);
    let fields = file.fields().iter();
    let fields = fields.filter(|field| is_number(field.data_type) && !is_place(&field.name));
    Ok(fields.map(|field| field.name.to_string()).collect())
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        _ => None,
    }
}
