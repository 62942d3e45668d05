//! Burn's metrics as rows.

use crate::joint::{Joint, lock};
use crate::names;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use qstore_logger::MetricsRow;
use qstore_schema::{Name, Row, TrainingMetrics};
use std::collections::HashMap;
use std::sync::Arc;

/// Logs a row for each training batch, and one for each epoch with what burn computes at its end.
///
/// The loss of a batch is the column `train_loss`; every other numeric metric is a column of its own, in lower case. The
/// row of an epoch has step −1 and the metrics of the validation with the prefix `val_`. Metrics that are texts are not
/// logged. Burn says an epoch and no step, so steps are counted here, over all attempts.
pub struct RunMetricLogger {
    joint: Arc<Joint>,
    names: HashMap<MetricId, Arc<String>>,
    /// The metrics of the running epoch, as burn has sent them.
    points: HashMap<(String, bool), Vec<NumericEntry>>,
    epoch: usize,
}

impl RunMetricLogger {
    pub(crate) fn new(joint: Arc<Joint>) -> Self {
        joint.logger_made();
        Self { joint, names: HashMap::new(), points: HashMap::new(), epoch: 0 }
    }

    /// What an epoch came to, for one split.
    fn totals(&self, is_valid: bool) -> Row {
        let mut row = Row::new();
        let mut totals: Vec<_> = self
            .points
            .iter()
            .filter(|((_, valid), _)| *valid == is_valid)
            .filter_map(|((name, _), points)| Some((names::column(name), total(points)?)))
            .collect();
        totals.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, value) in totals {
            row.set(name, value);
        }
        row
    }

    /// Logs the row of the epoch that has ended.
    fn end_epoch(&mut self) {
        if self.epoch == 0 || self.points.is_empty() {
            return;
        }
        let (train, valid) = (self.totals(false), self.totals(true));
        let logged = self
            .joint
            .with_run(|run| run.log_epoch(self.epoch as i64, train.clone(), valid.clone()));
        if let Err(error) = logged {
            self.joint.note(|| error.to_string());
        }
        self.joint.epoch_logged(self.epoch as u64, &valid);
        lock(&self.joint.history).add(self.epoch, &train, &valid);
        self.points.clear();
    }
}

impl MetricLogger for RunMetricLogger {
    fn log(&mut self, update: MetricsUpdate, epoch: usize, split: &Split) {
        let is_valid = match split {
            Split::Train => false,
            Split::Valid => true,
            Split::Test(_) => return,
        };
        if epoch != self.epoch {
            // Interrupted before its validation.
            self.end_epoch();
            self.epoch = epoch;
        }
        let mut row = TrainingMetrics { epoch: epoch as i64, ..TrainingMetrics::default() };
        let mut others = Vec::new();
        let mut is_step = false;
        for numeric in update.entries_numeric {
            let Some(entry) = numeric.numeric_entry else { continue };
            let id = &numeric.entry.metric_id;
            let Some(name) = self.names.get(id).map(ToString::to_string) else { continue };
            if !matches!(entry, NumericEntry::Final(_)) {
                is_step = true;
                match names::column(&name) {
                    column if column == "loss" => row.train_loss = Some(entry.current()),
                    column => others.push((column, entry.current())),
                }
            }
            self.points.entry((name, is_valid)).or_default().push(entry);
        }
        if is_valid || !is_step {
            return;
        }
        row.step = self.joint.next_step();
        let row = others.into_iter().fold(MetricsRow::from(row), |row, (column, value)| {
            row.with(Name::new(&column), value)
        });
        if let Err(error) = self.joint.with_run(|run| run.log_step(row)) {
            self.joint.note(|| error.to_string());
        }
    }

    /// The metric of any epoch, also of one before this process. One that is not known has no values: burn ends with a
    /// panic if no logger has an answer.
    fn read_numeric(
        &mut self,
        name: &str,
        epoch: usize,
        split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        let is_valid = *split == Split::Valid;
        let running = (name.to_owned(), is_valid);
        if epoch == self.epoch
            && let Some(points) = self.points.get(&running)
        {
            return Ok(points.clone());
        }
        let known = lock(&self.joint.history).get(epoch, &names::column(name), is_valid);
        Ok(known.map(NumericEntry::Final).into_iter().collect())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }

    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        if summary.split == Split::Valid {
            self.end_epoch();
        }
    }
}

impl Drop for RunMetricLogger {
    fn drop(&mut self) {
        self.end_epoch();
        self.joint.logger_gone();
    }
}

/// As burn computes it: the final value if there is one, else the mean over all elements.
fn total(points: &[NumericEntry]) -> Option<f64> {
    if let Some(NumericEntry::Final(value)) = points.last() {
        return Some(*value);
    }
    let weighed = points.iter().map(|point| match point {
        NumericEntry::Value(value) | NumericEntry::Final(value) => (*value, 1.0),
        NumericEntry::Aggregated { aggregated_value, count } => {
            (aggregated_value * *count as f64, *count as f64)
        }
    });
    let (sum, count) =
        weighed.fold((0.0, 0.0), |(sum, n), (value, count)| (sum + value, n + count));
    (count > 0.0).then(|| sum / count)
}
