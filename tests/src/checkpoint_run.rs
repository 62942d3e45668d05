//! A small run of a checkpoint manager that covers everything: saves, an overwritten epoch, retention, shared
//! tensors, and a reopening; and what must hold wherever it was stopped.

use crate::promises::Promises;
use qstore::storage::FileSystem;
use qstore::{CheckpointManager, CheckpointSettings, Layout, Snapshot, StateDict, Tensor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// The epoch of each save; the n-th saves the model of seed n.
const EPOCHS: [u64; 4] = [1, 2, 3, 2];
/// The saves before which the manager is reopened.
const REOPENED: [usize; 2] = [0, 2];
const KEEP_LAST: usize = 2;
/// What is there before a run that does not begin in an empty directory, in the order of the saves. The model
/// of an epoch has the epoch as its seed, negated.
const EARLIER: [u64; 4] = [5, 6, 1, 2];

/// A way to save.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// Its name in the names of cases.
    pub name: &'static str,
    layout: Layout,
    deduplicate: bool,
    /// Whether a whole tree can be synced at once.
    pub syncs_trees: bool,
}

/// Both layouts, and directories that share tensors, on a system with and without a sync of whole trees.
pub const WAYS: [Way; 4] = [
    Way { name: "file", layout: Layout::SingleFile, deduplicate: false, syncs_trees: true },
    Way { name: "directory", layout: Layout::Directory, deduplicate: false, syncs_trees: true },
    Way { name: "shared", layout: Layout::Directory, deduplicate: true, syncs_trees: true },
    Way { name: "shared-slow", layout: Layout::Directory, deduplicate: true, syncs_trees: false },
];

impl Way {
    fn settings(self) -> CheckpointSettings {
        CheckpointSettings::default()
            .keep_last(KEEP_LAST)
            .workers(1)
            .layout(self.layout)
            .deduplicate(self.deduplicate)
    }
}

/// The checkpoints of a run in that directory.
pub fn checkpoints(dir: &Path) -> PathBuf {
    dir.join("checkpoints")
}

/// A small model whose numbers are derived from its seed, except one tensor that is always the same.
pub fn model(seed: i64) -> StateDict {
    let values: Vec<f32> = (0..40).map(|i| seed as f32 * 100.0 + i as f32).collect();
    let values = Tensor::from_vec(values, [4, 10]).expect("the shape fits");
    let frozen = Tensor::from_vec(vec![7_u16; 9], [3, 3]).expect("the shape fits");
    let mut model = StateDict::from_iter([("w", values), ("frozen", frozen)]);
    model.insert("seed", Tensor::scalar(seed));
    model
}

/// The seed of an intact model.
fn seed_of(state: &StateDict) -> i64 {
    let seed = state.tensor("seed").and_then(|seed| seed.to_vec::<i64>().ok());
    let seed = seed.expect("every model has a seed")[0];
    assert!(*state == model(seed), "the model of seed {seed} has other values");
    seed
}

/// The epoch that a model was saved under.
fn epoch_of(seed: i64) -> u64 {
    if seed < 0 { seed.unsigned_abs() } else { EPOCHS[seed as usize - 1] }
}

/// Saves what the run will replace and remove.
///
/// # Panics
/// When a save fails.
pub fn prepare(dir: &Path, storage: &Arc<dyn FileSystem>, way: Way) {
    let settings = way.settings().keep_last(EARLIER.len());
    let manager = CheckpointManager::open_in(Arc::clone(storage), checkpoints(dir), settings);
    let manager = manager.expect("the directory can be written to");
    for epoch in EARLIER {
        let ticket = manager.save(Snapshot::new(epoch).model(model(-(epoch as i64))));
        ticket.and_then(|ticket| ticket.wait(PATIENCE)).expect("it can be saved");
    }
}

