//! Reads what is known of a run apart from its curves: ends of columns, footers, manifests.

use super::facts::{Facts, KeptLine, RunLine};
use super::pace::{Pace, Seen};
use crate::failure::Failure;
use crate::metric::{Metric, numbers};
use crate::rows::number_of;
use crate::runs;
use qstore_checkpoint::{Counter, LoadError};
use qstore_parquet::MetricsFile;
use qstore_run::{RunReader, RunState};
use qstore_zarr::Checkpoints;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Parameters that say how many steps there will be, in this order.
const TOTALS: [&str; 6] =
    ["steps", "total_steps", "max_steps", "num_steps", "train_steps", "training_steps"];

/// The first rate is that of this many rows.
const FIRST_ROWS: u64 = 1_000;

/// What is kept of a run from look to look.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) pace: Pace,
    /// Columns that are known to have a value.
    valued: HashSet<String>,
}

/// Everything but checkpoints and the system, which have files of their own.
pub(super) fn facts(
    run: &RunReader,
    until: Option<i64>,
    memory: &mut Memory,
    facts: &mut Facts,
) -> Result<(), Failure> {
    facts.name = runs::name(run);
    let progress = run.progress()?;
    (facts.rows, facts.step, facts.epoch) = (progress.rows, progress.step, progress.epoch);
    facts.attempt = run.run_json().last_attempt().map(|last| last.number);
    let params = &run.run_json().params;
    let of_params = || TOTALS.iter().find_map(|name| params.get(*name)?.as_i64());
    facts.total = until.or_else(of_params).filter(|total| *total > 0);
    facts.columns = columns(run, memory)?;
    let losses = run.losses()?;
    facts.losses = vec![
        ("rows dropped", losses.dropped),
        ("rows discarded for newer ones", losses.evicted),
        ("rows cleared on request", losses.cleared),
        ("rows logged after the end", losses.refused),
        ("rows rejected", losses.rejected),
        ("values omitted", losses.omitted_values),
    ];
    facts.losses.retain(|(_, count)| *count > 0);
    let gone = run.superseded()?;
    facts.superseded = gone.iter().map(|rows| rows.end - rows.start).sum();
    let Some(timestamp) = progress.timestamp else { return Ok(()) };
    if memory.pace.is_new() {
        begin(run, &mut memory.pace)?;
    }
    memory.pace.see(Seen { timestamp, row: progress.rows, step: progress.step });
    Ok(())
}

/// The rate of what was logged before anybody looked: some rows of the last attempt, from about a minute ago.
fn begin(run: &RunReader, pace: &mut Pace) -> Result<(), Failure> {
    let (Some(file), Some(part)) = (run.metrics()?, run.current_rows()?.pop()) else {
        return Ok(());
    };
    let count = run.progress()?.rows;
    let row_of = |back: u64| part.rows.end.saturating_sub(back).max(part.rows.start);
    let seen = |back: u64| -> Result<Option<Seen>, Failure> {
        let row = row_of(back);
        Ok(row_at(file, row)?.map(|seen| Seen { row: count - (part.rows.end - row), ..seen }))
    };
    let (Some(near), Some(last)) = (seen(FIRST_ROWS)?, seen(1)?) else { return Ok(()) };
    let rate = (last.row - near.row) as f64 / (last.timestamp - near.timestamp);
    let far = if rate.is_finite() { seen((rate * 60.0) as u64)? } else { None };
    for row in far.filter(|far| far.row < near.row).into_iter().chain([near, last]) {
        pace.see(row);
    }
    Ok(())
}

fn row_at(file: &MetricsFile, row: u64) -> Result<Option<Seen>, Failure> {
    let has = |name: &&str| file.fields().iter().any(|field| field.name == *name);
    let names: Vec<_> = ["timestamp", "step"].into_iter().filter(has).collect();
    let table = file.read(&names, row..row + 1)?;
    let number = |name: &str| table.column(name).and_then(|values| number_of(values, 0));
    let step = number("step").filter(|step| *step >= 0.0).map(|step| step as i64);
    Ok(number("timestamp").map(|timestamp| Seen { timestamp, row, step }))
}

/// Columns with values: what the run is judged by first, then losses and accuracies, then the order of the file.
fn columns(run: &RunReader, memory: &mut Memory) -> Result<Vec<String>, Failure> {
    let Some(file) = run.metrics()? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for name in numbers(run)? {
        if !memory.valued.contains(&name) {
            let parts = file.bounds(&name, 0..file.rows())?;
            if parts.iter().all(|part| part.nulls >= part.rows.end - part.rows.start) {
                continue;
            }
            memory.valued.insert(name.clone());
        }
        found.push(name);
    }
    let goal = Metric::of_run(run)?.map(|metric| metric.name);
    let rank = |name: &String| match () {
        () if Some(name) == goal.as_ref() => 0,
        () if name.ends_with("loss") => 1,
        () => 2,
    };
    found.sort_by_key(rank);
    Ok(found)
}

