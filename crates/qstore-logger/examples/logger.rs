//! The logger alone: steps, an epoch, a metric that was not declared, and a summary.
//!
//! Run it with `cargo run -p qstore-logger --example logger`.

use qstore_logger::{AsyncMetricsLogger, MetricsRow};
use qstore_schema::TrainingMetrics;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join("qstore_logger.parquet");
    let mut logger = AsyncMetricsLogger::open(&path)?;

    for epoch in 0..3 {
        let mut loss = 0.0;
        for step in epoch * 10..epoch * 10 + 10 {
            loss = 1.0 / (1.0 + step as f64);
            let metrics = TrainingMetrics {
                epoch,
                step,
                train_loss: Some(loss),
                grad_norm: Some(loss * 0.1),
                circuits_executed: Some(32),
                qubits_used: Some(4),
                ..TrainingMetrics::default()
            };
            // `learning_rate` is not a column of TrainingMetrics; it becomes a column of its own.
            logger.log_step(MetricsRow::from(metrics).with("learning_rate", 0.01))?;
        }
        logger.log_epoch(
            epoch,
            [("loss", loss), ("accuracy", 1.0 - loss)],
            [("loss", loss * 1.1)],
        )?;
    }

    let summary = logger.stop(Duration::from_secs(10))?;
    println!("accepted {}, dropped {}", summary.buffer.pushed, summary.buffer.dropped);
    println!("written  {} in {} flushes", summary.writer.rows_written, summary.writer.flushes);
    println!(
        "python3 -c 'import pandas; print(pandas.read_parquet(\"{}\").tail())'",
        path.display()
    );
    Ok(())
}
