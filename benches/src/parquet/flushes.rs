//! What does one flush cost, depending on how much is in the file already?
//!
//! A flush of ours stands beside the same flush published by copies, beside rewriting everything,
//! which is how one gets a readable file without this crate, and beside the least that any durable
//! publication costs. With `--long` the file has up to ten million rows.

use super::python_writers;
use crate::harness::durable;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::parquet::{NAME, milliseconds, remove};
use crate::rivals::raw_parquet;
use crate::{Result, Run};
use parquet::basic::{Compression as Codec, GzipLevel};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::TrainingMetrics;
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Rows of a flush.
const FLUSH: usize = 100;

/// Flushes of a turn.
const TURN: usize = 10;

/// Rows after which a flush writes a full row group while a file is made.
const GROUP: usize = 65_536;

/// A size of the file: rows, and the names of its rows.
struct Size {
    rows: usize,
    median: &'static str,
    p99: &'static str,
    worst: &'static str,
    rivals: &'static [&'static str],
    /// Turns until the file is created again, so that it keeps its size.
    turns: usize,
}

const SIZES: [Size; 4] = [
    Size {
        rows: 1_000,
        median: "flush_ms_at_1e3",
        p99: "flush_ms_at_1e3_p99",
        worst: "flush_ms_worst_at_1e3",
        rivals: &["rewrite_everything_ms_at_1e3", "durable_replace_ms_12kb"],
        turns: 1,
    },
    Size {
        rows: 100_000,
        median: "flush_ms_at_1e5",
        p99: "flush_ms_at_1e5_p99",
        worst: "flush_ms_worst_at_1e5",
        rivals: &[
            "copy_and_rename_ms_at_1e5",
            "rewrite_everything_ms_at_1e5",
            "pyarrow_rewrite_ms_at_1e5",
            "polars_rewrite_ms_at_1e5",
            "durable_replace_ms_12kb",
        ],
        turns: 20,
    },
    Size {
        rows: 1_000_000,
        median: "flush_ms_at_1e6",
        p99: "flush_ms_at_1e6_p99",
        worst: "flush_ms_worst_at_1e6",
        rivals: &["flush_ms_at_1e5", "copy_and_rename_ms_at_1e6", "durable_replace_ms_12kb"],
        turns: usize::MAX,
    },
    Size {
        rows: 10_000_000,
        median: "flush_ms_at_1e7",
        p99: "flush_ms_at_1e7_p99",
        worst: "flush_ms_worst_at_1e7",
        rivals: &["flush_ms_at_1e5", "durable_replace_ms_12kb"],
        turns: usize::MAX,
    },
];

pub(crate) fn run(run: &Run<'_>, steps: &[TrainingMetrics]) -> Result<Vec<Row>> {
    let scratch = run.scratch;
    let ours = "100 rows encoded (gzip, its fastest level until a group is full), merged where due, \
                published and synced with its directory; one thread; in a row, so the pause \
                between two is left out";
    let copies = "the same, but every version is a copy that is renamed into place";
    let rewrite = "all rows encoded again in one pass (gzip 6), then the same syncs and a rename; \
                   rows kept in memory; one thread";
    let plain = "12 kB, about 100 rows with a footer, as a new file: synced, renamed, directory \
                 synced";
    let sizes = if run.long { &SIZES[..] } else { &SIZES[..3] };
    let (mut contenders, mut samples) = (Vec::new(), Vec::new());
    for size in sizes {
        let measure = Measure::ours(size.median, "ms", size.rivals, ours);
        let path = scratch.join(size.median);
        let all = Rc::new(RefCell::new(Vec::new()));
        let settings = WriterSettings::default();
        contenders.push(flushing(measure, path, size, steps, settings, Rc::clone(&all)));
        samples.push((size, all));
    }
    for (name, size) in
        [("copy_and_rename_ms_at_1e5", &SIZES[1]), ("copy_and_rename_ms_at_1e6", &SIZES[2])]
    {
        let measure = Measure::peer(name, "ms", copies);
        let settings = WriterSettings::default().publish_by_copy(true);
        let path = scratch.join(name);
        contenders.push(flushing(measure, path, size, steps, settings, Rc::default()));
    }
    for (name, size) in
        [("rewrite_everything_ms_at_1e3", 1_000), ("rewrite_everything_ms_at_1e5", 100_000)]
    {
        let measure = Measure::peer(name, "ms", rewrite);
        contenders.push(rewriting(measure, scratch.join(name), size, steps));
    }
    let limit = Measure::limit("durable_replace_ms_12kb", "ms", plain);
    contenders.push(Contender::new(limit, || {
        let path = scratch.join("plain");
        let started = Instant::now();
        durable::replace(&path, |path| Ok(fs::write(path, [1; 12_000])?))?;
        Ok(milliseconds(started))
    }));
    contenders.extend(python_writers::contenders(run, steps)?);
    let mut rows = race(NAME, if run.long { 60 } else { 20 }, contenders)?;
    rows.extend(tails(&samples, ours));
    Ok(rows)
}