/// Performs the run. A failed save is retried; one that never succeeds ends the run.
///
/// # Panics
/// When a failure is reported by the ticket but not by `health`.
pub fn run(dir: &Path, storage: &Arc<dyn FileSystem>, way: Way, told: &Promises) {
    let open =
        || CheckpointManager::open_in(Arc::clone(storage), checkpoints(dir), way.settings()).ok();
    let mut manager = None;
    for (number, epoch) in EPOCHS.into_iter().enumerate() {
        let seed = number as i64 + 1;
        if REOPENED.contains(&number) {
            drop(manager.take());
            manager = (0..3).find_map(|_| open());
        }
        let Some(manager) = &manager else { return };
        told.begin(seed);
        let save = || {
            // The result may be an earlier, unreported failure; then this save has not started.
            let outcome = manager
                .save(Snapshot::new(epoch).model(model(seed)))
                .and_then(|ticket| ticket.wait(PATIENCE));
            let is_reported = outcome.is_ok() || manager.health().first_error.is_some();
            assert!(is_reported, "a save has failed, and the manager is in good health");
            outcome.is_ok()
        };
        if !(0..4).any(|_| save()) {
            return;
        }
        told.acknowledge(seed, true);
    }
}

/// Checks what a stopped run left: it can be opened; every listed checkpoint is intact and what was saved under its
/// epoch; the latest is at least the last acknowledged one; a new save works immediately, and reopening changes
/// nothing.
///
/// # Panics
/// When one of these does not hold.
pub fn check(dir: &Path, storage: &Arc<dyn FileSystem>, way: Way, acknowledged: i64) {
    let home = checkpoints(dir);
    let open = || {
        CheckpointManager::open_in(Arc::clone(storage), &home, way.settings())
            .unwrap_or_else(|error| panic!("what is left cannot be opened: {error}"))
    };
    let mut manager = open();
    let listed = manager.list_checkpoints().expect("it can be listed");
    let load = |epoch| {
        let loaded = manager.load(epoch).unwrap_or_else(|error| panic!("epoch {epoch}: {error}"));
        seed_of(loaded.model().unwrap())
    };
    let seeds: Vec<i64> = listed.iter().map(|epoch| load(*epoch)).collect();
    for (epoch, seed) in listed.iter().zip(&seeds) {
        assert_eq!(epoch_of(*seed), *epoch, "it was saved under another epoch");
    }
    let earlier = seeds.iter().filter(|seed| **seed < 0).count();
    assert!(listed.len() - earlier <= KEEP_LAST + 1, "{listed:?} are too many");
    let latest = manager.load_latest().expect("the latest can be loaded");
    let newest = latest.as_ref().map_or(0, |latest| seed_of(latest.checkpoint.model().unwrap()));
    assert!(
        newest.max(0) >= acknowledged,
        "save {newest} is the latest, {acknowledged} was acknowledged"
    );
    assert!(latest.is_none_or(|latest| latest.skipped.is_empty()), "one had to be passed over");
    if acknowledged > 0 {
        let epoch = epoch_of(acknowledged);
        assert!(listed.contains(&epoch) && load(epoch) >= acknowledged, "epoch {epoch} is gone");
    }
    let saved =
        manager.save(Snapshot::new(999).model(model(77))).and_then(|ticket| ticket.wait(PATIENCE));
    saved.expect("a new save works at once");
    manager.close(PATIENCE).expect("it can be closed");
    let kept = open().list_checkpoints().expect("it can be listed");
    assert!(kept.len() <= KEEP_LAST && kept.contains(&999), "{kept:?} after another save");
    let manager = open();
    assert_eq!(manager.list_checkpoints().expect("it can be listed"), kept, "opened once more");
    assert_eq!(manager.latest_checkpoint().expect("it can be listed"), Some(999));
    assert_eq!(seed_of(manager.load(999).expect("it is there").model().unwrap()), 77);
    let staging = storage.metadata(&home.join(".staging")).expect("it can be looked for");
    assert!(staging.is_none(), "something is left over");
}
