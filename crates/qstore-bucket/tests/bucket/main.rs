//! Checkpoints in a bucket, by the public API.

/// Save, list, load, verify, explain, pin, prune.
mod everyday;
/// A fault at every request of a mirrored training.
mod mirror_sweep;
/// A directory that is mirrored.
mod mirroring;
/// What is read and written, in requests and bytes.
mod requests;
/// A fault at every request of a training and its readers.
mod sweep;
/// Objects that change or are damaged while they are read.
mod trouble;

use qstore_bucket::{BucketSettings, ObjectRepository};
use qstore_objects::{FaultyObjects, Limits, MemoryObjects, Store};
use qstore_schema::{StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints, Snapshot};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Bucket {
    pub(crate) memory: MemoryObjects,
    pub(crate) faulty: FaultyObjects,
    pub(crate) repository: ObjectRepository,
}

impl Bucket {
    pub(crate) fn new() -> Self {
        Self::with(MemoryObjects::new(), BucketSettings::default().part_bytes(700))
    }

    pub(crate) fn with(memory: MemoryObjects, settings: BucketSettings) -> Self {
        let faulty = FaultyObjects::new(Arc::new(memory.clone()));
        let objects = Arc::new(faulty.clone());
        let store = Store::open_with(objects, Limits::default(), faulty.clock().clone()).unwrap();
        let repository = ObjectRepository::new(store, "run/checkpoints", settings).unwrap();
        Self { memory, faulty, repository }
    }

    pub(crate) fn shared(&self) -> Arc<ObjectRepository> {
        Arc::new(self.repository.clone())
    }

    pub(crate) fn manager(&self, settings: CheckpointSettings) -> CheckpointManager {
        CheckpointManager::over(self.shared(), settings).unwrap()
    }

    pub(crate) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::of(self.shared())
    }
}

/// `w` has numbers that do not compress, in chunks.
pub(crate) fn snapshot(number: u64, len: usize) -> Snapshot {
    let noise = |i: usize| ((i as u64 + number) as f32 * 0.618_034).fract();
    let weights: Vec<f32> = (0..len).map(noise).collect();
    let weights = Tensor::from_vec(weights, [len]).unwrap();
    let model = StateDict::from_iter([("b", Tensor::scalar(number as f32)), ("w", weights)]);
    Snapshot::new(number).model(model).meta("loss", 1.0 / (1.0 + number as f64))
}
