//! A library reports through the `metrics` facade; its values are in the row of each step.

use qstore_logger::{AsyncMetricsLogger, MetricsRow};
use qstore_metrics::MetricsRecorder;
use std::error::Error;
use std::time::Duration;

/// Stands for a library that does not know Q-Store.
fn run_circuit(shots: u64) {
    metrics::counter!("shots").increment(shots);
    metrics::histogram!("circuit_ms").record(shots as f64 / 100.0);
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let mut logger = AsyncMetricsLogger::open(dir.path().join("recorder.parquet"))?;
    let recorder = MetricsRecorder::install()?;
    for step in 0..100 {
        run_circuit(1_024);
        run_circuit(2_048);
        logger.log_step(recorder.onto(MetricsRow::step(0, step, 1.0 / (step + 1) as f64)))?;
    }
    let summary = logger.stop(Duration::from_secs(30))?;
    println!("{} rows with the library's figures in them", summary.writer.rows_written);
    Ok(())
}
