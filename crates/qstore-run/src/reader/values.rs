//! Values of a run's columns: the last one, the best one, and how far the run is.
//!
//! Only rows that count are looked at. Bounds in the footer decide which parts of the file have to be read.

use super::RunReader;
use crate::error::Result;
use crate::run_file::Direction;
use qstore_parquet::{Bounds, MetricsFile, ReadError, Values};
use qstore_schema::Value;
use std::ops::Range;

/// The last value of a column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Last {
    /// The value, which is never null.
    pub value: Value,
    /// The number of its row in the file.
    pub row: u64,
    /// The step of the row, if it has one. Rows that sum up an epoch have −1.
    pub step: Option<i64>,
    /// The epoch of the row, if it has one.
    pub epoch: Option<i64>,
}

/// The best value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Best {
    /// The value, which is finite.
    pub value: f64,
    /// The number of its row in the file; the first one, if there are several.
    pub row: u64,
    /// The step of the row, if it has one. Rows that sum up an epoch have −1.
    pub step: Option<i64>,
    /// The epoch of the row, if it has one.
    pub epoch: Option<i64>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// How many rows count.
    pub rows: u64,
    /// The epoch of the last row.
    pub epoch: Option<i64>,
    /// The last step, leaving out rows that sum up an epoch.
    pub step: Option<i64>,
    /// The time of the last row, in seconds since 1970-01-01.
    pub timestamp: Option<f64>,
}

/// How many rows are read at once, from behind.
const BLOCK: u64 = 4096;

impl RunReader {
    /// The last value of a column that is not null, among the rows that count. `None` if there is none, or no such
    /// column.
    ///
    /// # Errors
    /// If the metrics file cannot be read, or that part of it is damaged.
    pub fn last(&self, column: &str) -> Result<Option<Last>> {
        let Some(file) = self.metrics()?.filter(|file| has(file, column)) else { return Ok(None) };
        for range in self.current_ranges(file).into_iter().rev() {
            // Whole parts without a value are passed over.
            let parts = file.bounds(column, range.clone())?;
            for part in parts.into_iter().rev() {
                let rows = within(&part.rows, &range);
                if part.nulls == part.rows.end - part.rows.start {
                    continue;
                }
                if let Some((row, value)) = last_in(file, column, rows)? {
                    let (step, epoch) = place_of(file, row)?;
                    return Ok(Some(Last { value, row, step, epoch }));
                }
            }
        }
        Ok(None)
    }

    /// The best finite value of a column of numbers, among the rows that count. `None` if there is none, or no such
    /// column. Only the part that has it is read, and the parts that were superseded in the middle.
    ///
    /// # Errors
    /// As [`last`](Self::last).
    pub fn best(&self, column: &str, direction: Direction) -> Result<Option<Best>> {
        let Some(file) = self.metrics()?.filter(|file| has(file, column)) else { return Ok(None) };
        let mut best: Option<(f64, Range<u64>)> = None;
        for range in self.current_ranges(file) {
            for part in file.bounds(column, range.clone())? {
                let rows = within(&part.rows, &range);
                let value = if rows == part.rows {
                    bound(&part, direction)
                } else {
                    best_in(file, column, rows.clone(), direction)?.map(|(value, _)| value)
                };
                let Some(value) = value else { continue };
                if best.as_ref().is_none_or(|(known, _)| direction.is_better(value, *known)) {
                    best = Some((value, rows));
                }
            }
        }
        let Some((_, rows)) = best else { return Ok(None) };
        let found = best_in(file, column, rows, direction)?;
        let Some((value, row)) = found else { return Ok(None) };
        let (step, epoch) = place_of(file, row)?;
        Ok(Some(Best { value, row, step, epoch }))
    }

