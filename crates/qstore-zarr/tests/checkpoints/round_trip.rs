//! A random state comes back bit for bit, in the same order, with the same types.

use crate::states::Durable;
use crate::states::{any_state, assert_same};
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_schema::{Dtype, StateDict, Tensor};
use qstore_storage::{FileSystem, MemoryFs, read_all};
use qstore_zarr::{
    CheckpointManager, CheckpointSettings, Compression, Layout, Snapshot, export_safetensors_in,
    import_safetensors_in,
};
use std::path::Path;
use std::sync::Arc;

fn open(settings: CheckpointSettings) -> CheckpointManager {
    let memory = Arc::new(MemoryFs::new());
    CheckpointManager::open_in(memory, Path::new("/c"), settings).unwrap()
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(192)))]

    #[test]
    fn any_state_comes_back_unchanged(
        model in any_state(true),
        optimizer in prop::option::of(any_state(true)),
        metadata in any_state(false),
        compression in prop::sample::select(vec![Compression::ZSTD, Compression::LZ4, Compression::GZIP, Compression::NONE]),
        workers in 1_usize..4,
        chunk_bytes in prop::sample::select(vec![64_usize, 200, 1 << 20]),
        layout in prop::sample::select(vec![Layout::SingleFile, Layout::Directory]),
    ) {
        let settings = CheckpointSettings::default().layout(layout);
        let settings = settings.compression(compression).workers(workers).chunk_bytes(chunk_bytes);
        let manager = open(settings);
        let mut snapshot = Snapshot::new(5).model(model.clone()).metadata(metadata.clone());
        if let Some(optimizer) = &optimizer {
            snapshot = snapshot.optimizer(optimizer.clone());
        }
        let saved = manager.save(snapshot).unwrap().durable();
        let loaded = manager.load(5).unwrap();
        assert_same(loaded.model().unwrap(), &model);
        prop_assert_eq!(loaded.optimizer().is_some(), optimizer.is_some());
        if let Some(optimizer) = optimizer {
            assert_same(loaded.optimizer().unwrap(), &optimizer);
        }
        assert_same(loaded.metadata(), &metadata);
        prop_assert_eq!(loaded.info.stored_bytes, saved.stored_bytes);
        let verified = manager.verify(5).unwrap();
        assert_same(&verified.metadata, &metadata);
    }
}

proptest! {
    #[test]
    fn any_state_comes_back_from_a_safetensors_file(state in any_state(true)) {
        let storage: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        let has_wide_complex = state.tensors().any(|(_, tensor)| tensor.dtype() == Dtype::Complex128);
        let exported = export_safetensors_in(&storage, "/s.safetensors", &state);
        prop_assert_eq!(exported.is_err(), has_wide_complex, "{:?}", exported);
        if exported.is_ok() {
            assert_same(&import_safetensors_in(&*storage, "/s.safetensors").unwrap(), &state);
        }
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
        let settings = CheckpointSettings::default().compression(Compression::NONE);
        let settings = settings.workers(workers).chunk_bytes(500);
        let storage = Arc::new(memory.clone());
        let manager = CheckpointManager::open_in(storage, Path::new("/c"), settings).unwrap();
        manager.save(Snapshot::new(1).model(model.clone())).unwrap().durable();
        let mut bytes = read_all(&memory, Path::new("/c/epoch_0001.zarr.zip")).unwrap();
        // The chunks come first; what follows contains the time.
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
    manager.save(Snapshot::new(1).model(tensors.collect())).unwrap().durable();
    let loaded = manager.load(1).unwrap();
    let model = loaded.model().unwrap();
    assert_eq!(model.tensor("float64").unwrap().as_slice::<f64>().unwrap().len(), 3);
    assert_eq!(model.tensor("complex128").unwrap().as_slice::<[f64; 2]>().unwrap().len(), 3);
    assert_eq!(model.tensor("bool").unwrap().as_slice::<bool>().unwrap(), [true; 3]);
}
