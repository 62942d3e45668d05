//! What a random state is when it comes back: the same, bit for bit, in order, with its kinds.

use crate::states::{any_state, assert_same};
use proptest::prelude::*;
use qstore_schema::{Dtype, StateDict, Tensor};
use qstore_storage::{MemoryFs, read_all};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);

fn open(settings: CheckpointSettings) -> CheckpointManager {
    let memory = Arc::new(MemoryFs::new());
    CheckpointManager::open_in(memory, Path::new("/c"), settings).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_state_comes_back_as_it_was(
        model in any_state(true),
        optimizer in prop::option::of(any_state(true)),
        metadata in any_state(false),
        compression in prop::sample::select(&Compression::ALL[..]),
        workers in 1_usize..4,
        chunk_bytes in prop::sample::select(vec![64_usize, 200, 1 << 20]),
    ) {
        let settings = CheckpointSettings::default();
        let settings = settings.compression(compression).workers(workers).chunk_bytes(chunk_bytes);
        let manager = open(settings);
        let saved = manager.save(5, model.clone(), optimizer.clone(), Some(metadata.clone())).unwrap();
        let saved = saved.wait(LONG).unwrap();
        let loaded = manager.load(5).unwrap();
        assert_same(&loaded.model_state, &model);
        prop_assert_eq!(loaded.optimizer_state.is_some(), optimizer.is_some());
        assert_same(&loaded.optimizer_state.unwrap_or_default(), &optimizer.unwrap_or_default());
        assert_same(&loaded.metadata, &metadata);
        prop_assert_eq!(loaded.info.stored_bytes, saved.stored_bytes);
        let verified = manager.verify(5).unwrap();
        assert_same(&verified.metadata, &metadata);
    }
}

#[test]
fn the_number_of_workers_does_not_change_the_bytes() {
    let values: Vec<f32> = (0..5000).map(|i| (i as f32).sin()).collect();
    let model = StateDict::from_iter([
        ("a", Tensor::from_vec(values.clone(), [50, 100]).unwrap()),
        ("b", Tensor::from_vec(values, [5000]).unwrap()),
    ]);
    let chunks = [1, 2, 5].map(|workers| {
        let memory = MemoryFs::new();
        let settings = CheckpointSettings::default().compression(Compression::None);
        let settings = settings.workers(workers).chunk_bytes(500);
        let storage = Arc::new(memory.clone());
        let manager = CheckpointManager::open_in(storage, Path::new("/c"), settings).unwrap();
        manager.save(1, model.clone(), None, None).unwrap().wait(LONG).unwrap();
        let mut bytes = read_all(&memory, Path::new("/c/epoch_0001.zarr.zip")).unwrap();
        // The chunks come first; what follows tells the time.
        bytes.truncate(40_000);
        bytes
    });
    assert!(chunks[0] == chunks[1] && chunks[1] == chunks[2]);
}

#[test]
fn loaded_tensors_can_be_borrowed_as_slices() {
    let manager = open(CheckpointSettings::default());
    let bytes = |len: usize| vec![1_u8; len];
    let tensors = Dtype::ALL
        .iter()
        .map(|dtype| (dtype.name(), Tensor::new(*dtype, [3], bytes(3 * dtype.size())).unwrap()));
    manager.save(1, tensors.collect(), None, None).unwrap().wait(LONG).unwrap();
    let model = manager.load(1).unwrap().model_state;
    assert_eq!(model.tensor("float64").unwrap().as_slice::<f64>().unwrap().len(), 3);
    assert_eq!(model.tensor("complex128").unwrap().as_slice::<[f64; 2]>().unwrap().len(), 3);
    assert_eq!(model.tensor("bool").unwrap().as_slice::<bool>().unwrap(), [true; 3]);
}
