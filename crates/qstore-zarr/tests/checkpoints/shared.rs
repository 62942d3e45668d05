//! Deduplication: unchanged chunks are linked, are still verified, and outlive the checkpoint they came
//! from.

use crate::states::Durable;
use crate::states::assert_same;
use crate::watched::Watched;
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{FileSystem, MemoryFs, Operation};
use qstore_zarr::{
    CheckpointManager, CheckpointSettings, Compression, Layout, OpenError, Saved, Snapshot,
};
use std::io;
use std::path::Path;
use std::sync::Arc;

fn settings() -> CheckpointSettings {
    CheckpointSettings::default()
        .layout(Layout::Directory)
        .deduplicate(true)
        .chunk_bytes(256)
        .workers(1)
}

fn open(storage: Arc<dyn FileSystem>, settings: CheckpointSettings) -> CheckpointManager {
    CheckpointManager::open_in(storage, Path::new("/c"), settings).unwrap()
}

/// A backbone that stays and a head that changes with the seed.
fn state(seed: u8) -> StateDict {
    let numbers = |seed: u8| {
        let values: Vec<u32> = (0..200).map(|i| i * 2_654_435 + u32::from(seed)).collect();
        Tensor::from_vec(values, [200]).unwrap()
    };
    let mut state = StateDict::from_iter([("backbone", numbers(0)), ("head", numbers(seed))]);
    state.insert("empty", Tensor::from_vec(Vec::<f32>::new(), [0]).unwrap());
    state
}

fn save(manager: &CheckpointManager, epoch: u64, seed: u8) -> Saved {
    manager.save(Snapshot::new(epoch).model(state(seed))).unwrap().durable()
}

#[test]
fn unchanged_tensors_are_linked_and_outlive_their_first_checkpoint() {
    let memory = MemoryFs::new();
    let manager = open(Arc::new(memory.clone()), settings().keep_last(2));
    assert_eq!(save(&manager, 1, 1).linked_bytes, 0);
    let second = save(&manager, 2, 2);
    assert!(second.linked_bytes > 200, "{second:?}");
    // Saved again under its own epoch: linked to what it replaces.
    assert!(save(&manager, 2, 2).linked_bytes > second.linked_bytes, "all of it");
    for epoch in 3..8 {
        assert!(save(&manager, epoch, epoch as u8).linked_bytes >= second.linked_bytes);
        for epoch in manager.list_checkpoints().unwrap() {
            manager.verify(epoch).unwrap();
            assert_same(manager.load(epoch).unwrap().model().unwrap(), &state(epoch as u8));
        }
    }
    let cut = open(Arc::new(memory.power_cut()), settings());
    assert_same(cut.load(7).unwrap().model().unwrap(), &state(7));
}

#[test]
fn other_chunking_or_compression_is_written_again() {
    let memory = MemoryFs::new();
    let with = |settings| open(Arc::new(memory.clone()), settings);
    save(&with(settings()), 1, 1);
    assert_eq!(save(&with(settings().chunk_bytes(512)), 2, 1).linked_bytes, 0);
    let plain = settings().chunk_bytes(512).compression(Compression::NONE);
    assert_eq!(save(&with(plain.clone()), 3, 1).linked_bytes, 0);
    assert!(save(&with(plain.clone()), 4, 1).linked_bytes > 1_600);
    // The same bytes with another element type.
    let numbers = state(1).tensor("head").unwrap().data().clone();
    let other = Tensor::new(qstore_schema::Dtype::Int32, [200], numbers).unwrap();
    let manager = with(plain);
    let saved =
        manager.save(Snapshot::new(5).model(StateDict::from_iter([("head", other)]))).unwrap();
    assert_eq!(saved.durable().linked_bytes, 0);
    let refused = settings().layout(Layout::SingleFile);
    let refused = CheckpointManager::open_in(Arc::new(MemoryFs::new()), "/c", refused);
    assert!(matches!(refused, Err(OpenError::Setting(error)) if error.setting == "deduplicate"));
}

#[test]
fn a_damaged_chunk_is_not_linked() {
    let memory = MemoryFs::new();
    let manager = open(Arc::new(memory.clone()), settings());
    save(&manager, 1, 1);
    let chunk = Path::new("/c/epoch_0001/model/backbone/c.1");
    let file = memory.open(chunk).unwrap();
    let mut byte = [0];
    file.read_at(20, &mut byte).unwrap();
    file.write_at(20, &[byte[0] ^ 1]).unwrap();
    assert!(manager.verify(1).is_err());
    let whole = save(&manager, 2, 1);
    manager.verify(2).unwrap();
    assert_same(manager.load(2).unwrap().model().unwrap(), &state(1));
    assert!(save(&manager, 3, 1).linked_bytes > whole.linked_bytes);
}

/// If a link fails, or a neighbor removes the previous checkpoint meanwhile, the chunks are written
/// instead.
#[test]
fn everything_that_cannot_be_linked_is_written() {
    let watched = Watched::new(&MemoryFs::new());
    let manager = open(watched.shared(), settings());
    save(&manager, 1, 1);
    watched.set(|_, operation, _| match operation {
        Operation::Link => Err(io::ErrorKind::TooManyLinks.into()),
        _ => Ok(()),
    });
    assert_eq!(save(&manager, 2, 1).linked_bytes, 0);
    watched.set(|_, operation, path| {
        let is_previous = path.starts_with("/c/epoch_0002/model");
        if is_previous && operation == Operation::Open {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(())
    });
    assert_eq!(save(&manager, 3, 1).linked_bytes, 0);
    watched.set(|_, _, _| Ok(()));
    for epoch in 1..=3 {
        assert_same(manager.load(epoch).unwrap().model().unwrap(), &state(1));
    }
}
