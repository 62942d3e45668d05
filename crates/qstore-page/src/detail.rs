//! Everything about one run that is not a curve: parameters, attempts, losses, checkpoints, jobs.

use crate::catalog::{Listed, Version};
use crate::error::PageError;
use crate::jobs::{Jobs, jobs};
use crate::kept::{Kept, kept};
use qstore_parquet::MetricsFile;
use qstore_run::{RunAttempt, RunFile, RunReader};
use qstore_schema::DataType;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Detail<'a> {
    schema: &'static str,
    id: usize,
    name: &'a str,
    version: String,
    status: &'static str,
    reason: String,
    run: &'a RunFile,
    attempts: Vec<AttemptBody<'a>>,
    columns: Vec<ColumnBody>,
    /// The columns of the metrics of the system.
    pub(crate) system: Vec<String>,
    losses: Vec<(&'static str, u64)>,
    gaps: Vec<Gap>,
    superseded_rows: u64,
    /// The parts of the run that cannot be read, each with the reason.
    problems: Vec<String>,
    checkpoints: Option<Kept>,
    jobs: Option<Jobs>,
}

#[derive(Debug, Serialize)]
struct AttemptBody<'a> {
    #[serde(flatten)]
    attempt: &'a RunAttempt,
    /// Its rows that count, and those that do not anymore.
    rows: u64,
    superseded: u64,
}

#[derive(Debug, Serialize)]
struct ColumnBody {
    name: String,
    /// Whether it has numbers that can be drawn.
    number: bool,
}

/// Steps between which rows are missing.
#[derive(Debug, Serialize)]
struct Gap {
    from: i64,
    to: i64,
    /// `dropped`, or `rejected`.
    kind: &'static str,
    rows: u64,
    attempt: Option<u64>,
}

impl<'a> Detail<'a> {
    pub(crate) fn read(
        run: &'a Listed,
        reader: &'a RunReader,
        version: Version,
    ) -> Result<Self, PageError> {
        let status = reader.status()?;
        let file = reader.run_json();
        let mut detail = Self {
            schema: "qstore.page.run/1",
            id: run.id,
            name: &run.name,
            version: version.text(),
            status: status.state.name(),
            reason: status.reason.to_string(),
            run: file,
            attempts: Vec::new(),
            columns: Vec::new(),
            system: Vec::new(),
            losses: Vec::new(),
            gaps: Vec::new(),
            superseded_rows: 0,
            problems: Vec::new(),
            checkpoints: None,
            jobs: None,
        };
        // Each part by itself: a damaged checkpoint must not hide the parameters.
        if let Err(error) = detail.fill_metrics(reader) {
            detail.problems.push(error.to_string());
        }
        match reader.system_metrics() {
            Ok(system) => detail.system = system.as_ref().map_or(Vec::new(), numbers_of),
            Err(error) => detail.problems.push(format!("system metrics: {error}")),
        }
        match kept(reader) {
            Ok(kept) => detail.checkpoints = kept,
            Err(error) => detail.problems.push(format!("checkpoints: {error}")),
        }
        match jobs(&run.path) {
            Ok(jobs) => detail.jobs = jobs,
            Err(error) => detail.problems.push(format!("jobs: {error}")),
        }
        Ok(detail)
    }

    fn fill_metrics(&mut self, reader: &'a RunReader) -> Result<(), PageError> {
        let mut rows: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        if let Some(file) = reader.metrics()? {
            for field in file.fields() {
                let number = is_number(field.data_type) && has_values(file, &field.name)?;
                self.columns.push(ColumnBody { name: field.name.to_string(), number });
            }
            for part in reader.current_rows()? {
                if let Some(attempt) = part.attempt {
                    rows.entry(attempt).or_default().0 += part.rows.end - part.rows.start;
                }
            }
            for gone in reader.superseded()? {
                self.superseded_rows += gone.end - gone.start;
                count_superseded(file, &gone, &mut rows);
            }
            self.gaps = gaps(file);
            let losses = reader.losses()?;
            self.losses = vec![
                ("rows dropped", losses.dropped),
                ("rows discarded for newer ones", losses.evicted),
                ("rows cleared on request", losses.cleared),
                ("rows logged after the end", losses.refused),
                ("rows rejected", losses.rejected),
                ("values omitted", losses.omitted_values),
            ];
            self.losses.retain(|(_, count)| *count > 0);
        }
        let attempts = reader.run_json().attempts.iter();
        self.attempts = attempts
            .map(|attempt| {
                let (rows, superseded) = rows.get(&attempt.number).copied().unwrap_or_default();
                AttemptBody { attempt, rows, superseded }
            })
            .collect();
        Ok(())
    }
}

/// Whether a column has a value at all. The bounds in the file say it.
fn has_values(file: &MetricsFile, name: &str) -> Result<bool, PageError> {
    let bounds = file.bounds(name, 0..file.rows())?;
    Ok(bounds.iter().any(|part| part.nulls < part.rows.end - part.rows.start))
}

fn is_number(data_type: DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Float64)
}

fn numbers_of(file: &MetricsFile) -> Vec<String> {
    let fields = file.fields().iter().filter(|field| is_number(field.data_type));
    let names = fields.map(|field| field.name.to_string());
    names.filter(|name| !matches!(name.as_str(), "epoch" | "step" | "timestamp")).collect()
}

fn count_superseded(file: &MetricsFile, gone: &Range<u64>, rows: &mut BTreeMap<u64, (u64, u64)>) {
    let segments = file.audit().map_or(&[][..], |audit| &audit.segments);
    for (at, segment) in segments.iter().enumerate() {
        let end = segments.get(at + 1).map_or(u64::MAX, |next| next.first_row);
        let (start, end) = (gone.start.max(segment.first_row), gone.end.min(end));
        if let Some(attempt) = segment.attempt
            && start < end
        {
            rows.entry(attempt).or_default().1 += end - start;
        }
    }
}

fn gaps(file: &MetricsFile) -> Vec<Gap> {
    let segments = file.audit().map_or(&[][..], |audit| &audit.segments);
    let mut gaps = Vec::new();
    for segment in segments {
        let lost = segment.dropped.saturating_add(segment.evicted);
        for (labels, kind, rows) in [
            (segment.lost_labels, "dropped", lost),
            (segment.rejected_labels, "rejected", segment.rejected),
        ] {
            if let Some((one, other)) = labels {
                let (from, to) = (one.min(other), one.max(other));
                gaps.push(Gap { from, to, kind, rows, attempt: segment.attempt });
            }
        }
    }
    gaps
}
