//! Uses checkpoints without any metrics: save, load, compare.

use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot, StateDict, Tensor};
use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    // Process numbers repeat, so the name is a random one.
    let random = RandomState::new().build_hasher().finish();
    let dir = std::env::temp_dir().join(format!("qstore-checkpoint-only-{random:016x}"));
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
