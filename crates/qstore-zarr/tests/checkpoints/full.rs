//! A disk that fills up after any number of bytes: the error is clear, nothing new is listed, earlier
//! checkpoints stay whole, nothing is left over, and the next save works.

use crate::states::Durable;
use crate::states::{model, seed_of};
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{FileSystem, MemoryFs};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, SaveError, Snapshot};
use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);

fn used(memory: &MemoryFs) -> u64 {
    memory.set_capacity(Some(u64::MAX));
    u64::MAX - memory.available(Path::new("/")).unwrap().unwrap()
}

#[test]
fn a_disk_that_fills_up_at_any_byte_damages_nothing() {
    for layout in [Layout::SingleFile, Layout::Directory] {
        let memory = MemoryFs::new();
        let settings = CheckpointSettings::default().layout(layout).keep_last(2).workers(1);
        let storage = Arc::new(memory.clone());
        let manager = CheckpointManager::open_in(storage, Path::new("/c"), settings).unwrap();
        manager.save(Snapshot::new(1).model(model(1))).unwrap().durable();
        let before = used(&memory);
        let mut refused = 0;
        for spare in (0..).step_by(23) {
            memory.set_capacity(Some(before + spare));
            let outcome = manager.save(Snapshot::new(2).model(model(2))).unwrap().wait(LONG);
            memory.set_capacity(None);
            let Err(error) = outcome else { break };
            refused += 1;
            let SaveError::Failed { source, .. } = &error else { panic!("{error}") };
            let is_clear = matches!(**source, SaveError::NoSpace { .. } | SaveError::Repository(_));
            assert!(is_clear && error.to_string().contains("free some space"), "{error}");
            assert!(error.source().is_some());
            assert_eq!(manager.list_checkpoints().unwrap(), [1]);
            assert_eq!(seed_of(manager.load(1).unwrap().model().unwrap()), 1);
            assert_eq!(used(&memory), before, "something is left over");
        }
        assert!(refused > 20, "{refused}");
        println!("{refused} cases: {layout:?}");
        assert_eq!(manager.list_checkpoints().unwrap(), [1, 2]);
        manager.save(Snapshot::new(3).model(model(3))).unwrap().durable();
        assert_eq!(manager.list_checkpoints().unwrap(), [2, 3]);
    }
}

/// The estimate looks at the data: highly compressible data is not refused for its size in memory, and
/// incompressible data is refused before a byte is written.
#[test]
fn the_estimate_comes_before_the_first_byte() {
    let memory = MemoryFs::new();
    let settings = CheckpointSettings::default();
    let storage = Arc::new(memory.clone());
    let manager = CheckpointManager::open_in(storage, Path::new("/c"), settings).unwrap();
    let state = |byte: fn(u32) -> u8| {
        let data: Vec<u8> = (0..2_000_000).map(byte).collect();
        StateDict::from_iter([("w", Tensor::from_vec(data, [2_000_000]).unwrap())])
    };
    memory.set_capacity(Some(500_000));
    let noise = state(|i| (i.wrapping_mul(2_654_435_761).rotate_left(i % 31) >> 13) as u8);
    let error = manager.save(Snapshot::new(1).model(noise)).unwrap().wait(LONG).unwrap_err();
    let SaveError::Failed { source, .. } = error else { panic!("{error}") };
    let SaveError::NoSpace { needed, available, .. } = *source else { panic!("{source}") };
    assert!(needed > 1_700_000 && (499_000..500_000).contains(&available), "{needed} {available}");
    assert!(memory.metadata(Path::new("/c/.staging")).unwrap().is_none(), "nothing was begun");
    manager.save(Snapshot::new(1).model(state(|_| 0))).unwrap().durable();
}