    /// How far the run is. Reads the end of the columns `epoch`, `step` and `timestamp`.
    ///
    /// # Errors
    /// As [`last`](Self::last).
    pub fn progress(&self) -> Result<Progress> {
        let mut progress = Progress { rows: 0, epoch: None, step: None, timestamp: None };
        let Some(file) = self.metrics()? else { return Ok(progress) };
        let ranges = self.current_ranges(file);
        progress.rows = ranges.iter().map(|range| range.end - range.start).sum();
        let names: Vec<_> =
            ["epoch", "step", "timestamp"].into_iter().filter(|name| has(file, name)).collect();
        let mut is_last = true;
        for range in ranges.into_iter().rev() {
            let mut end = range.end;
            while end > range.start && !names.is_empty() {
                let start = end.saturating_sub(64).max(range.start);
                let table = file.read(&names, start..end)?;
                if is_last {
                    progress.epoch = last_int(table.column("epoch"), |_| true);
                    progress.timestamp = match table.column("timestamp") {
                        Some(Values::Float(times)) => times.last().copied().flatten(),
                        _ => None,
                    };
                    is_last = false;
                }
                progress.step = last_int(table.column("step"), |step| step >= 0);
                if progress.step.is_some() || !names.contains(&"step") {
                    return Ok(progress);
                }
                end = start;
            }
        }
        Ok(progress)
    }
}

fn has(file: &MetricsFile, column: &str) -> bool {
    file.fields().iter().any(|field| field.name == column)
}

fn within(rows: &Range<u64>, range: &Range<u64>) -> Range<u64> {
    rows.start.max(range.start)..rows.end.min(range.end)
}

fn last_int(values: Option<&Values>, is_wanted: impl Fn(i64) -> bool) -> Option<i64> {
    let Some(Values::Int(values)) = values else { return None };
    values.iter().rev().flatten().copied().find(|value| is_wanted(*value))
}

fn bound(part: &Bounds, direction: Direction) -> Option<f64> {
    let bound = match direction {
        Direction::Min => part.min.as_ref()?,
        Direction::Max => part.max.as_ref()?,
    };
    number(bound)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

fn last_in(
    file: &MetricsFile,
    column: &str,
    rows: Range<u64>,
) -> Result<Option<(u64, Value)>, ReadError> {
    let mut end = rows.end;
    while end > rows.start {
        let start = end.saturating_sub(BLOCK).max(rows.start);
        let table = file.read(&[column], start..end)?;
        let values = &table.columns[0].values;
        let found = (0..table.rows).rev().find_map(|at| {
            let value = values.get(at).filter(|value| *value != Value::Null)?;
            Some((start + at as u64, value))
        });
        if found.is_some() {
            return Ok(found);
        }
        end = start;
    }
    Ok(None)
}

/// The best finite value of these rows, and the first row that has it.
fn best_in(
    file: &MetricsFile,
    column: &str,
    rows: Range<u64>,
    direction: Direction,
) -> Result<Option<(f64, u64)>, ReadError> {
    let mut best: Option<(f64, u64)> = None;
    for batch in file.batches(&[column], rows)? {
        let batch = batch?;
        let mut offer = |at: usize, value: f64| {
            let is_better = best.is_none_or(|(known, _)| direction.is_better(value, known));
            if value.is_finite() && is_better {
                best = Some((value, batch.first_row + at as u64));
            }
        };
        match &batch.columns[0].values {
            Values::Int(values) => {
                let values = values.iter().enumerate();
                values.for_each(|(at, value)| {
                    if let Some(value) = value {
                        offer(at, *value as f64);
                    }
                });
            }
            Values::Float(values) => {
                let values = values.iter().enumerate();
                values.for_each(|(at, value)| {
                    if let Some(value) = value {
                        offer(at, *value);
                    }
                });
            }
            _ => {}
        }
    }
    Ok(best)
}

/// The step and the epoch of a row.
fn place_of(file: &MetricsFile, row: u64) -> Result<(Option<i64>, Option<i64>), ReadError> {
    let names: Vec<_> = ["step", "epoch"].into_iter().filter(|name| has(file, name)).collect();
    if names.is_empty() {
        return Ok((None, None));
    }
    let table = file.read(&names, row..row + 1)?;
    let of = |name| last_int(table.column(name), |_| true);
    Ok((of("step"), of("epoch")))
}
