//! One run in a listing: everything that is read of it.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::metric::{self, Fold, Found, Metric, Rank};
use crate::output::json::{self, Number};
use crate::output::{amount, moment};
use crate::place::CHECKPOINTS;
use qstore_checkpoint::{Counter, Layout};
use qstore_run::{Reason, RunLosses, RunPlace, RunReader};
use qstore_storage::EntryKind;
use serde::Serialize;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    pub(super) path: String,
    #[serde(skip)]
    pub(super) dir: PathBuf,
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) status: &'static str,
    /// How the status is known, or why it is not.
    reason: String,
    pid: Option<u32>,
    host: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) rows: u64,
    attempts: usize,
    pub(super) last: Option<LastRow>,
    pub(super) metric: Option<MetricRow>,
    losses: Losses,
    pub(super) checkpoints: Kept,
    pub(super) bytes: u64,
    changed: Option<String>,
    #[serde(skip)]
    pub(super) changed_at: Option<SystemTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    pub(super) failure: Option<(String, Exit)>,
}

#[derive(Debug, Serialize)]
pub(super) struct LastRow {
    pub(super) epoch: Option<i64>,
    pub(super) step: Option<i64>,
    time: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MetricRow {
    pub(super) name: String,
    goal: &'static str,
    #[serde(skip)]
    is_greatest_best: bool,
    pub(super) last: Option<Number>,
    pub(super) best: Option<Number>,
    best_step: Option<i64>,
    best_epoch: Option<i64>,
}

#[derive(Debug, Default, Serialize)]
struct Losses {
    dropped: u64,
    evicted: u64,
    rejected: u64,
    omitted_values: u64,
}

/// The checkpoints by their names; none of them is opened.
#[derive(Debug, Default, Serialize)]
pub(super) struct Kept {
    pub(super) count: usize,
    latest: Option<u64>,
}

impl Row {
    /// Reads what is known of a run. What cannot be read is in `failure`, and the rest is there.
    pub(super) fn read(dir: &Path, metric: Option<&Metric>, place: &RunPlace) -> Self {
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut row = Self {
            path: json::path(dir),
            dir: dir.to_path_buf(),
            name: name.unwrap_or_else(|| json::path(dir)),
            status: "unreadable",
            ..Self::default()
        };
        if let Err(failure) = row.fill(metric, place) {
            let exit = failure.exit();
            if exit == Exit::Damaged {
                row.status = "damaged";
            }
            row.error = Some(failure.to_string());
            row.failure = Some((failure.to_string(), exit));
        }
        row
    }

    fn fill(&mut self, metric: Option<&Metric>, place: &RunPlace) -> Result<(), Failure> {
        let run = RunReader::open_in(place.clone(), &self.dir)?;
        let file = run.run_json();
        self.id = (!file.id.is_empty()).then(|| file.id.clone());
        self.tags.clone_from(&file.tags);
        self.attempts = file.attempts.len();
        let attempt = file.last_attempt();
        self.pid = attempt.map(|attempt| attempt.pid);
        self.host = attempt.and_then(|attempt| attempt.host.clone());
        self.changed_at = run.changed();
        self.changed = self.changed_at.map(moment::utc);
        self.checkpoints = Kept::read(&self.dir, place);
        self.bytes = run.size_on_disk()?;
        let status = run.status()?;
        let progress = run.progress()?;
        self.rows = progress.rows;
        self.last = Some(LastRow {
            epoch: progress.epoch,
            step: progress.step,
            time: progress.timestamp.and_then(moment::of_seconds).map(moment::utc),
        });
        let RunLosses { dropped, evicted, rejected, omitted_values, .. } = run.losses()?;
        self.losses = Losses { dropped, evicted, rejected, omitted_values };
        let metric = match metric {
            Some(metric) => Some(metric.clone()),
            None => Metric::of_run(&run)?,
        };
        self.metric = metric.map(|metric| MetricRow::read(&metric, &run)).transpose()?;
        // Last, so that a run that cannot be read has no status that it can.
        self.status = status.state.name();
        self.reason = match &status.reason {
            Reason::Error(error) => error.clone(),
            reason => reason.to_string(),
        };
        Ok(())
    }

    /// What else is worth knowing: what was lost, why the status is what it is.
    pub(super) fn remark(&self) -> String {
        let mut remarks = Vec::new();
        for (count, what) in [
            (self.losses.dropped, "rows dropped"),
            (self.losses.evicted, "rows evicted"),
            (self.losses.rejected, "rows rejected"),
            (self.losses.omitted_values, "values omitted"),
        ] {
            if count > 0 {
                remarks.push(format!("{} {what}", amount::count(count)));
            }
        }
        if matches!(self.status, "unknown" | "failed") {
            remarks.push(self.reason.clone());
        }
        remarks.join(", ")
    }

    /// The better one first, and the one without a number last. A total order: see [`Rank`].
    pub(super) fn compare_by(
        &self,
        other: &Self,
        number: impl Fn(&MetricRow) -> Option<Number>,
    ) -> Ordering {
        let of = |row: &Self| row.metric.as_ref().and_then(&number).map(|Number(value)| value);
        let is_greatest_best =
            |row: &Self| row.metric.as_ref().is_some_and(|metric| metric.is_greatest_best);
        let rank = |row: &Self| Rank::new(of(row), is_greatest_best(row));
        rank(self).cmp(&rank(other))
    }
}

impl MetricRow {
    fn read(metric: &Metric, run: &RunReader) -> Result<Self, Failure> {
        let last = metric::last(run, &metric.name)?;
        let best = if metric.fold == Fold::Last { None } else { metric.of(run)? };
        Ok(Self {
            name: metric.name.clone(),
            goal: metric.fold.name(),
            is_greatest_best: metric.is_greatest_best(run.run_json().goal.as_ref()),
            last: last.map(|last| Number(last.value)),
            best: best.map(|best| Number(best.value)),
            best_step: best.and_then(|best| best.step),
            best_epoch: best.and_then(|best| best.epoch),
        })
    }

    pub(super) fn last_text(&self) -> Option<String> {
        self.last.map(|Number(value)| amount::float(value, 4))
    }

    pub(super) fn best_text(&self) -> Option<String> {
        let best = self.best.map(|Number(value)| amount::float(value, 4))?;
        let found = Found { value: 0.0, step: self.best_step, epoch: self.best_epoch };
        Some(match place_of(&found) {
            Some(place) => format!("{best} ({place})"),
            None => best,
        })
    }
}

/// Where a value is, in words. A row that sums up an epoch has no step.
fn place_of(found: &Found) -> Option<String> {
    match (found.step, found.epoch) {
        (Some(step), _) if step >= 0 => Some(amount::integer(step)),
        (_, Some(epoch)) => Some(format!("epoch {epoch}")),
        _ => None,
    }
}

impl Kept {
    fn read(dir: &Path, place: &RunPlace) -> Self {
        let entries = place.files.list(&dir.join(CHECKPOINTS)).unwrap_or_default();
        let number = |entry: &qstore_storage::Entry| {
            let name = entry.name.to_str()?;
            let layout = match entry.kind {
                EntryKind::Dir => Layout::Directory,
                _ => Layout::SingleFile,
            };
            Counter::ALL.iter().find_map(|counter| counter.checkpoint_named(name, layout))
        };
        let numbers: Vec<u64> = entries.iter().filter_map(number).collect();
        Self { count: numbers.len(), latest: numbers.iter().max().copied() }
    }
}
