//! Uses checkpoints without any metrics: save, load, compare.

use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot, StateDict, Tensor};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("qstore-checkpoint-only-{}", std::process::id()));
    let mut manager = CheckpointManager::open(&dir, CheckpointSettings::default())?;
    let weights: Vec<f32> = (0..10_000_u16).map(f32::from).collect();
    let model = StateDict::from_iter([("weights", Tensor::from_vec(weights, [100, 100])?)]);

    let ticket = manager.save(Snapshot::new(1).model(model.clone()))?;
    ticket.wait(Duration::from_secs(60))?;
    assert_eq!(manager.load(1)?.model(), Some(&model));
    manager.close(Duration::from_secs(60))?;
    println!("saved, verified and loaded {:?}", manager.list_checkpoints()?);
    Ok(std::fs::remove_dir_all(&dir)?)
}
