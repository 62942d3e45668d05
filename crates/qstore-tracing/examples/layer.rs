//! The numbers of a program that already uses `tracing` become columns, without a second call.

use qstore_logger::{LoggerSettings, ParquetMetricsLogger};
use qstore_parquet::WriterSettings;
use qstore_schema::Row;
use qstore_tracing::MetricsLayer;
use std::error::Error;
use std::time::Duration;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

fn train() {
    for epoch in 0..3 {
        let _epoch = info_span!("epoch", epoch).entered();
        for step in 0..50 {
            info!(step, loss = 1.0 / f64::from(1 + epoch * 50 + step), "step done");
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("layer.parquet");
    // Only the columns that the events name.
    let (settings, writer) = (LoggerSettings::default(), WriterSettings::default());
    let mut logger = ParquetMetricsLogger::<Row>::open_typed(&path, settings, writer)?;
    let layer = MetricsLayer::new(logger.handle(), env!("CARGO_CRATE_NAME"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), train);
    let summary = logger.stop(Duration::from_secs(30))?;
    println!("{} events became rows: epoch, step and loss", summary.writer.rows_written);
    Ok(())
}
