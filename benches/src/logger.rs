//! What does logging a step cost the training thread, beside what people log with instead?
//!
//! All log the same 20 values, 100 of them every millisecond: 100 000 steps a second, for a quarter
//! of a second a turn, and computes in between. Those who cannot keep up log as fast as they can. Ours hands the row to the
//! Parquet writer, which works in the background all the time.

mod drops;
mod hot_path;

use crate::harness::pace;
use crate::harness::pace::Between;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
#[cfg(feature = "peers")]
use crate::rivals::step_loggers;
use crate::rivals::step_loggers::{Csv, Rival, UnboundedChannel};
use crate::workload::steps;
use crate::{Result, Run};
use qstore_logger::{Logged, LoggerSettings, MetricsRow, ParquetMetricsLogger};
use qstore_parquet::WriterSettings;
use qstore_schema::TrainingMetrics;
use std::cell::Cell;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

pub(crate) const NAME: &str = "logger";
pub(crate) const QUESTION: &str =
    "what logging a step costs the training thread, beside what people log with instead";

/// Steps of a burst, and the time from one to the next.
pub(crate) const BURST: usize = 100;
pub(crate) const EVERY: Duration = Duration::from_millis(1);

/// How long a turn takes.
const TURN: Duration = Duration::from_millis(250);
const TURNS: usize = 16;

/// Rows the logger's ring holds.
pub(crate) const MAXSIZE: usize = 10_000;

/// Values to log, used again and again.
pub(crate) const KNOWN_STEPS: usize = 1_024;

const SURVIVES: &str = "a kill loses nothing, a power cut anything";

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let scratch = run.scratch;
    let steps = steps::random(KNOWN_STEPS);
    let steps = steps.as_slice();
    let parquet = scratch.join("logged.parquet");
    let settings = LoggerSettings::default().buffer_size(MAXSIZE);
    let mut logger =
        ParquetMetricsLogger::open_with(&parquet, settings, WriterSettings::default())?;
    let (dropped, attempts) = (Cell::new(0_u64), Cell::new(0_u64));
    let ours = || {
        turn(|step| {
            attempts.set(attempts.get() + 1);
            let outcome = logger.log_step(row(&steps[step % KNOWN_STEPS], step))?;
            dropped.set(dropped.get() + u64::from(outcome == Logged::Dropped));
            Ok(())
        })
    };
    let mut contenders = vec![Contender::several(ours_measures(), ours)];

    let csv = Csv::create(&scratch.join("logged.csv"))?;
    contenders.push(rival(
        "csv_write_step",
        "csv_write_step_p99",
        "one write(2) a step",
        SURVIVES,
        steps,
        csv,
    ));
    #[cfg(feature = "peers")]
    let sqlite = step_loggers::Sqlite::create(&scratch.join("logged.sqlite"), 2)?;
    #[cfg(feature = "peers")]
    contenders.push(rival(
        "sqlite_wal_step",
        "sqlite_wal_step_p99",
        "WAL, synchronous = OFF, a prepared insert and a transaction a step",
        SURVIVES,
        steps,
        sqlite,
    ));
    #[cfg(feature = "peers")]
    let appender = step_loggers::Appender::create(&scratch.join("appended.csv"))?;
    #[cfg(feature = "peers")]
    contenders.push(rival(
        "tracing_appender_step",
        "tracing_appender_step_p99",
        "the CSV line through its non-blocking writer",
        "a kill loses the queue",
        steps,
        appender,
    ));
    let channel = UnboundedChannel::create(&scratch.join("channelled.csv"))?;
    contenders.push(rival(
        "unbounded_channel_step",
        "unbounded_channel_step_p99",
        "std mpsc without a bound to a thread that writes CSV",
        "a kill loses the queue, which grows without limit when the disk is slow",
        steps,
        channel,
    ));
    let clock = Measure::limit("clock_now", "ns", "SystemTime::now, called 100 times in a row");
    let read_clock = || {
        let started = Instant::now();
        for _ in 0..BURST {
            black_box(SystemTime::now());
        }
        Ok(nanoseconds(started.elapsed()) / BURST as f64)
    };
    contenders.push(Contender::new(clock, read_clock));

    let mut rows = race(NAME, TURNS, contenders)?;
    let summary = logger.stop(Duration::from_mins(1))?;
    let (written, dropped) = (summary.writer.rows_written, dropped.get());
    if written + dropped != attempts.get() || summary.buffer.dropped != dropped {
        let attempts = attempts.get();
        return Err(format!(
            "{attempts} steps, {written} written, {dropped} dropped: some are lost"
        )
        .into());
    }
    if let Some(ours) = rows.first_mut() {
        let _ = write!(ours.note, "; {written} rows written, {dropped} dropped");
    }
    rows.extend(hot_path::measure(NAME, scratch)?);
    if run.long {
        rows.extend(drops::measure(scratch, steps)?);
    }
    Ok(rows)
}

