//! Logs steps, and counts what memory the logging thread allocates for it.
//!
//! `hot_path FILE STEPS` prints that number. It is a program of its own because counting needs an
//! allocator of its own, and because `strace` counts the system calls of a whole program: the
//! difference between many steps and few is what the steps cost. The rows are those of the benches:
//! all fields and two extras, the Parquet writer at work.

use qstore_logger::{LoggerSettings, MetricsRow, ParquetMetricsLogger};
use qstore_parquet::WriterSettings;
use qstore_schema::TrainingMetrics;
use std::env;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [file, steps] = arguments.as_slice() else { return Err("FILE STEPS".into()) };
    let steps: i64 = steps.parse()?;
    let settings = LoggerSettings::default().buffer_size(10_000);
    let mut logger = ParquetMetricsLogger::open_with(file, settings, WriterSettings::default())?;
    let mut outcome = Ok(());
    let counted = allocation_counter::measure(|| {
        // Back to back the ring overflows sooner or later: that costs nothing, either.
        outcome = (0..steps).try_for_each(|step| logger.log_step(row(step)).map(drop));
    });
    outcome?;
    println!("{}", counted.count_total);
    let summary = logger.stop(Duration::from_mins(1))?;
    if summary.buffer.pushed + summary.buffer.dropped != steps as u64 {
        return Err(format!("{steps} steps and {summary:?}").into());
    }
    Ok(())
}

fn row(step: i64) -> MetricsRow {
    let metrics = TrainingMetrics {
        epoch: 1,
        step,
        train_loss: Some(0.5),
        val_loss: Some(0.25),
        backend: Some("a name of 20 letters".into()),
        cost_usd: Some(0.125),
        ..TrainingMetrics::default()
    };
    MetricsRow::from(metrics).with("accuracy", 0.75).with("learning_rate", 1e-3)
}