/// What changes by itself: whether the run is alive, how long it takes, how long nothing was logged.
pub(super) fn times(
    run: &RunReader,
    now: SystemTime,
    memory: &Memory,
    facts: &mut Facts,
) -> Result<(), Failure> {
    let status = run.status()?;
    (facts.state, facts.reason) = (Some(status.state), status.reason.to_string());
    let is_running = status.state == RunState::Running;
    let time_of = |micros: i64| UNIX_EPOCH + Duration::from_micros(micros.max(0).unsigned_abs());
    if let Some(last) = run.run_json().last_attempt() {
        let ended = last.ended.map(|ended| time_of(ended.micros())).or_else(|| run.changed());
        let end = if is_running { Some(now) } else { ended };
        facts.elapsed = end.and_then(|end| end.duration_since(time_of(last.started.micros())).ok());
    }
    facts.rows_per_s = memory.pace.rows();
    let left = facts.total.zip(facts.step).and_then(|(total, step)| total.checked_sub(step));
    let left = left.zip(memory.pace.steps()).filter(|(left, _)| is_running && *left > 0);
    let seconds = left.map(|(left, rate)| left as f64 / rate);
    facts.left = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    facts.silent = run.changed().and_then(|changed| now.duration_since(changed).ok());
    Ok(())
}

/// The checkpoints of a run, the newest save first.
pub(super) fn kept(run: &RunReader, now: SystemTime, facts: &mut Facts) -> Result<(), Failure> {
    facts.kept.clear();
    let Some(checkpoints) = run.checkpoints()? else { return Ok(()) };
    facts.counter = match checkpoints.counter()? {
        Counter::Step => "step",
        _ => "epoch",
    };
    // A directory without rules keeps all.
    let decisions = checkpoints.explain().unwrap_or_default();
    let fates: BTreeMap<u64, (bool, String)> = decisions
        .into_iter()
        .map(|decision| {
            let unranked = decision.unranked.as_ref().map(|unranked| format!("; {unranked}"));
            let reason = format!("{}{}", decision.reason, unranked.unwrap_or_default());
            (decision.number, (decision.keep, reason))
        })
        .collect();
    let mut found = Vec::new();
    for number in checkpoints.list_checkpoints()? {
        found.extend(line(&checkpoints, number, fates.get(&number), now));
    }
    found.sort_by_key(|(seq, _)| *seq);
    facts.kept = found.into_iter().rev().map(|(_, line)| line).collect();
    Ok(())
}

/// One that cannot be read has the reason in its line; one that was removed meanwhile has none.
fn line(
    checkpoints: &Checkpoints,
    number: u64,
    fate: Option<&(bool, String)>,
    now: SystemTime,
) -> Option<(u64, KeptLine)> {
    let (keep, reason) = fate.cloned().unwrap_or((true, String::new()));
    match checkpoints.get_checkpoint_info(number) {
        Ok(info) => {
            let age = now.duration_since(info.timestamp).ok();
            let line = KeptLine { number, age, bytes: info.stored_bytes, keep, reason };
            Some((info.save_seq, line))
        }
        Err(LoadError::NotFound { .. }) => None,
        Err(error) => {
            let line = KeptLine { number, age: None, bytes: 0, keep, reason: error.to_string() };
            Some((0, line))
        }
    }
}

/// The last measurement of the system, and the columns that can be drawn.
pub(super) fn system(file: &MetricsFile, facts: &mut Facts) -> Result<(), Failure> {
    let is_place = |name: &str| crate::metric::PLACES.contains(&name);
    let names = file.fields().iter().map(|field| field.name.to_string());
    let names: Vec<_> = names.filter(|name| !is_place(name)).collect();
    let last = file.rows().saturating_sub(1);
    let wanted: Vec<_> = names.iter().map(String::as_str).collect();
    let table = file.read(&wanted, last..file.rows())?;
    facts.system.clear();
    facts.system_columns.clear();
    for name in names {
        let value = table.column(&name).and_then(|values| number_of(values, 0));
        if let Some(value) = value {
            facts.system.push((name.clone(), value));
            facts.system_columns.push(name);
        }
    }
    Ok(())
}

/// A line of the list of runs.
pub(super) fn told(run: &RunReader, line: &mut RunLine) -> Result<(), Failure> {
    let progress = run.progress()?;
    (line.rows, line.step) = (progress.rows, progress.step);
    line.best = None;
    if let Some(metric) = Metric::of_run(run)? {
        line.best = metric.of(run)?.map(|found| (metric.name.clone(), found.value));
    }
    line.state = Some(run.status()?.state);
    Ok(())
}
