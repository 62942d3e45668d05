//! What does logging a step cost the training thread, beside a CSV line written by hand?
//!
//! Both log the same 20 values. The CSV is what a careful person writes in ten lines: one reused
//! string, one `write(2)` per step, so that a kill loses nothing; ours hands the row to the Parquet
//! writer, which works in the background all the time.

use crate::round_robin::{Contender, race};
use crate::row::{Measure, Row};
use crate::{Result, steps};
use qstore_logger::{LogError, LoggerSettings, MetricsRow, ParquetMetricsLogger};
use qstore_parquet::WriterSettings;
use qstore_schema::TrainingMetrics;
use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) const NAME: &str = "logger";
pub(crate) const QUESTION: &str =
    "what logging a step costs the training thread, beside a CSV line";

/// Steps of one sample, logged back to back.
const BATCH: usize = 100;

/// One batch every 5 ms: 20 000 steps a second. The writer's longest absence is the sealing of
/// 65 536 rows with gzip, about 0.1 s on a quiet core; the ring holds half a second.
const PAUSE: Duration = Duration::from_millis(5);

/// Rows the logger's ring holds.
const MAXSIZE: usize = 10_000;

/// Values to log, used again and again.
const KNOWN_STEPS: usize = 1_024;

pub(crate) fn run(scratch: &Path) -> Result<Vec<Row>> {
    let steps = steps::random(KNOWN_STEPS);
    let steps = steps.as_slice();
    let parquet = scratch.join("logged.parquet");
    let settings = LoggerSettings::default().buffer_size(MAXSIZE);
    let mut logger =
        ParquetMetricsLogger::open_with(&parquet, &settings, WriterSettings::default())?;
    let dropped = Cell::new(0_u64);
    let mut next = 0;
    let mut due = Instant::now();
    let ours = Measure::ours(
        "log_step",
        "ns",
        &["csv_write_step", "clock_now"],
        "18 fields and 2 extras, the row built from values; mean of 100 steps a sample, 20 000 \
         steps/s; ring of 10 000; a second thread writes Parquet (gzip, flush every 100 rows, at \
         most every 50 ms, each synced): a kill loses what came since",
    );
    let log_steps = || {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due = Instant::now() + PAUSE;
        let started = Instant::now();
        for number in next..next + BATCH {
            match logger.log_step(row(&steps[number % KNOWN_STEPS], number)) {
                Ok(()) => {}
                Err(LogError::Dropped) => dropped.set(dropped.get() + 1),
                Err(error) => return Err(error.into()),
            }
        }
        next += BATCH;
        Ok(nanoseconds_each(started.elapsed()))
    };

    let csv = scratch.join("logged.csv");
    let mut lines = CsvLog { file: File::create(&csv)?, line: String::new() };
    let mut next_line = 0;
    let peer = Measure::peer(
        "csv_write_step",
        "ns",
        "the same 20 values formatted into a reused string, one write(2) a step, never synced: a \
         kill loses nothing, a power cut anything; one thread",
    );
    let write_lines = || {
        let started = Instant::now();
        for number in next_line..next_line + BATCH {
            lines.write(&steps[number % KNOWN_STEPS], number)?;
        }
        next_line += BATCH;
        Ok(nanoseconds_each(started.elapsed()))
    };

    let limit = Measure::limit("clock_now", "ns", "SystemTime::now, which each step is stamped by");
    let read_clock = || {
        let started = Instant::now();
        for _ in 0..BATCH {
            black_box(SystemTime::now());
        }
        Ok(nanoseconds_each(started.elapsed()))
    };

    let contenders = vec![
        Contender::new(ours, log_steps),
        Contender::new(peer, write_lines),
        Contender::new(limit, read_clock),
    ];
    let mut rows = race(NAME, 1_000, contenders)?;
    let summary = logger.stop(Duration::from_mins(1))?;
    let (written, dropped) = (summary.writer.rows_written, dropped.get());
    if written + dropped != next as u64 || summary.buffer.dropped != dropped {
        return Err(
            format!("{next} steps, {written} written, {dropped} dropped: some are lost").into()
        );
    }
    if let Some(ours) = rows.first_mut() {
        let _ = write!(ours.note, "; {written} rows written, {dropped} dropped");
    }
    std::fs::remove_file(parquet)?;
    std::fs::remove_file(csv)?;
    Ok(rows)
}

fn row(known: &TrainingMetrics, number: usize) -> MetricsRow {
    let metrics = TrainingMetrics { step: number as i64, ..known.clone() };
    MetricsRow::from(metrics)
        .with("accuracy", known.train_loss)
        .with("learning_rate", known.grad_norm)
}

struct CsvLog {
    file: File,
    line: String,
}

impl CsvLog {
    fn write(&mut self, known: &TrainingMetrics, number: usize) -> Result {
        let m = known;
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        self.line.clear();
        let line = &mut self.line;
        write!(line, "{},{number},{timestamp},{},", m.epoch, m.train_loss)?;
        optional(line, m.val_loss)?;
        write!(line, "{},{},{},", m.grad_norm, m.grad_max, m.grad_min)?;
        write!(line, "{},{},", m.circuit_execution_time_ms, m.circuits_executed)?;
        write!(line, "{},{},{},", m.qubits_used, m.shots_per_circuit, m.backend)?;
        optional(line, m.queue_time_ms)?;
        optional(line, m.cost_usd)?;
        optional(line, m.credits_used)?;
        write!(line, "{},{},", m.batch_time_ms, m.throughput_samples_per_sec)?;
        writeln!(line, "{},{}", m.train_loss, m.grad_norm)?;
        Ok(self.file.write_all(line.as_bytes())?)
    }
}

fn optional(line: &mut String, value: Option<f64>) -> Result {
    if let Some(value) = value {
        write!(line, "{value}")?;
    }
    line.push(',');
    Ok(())
}

fn nanoseconds_each(took: Duration) -> f64 {
    took.as_nanos() as f64 / BATCH as f64
}
