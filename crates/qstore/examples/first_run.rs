//! One run from start to restart: rows are logged, the state is saved, and a second start goes on where
//! the first one ended.
//!
//! Run it several times with `cargo run -p qstore --example first_run`: each start trains three more
//! epochs. The run lies in `target/first_run`.

use qstore::{
    AsyncMetricsLogger, CheckpointManager, CheckpointSettings, MetricsFile, MetricsRow, Snapshot,
};
use qstore::{StateDict, Tensor};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let run = Path::new("target/first_run");
    let metrics = run.join("metrics.parquet");
    let settings = CheckpointSettings::default().keep_last(2);
    let mut manager = CheckpointManager::open(run.join("checkpoints"), settings)?;

    let (mut weights, first_epoch) = match manager.load_latest()? {
        Some(latest) => {
            let checkpoint = latest.checkpoint;
            let weights = checkpoint.model().unwrap().tensor("weights").ok_or("no weights")?;
            (weights.as_slice::<f32>()?.to_vec(), checkpoint.number() + 1)
        }
        None => (vec![0.0_f32; 8], 0),
    };
    println!("starting at epoch {first_epoch}");

    let mut logger = AsyncMetricsLogger::open(&metrics)?;
    for epoch in first_epoch..first_epoch + 3 {
        for (step, weight) in weights.iter_mut().enumerate() {
            *weight += (1.0 - *weight) * 0.5; // training goes here
            let loss = f64::from((1.0 - *weight).powi(2));
            logger.log_step(MetricsRow::step(epoch.try_into()?, step.try_into()?, loss))?;
        }
        let model = StateDict::from_iter([("weights", Tensor::from_slice(&weights, [8])?)]);
        let _ticket = manager.save(Snapshot::new(epoch).model(model))?;
    }
    let summary = logger.stop(PATIENCE)?;
    manager.close(PATIENCE)?;

    println!("{} rows written, {} dropped", summary.writer.rows_written, summary.buffer.dropped);
    println!("{} rows in {}", MetricsFile::open(&metrics)?.rows(), metrics.display());
    println!("checkpoints: {:?}", manager.list_checkpoints()?);
    Ok(())
}
