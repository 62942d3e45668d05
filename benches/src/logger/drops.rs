//! Does a row get lost at 100 000 rows a second, for a minute, with and without a busy core?
//!
//! The busy core is a thread that computes all the time, as a data loader would.

use crate::Result;
use crate::harness::pace;
use crate::harness::pace::Between;
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::logger::{BURST, EVERY, KNOWN_STEPS, MAXSIZE, row};
use qstore_logger::{LogError, LoggerSettings, ParquetMetricsLogger};
use qstore_parquet::WriterSettings;
use qstore_schema::TrainingMetrics;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn measure(scratch: &Path, steps: &[TrainingMetrics]) -> Result<Vec<Row>> {
    let quiet = one_minute("drops_100k_rows_per_s", scratch, steps)?;
    let is_over = AtomicBool::new(false);
    let busy = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                black_box((0..10_000_u64).fold(1, |a, b| a ^ b.wrapping_mul(a | 1)));
            }
        });
        let busy = one_minute("drops_100k_rows_per_s_core_busy", scratch, steps);
        is_over.store(true, Relaxed);
        busy
    })?;
    Ok(vec![quiet, busy])
}

fn one_minute(name: &'static str, scratch: &Path, steps: &[TrainingMetrics]) -> Result<Row> {
    let path = scratch.join(format!("{name}.parquet"));
    let settings = LoggerSettings::default().buffer_size(MAXSIZE);
    let mut logger = ParquetMetricsLogger::open_with(&path, settings, WriterSettings::default())?;
    let bursts = pace::keep(EVERY, MINUTE, Between::Sleeps, |number| {
        for step in number * BURST..(number + 1) * BURST {
            logger.log_step(row(&steps[step % KNOWN_STEPS], step))?;
        }
        Ok::<_, LogError>(())
    })?;
    let summary = logger.stop(Duration::from_mins(1))?;
    std::fs::remove_file(path)?;
    let (steps, dropped) = ((bursts * BURST) as u64, summary.buffer.dropped);
    if summary.writer.rows_written + dropped != steps {
        return Err(format!("{steps} steps and {summary:?}: some are lost").into());
    }
    let note = format!(
        "of {steps} rows in a minute; ring of {MAXSIZE}, gzip, default settings; stop() included"
    );
    let summary = Summary::once(dropped as f64);
    Ok(Row::new(crate::logger::NAME, Measure::ours(name, "rows", &[], note), summary))
}