fn ours_measures() -> [Measure; 2] {
    let rivals = &[
        "csv_write_step",
        "sqlite_wal_step",
        "tracing_appender_step",
        "unbounded_channel_step",
        "clock_now",
    ];
    let note = "18 fields and 2 extras, the row built from values; ring of 10 000; the thread computes between bursts, the writer's two \
                threads write Parquet meanwhile (gzip, a flush every 100 rows, at most every 50 ms, \
                each synced): a kill loses what came since";
    let tail = "the same steps, each timed by itself: 99th percentile of 12 500 steps, the reading \
                of the clock (about 25 ns) included";
    [
        Measure::ours("log_step", "ns", rivals, note),
        Measure::ours("log_step_p99", "ns", &["csv_write_step_p99", "sqlite_wal_step_p99"], tail),
    ]
}

fn rival<'a>(
    name: &'static str,
    tail: &'static str,
    how: &str,
    durability: &str,
    steps: &'a [TrainingMetrics],
    mut rival: impl Rival + 'a,
) -> Contender<'a> {
    let note = format!("the same 20 values; {how}; {durability}");
    let measures = [
        Measure::peer(name, "ns", note),
        Measure::peer(tail, "ns", "each step timed by itself, as ours"),
    ];
    Contender::several(measures, move || {
        turn(|step| {
            let known = &steps[step % KNOWN_STEPS];
            rival.log(known, step as i64, &extras(known))
        })
    })
}

/// Logs at the rate for a turn. Every other burst is timed as a whole, which gives the mean, the
/// others step by step, which gives the 99th percentile.
fn turn(mut log: impl FnMut(usize) -> Result) -> Result<[f64; 2]> {
    let (mut bursts, mut singles) = (Vec::new(), Vec::new());
    pace::keep(EVERY, TURN, Between::Computes, |number| -> Result {
        let steps = number * BURST..(number + 1) * BURST;
        if number % 2 == 0 {
            let started = Instant::now();
            steps.into_iter().try_for_each(&mut log)?;
            bursts.push(nanoseconds(started.elapsed()) / BURST as f64);
        } else {
            for step in steps {
                let started = Instant::now();
                log(step)?;
                singles.push(nanoseconds(started.elapsed()));
            }
        }
        Ok(())
    })?;
    singles.sort_by(f64::total_cmp);
    let tail = singles.get(singles.len() * 99 / 100).copied();
    let mean = Summary::of(bursts).map(|summary| summary.median);
    mean.zip(tail).map(<[f64; 2]>::from).ok_or_else(|| "no step was logged".into())
}

pub(crate) fn row(known: &TrainingMetrics, number: usize) -> MetricsRow {
    let metrics = TrainingMetrics { step: number as i64, ..known.clone() };
    MetricsRow::from(metrics)
        .with("accuracy", extras(known)[0])
        .with("learning_rate", extras(known)[1])
}

/// Values for two metrics that are not fixed columns.
pub(crate) fn extras(known: &TrainingMetrics) -> [f64; 2] {
    [known.train_loss, known.grad_norm].map(Option::unwrap_or_default)
}

fn nanoseconds(took: Duration) -> f64 {
    took.as_nanos() as f64
}
