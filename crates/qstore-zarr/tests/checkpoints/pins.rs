//! Setting or removing a pin survives a power cut: retention in the next process respects it.

use crate::states::Durable;
use crate::states::model;
use qstore_storage::MemoryFs;
use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot};
use std::path::Path;
use std::sync::Arc;

fn open(memory: &MemoryFs) -> CheckpointManager {
    let settings = CheckpointSettings::default().keep_last(1).workers(1);
    CheckpointManager::open_in(Arc::new(memory.clone()), Path::new("/c"), settings).unwrap()
}

fn save(manager: &CheckpointManager, epoch: u64) {
    manager.save(Snapshot::new(epoch).model(model(epoch))).unwrap().durable();
}

#[test]
fn pinning_and_unpinning_survive_a_power_cut() {
    let memory = MemoryFs::new();
    let manager = open(&memory);
    save(&manager, 1);
    manager.pin(1).unwrap();
    let cut = memory.power_cut();
    let after = open(&cut);
    save(&after, 2);
    assert_eq!(after.list_checkpoints().unwrap(), [1, 2], "a pinned checkpoint stays");

    after.unpin(1).unwrap();
    let after = open(&cut.power_cut());
    save(&after, 3);
    assert_eq!(after.list_checkpoints().unwrap(), [3], "an unpinned one is removed");
}