/// The slow end of all flushes of each size, and the slowest of all.
fn tails(samples: &[(&Size, Rc<RefCell<Vec<f64>>>)], note: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut worst = Vec::new();
    for (size, samples) in samples {
        let mut samples = samples.borrow().clone();
        samples.sort_unstable_by(f64::total_cmp);
        let (n, Some(&max)) = (samples.len(), samples.last()) else { continue };
        let p99 = samples[n * 99 / 100];
        worst.push(max);
        for (name, figure) in [(size.p99, p99), (size.worst, max)] {
            let summary = Summary::counted(figure, n);
            rows.push(Row::new(NAME, Measure::ours(name, "ms", &[], note), summary));
        }
    }
    if let Some(mut summary) = Summary::of(worst) {
        summary.median = summary.max;
        rows.push(Row::new(NAME, Measure::ours("flush_ms_worst", "ms", &[], note), summary));
    }
    rows
}

/// Flushes of ours into a file of about that many rows; all their times go to `all`.
fn flushing<'a>(
    measure: Measure,
    path: PathBuf,
    size: &'a Size,
    steps: &'a [TrainingMetrics],
    settings: WriterSettings,
    all: Rc<RefCell<Vec<f64>>>,
) -> Contender<'a> {
    let mut log: Option<MetricsLog<TrainingMetrics>> = None;
    let (mut turns, mut is_warm) = (0, false);
    let mut next = steps.iter().cycle();
    Contender::new(measure, move || {
        if log.is_none() || turns == size.turns {
            log = None; // releases the file
            remove(&path)?;
            log = Some(prepare(&path, size.rows, steps, settings.clone())?);
            turns = 0;
        }
        turns += 1;
        let log = log.as_mut().ok_or("a file was just made")?;
        let mut took = Vec::with_capacity(TURN);
        for _ in 0..TURN {
            let started = Instant::now();
            for step in next.by_ref().take(FLUSH) {
                log.append(step, started);
            }
            log.flush()?;
            took.push(milliseconds(started));
        }
        // The first turn is the warm-up that is not counted.
        if is_warm {
            all.borrow_mut().extend(&took);
        }
        is_warm = true;
        Ok(Summary::of(took).ok_or("there were flushes")?.median)
    })
}

/// A file of `count` rows, and its twin.
pub(crate) fn prepare(
    path: &Path,
    rows: usize,
    steps: &[TrainingMetrics],
    settings: WriterSettings,
) -> Result<MetricsLog<TrainingMetrics>> {
    // Between groups that are written at once nothing waits long enough to be merged.
    let settings = settings.reuse_after(Duration::from_millis(200));
    let mut log = MetricsLog::open(path, settings)?;
    let mut next = steps.iter().cycle().take(rows);
    loop {
        let now = Instant::now();
        let count = next.by_ref().take(GROUP).map(|step| log.append(step, now)).count();
        log.flush()?;
        if count < GROUP {
            return Ok(log);
        }
    }
}

/// What one does without this crate: keep all rows and write them all, every time.
fn rewriting(
    measure: Measure,
    path: PathBuf,
    size: usize,
    steps: &[TrainingMetrics],
) -> Contender<'_> {
    let mut rows = size;
    Contender::new(measure, move || {
        rows = if rows == size + TURN * FLUSH { size + FLUSH } else { rows + FLUSH };
        let codec = Codec::GZIP(GzipLevel::try_new(6)?);
        let started = Instant::now();
        durable::replace(&path, |path| raw_parquet::write(path, &steps[..rows], codec).map(drop))?;
        Ok(milliseconds(started))
    })
}
