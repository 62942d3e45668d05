//! Power cuts and kills before every storage operation of a run. What is left always opens and lists
//! only whole checkpoints, the latest of which is at least as new as the last acknowledged one. A new
//! save works immediately.

use crate::states::Durable;
use crate::states::{model, seed_of};
use crate::watched::Watched;
use qstore_storage::{FileSystem, MemoryFs, Operation};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, Snapshot};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);
const DIR: &str = "/run/checkpoints";

fn settings(keep_last: usize, layout: Layout) -> CheckpointSettings {
    CheckpointSettings::default().keep_last(keep_last).layout(layout)
}

/// A sequence of saves.
struct Scenario<'a> {
    epochs: &'a [u64],
    keep_last: usize,
    /// The layout of each save, repeated cyclically when there are more saves than layouts.
    layouts: &'a [Layout],
    /// Whether the file system can swap two names atomically.
    can_exchange: bool,
    deduplicate: bool,
    workers: usize,
}

const FILE: &[Layout] = &[Layout::SingleFile];
const DIRECTORY: &[Layout] = &[Layout::Directory];

/// What is left on the disk at one moment, and what had been acknowledged by then.
struct Remains {
    storage: MemoryFs,
    what: String,
    acknowledged: u64,
    /// Whether the last save was acknowledged, retention included, and no other had begun.
    is_settled: bool,
}

/// Saves these epochs in order, the first with seed 1, the next with seed 2, and so on. Returns what
/// would be left before each storage operation.
fn run(scenario: &Scenario<'_>) -> Vec<Remains> {
    let Scenario { epochs, keep_last, layouts, can_exchange, deduplicate, workers } = *scenario;
    let memory = MemoryFs::new();
    memory.create_dir(Path::new("/run")).unwrap();
    memory.sync_dir(Path::new("/")).unwrap();
    let watched = Watched::new(&memory);
    if !can_exchange {
        // A less capable file system: no exchange, no sync of a whole tree.
        watched.sync_files_one_by_one();
    }
    let remains = Arc::new(Mutex::new(Vec::new()));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (seen, promised, disk) = (Arc::clone(&remains), Arc::clone(&acknowledged), memory.clone());
    watched.set(move |number, operation, path| {
        let acknowledged = promised.load(Ordering::SeqCst);
        let left = [
            ("cut", disk.power_cut()),
            ("cut after names", disk.power_cut_after_names()),
            ("killed", disk.process_kill()),
        ];
        for (how, storage) in left {
            let what = format!("{how} before operation {number}: {operation} {}", path.display());
            let is_settled = false;
            seen.lock().unwrap().push(Remains { storage, what, acknowledged, is_settled });
        }
        if operation == Operation::Exchange && !can_exchange {
            return Err(std::io::ErrorKind::Unsupported.into());
        }
        Ok(())
    });
    for ((seed, epoch), layout) in (1..).zip(epochs).zip(layouts.iter().cycle()) {
        let settings = settings(keep_last, *layout).deduplicate(deduplicate).workers(workers);
        let mut manager =
            CheckpointManager::open_in(watched.shared(), Path::new(DIR), settings).unwrap();
        let ticket = manager.save(Snapshot::new(*epoch).model(model(seed))).unwrap();
        ticket.durable();
        acknowledged.store(seed, Ordering::SeqCst);
        let left = [
            ("cut", memory.power_cut()),
            ("cut after names", memory.power_cut_after_names()),
            ("killed", memory.process_kill()),
        ];
        for (how, storage) in left {
            let what = format!("{how} after save {seed}");
            let rest = Remains { storage, what, acknowledged: seed, is_settled: true };
            remains.lock().unwrap().push(rest);
        }
        manager.close(LONG).unwrap();
    }
    watched.set(|_, _, _| Ok(()));
    std::mem::take(&mut remains.lock().unwrap())
}

fn check(scenario: &Scenario<'_>) -> usize {
    let Scenario { epochs, keep_last, layouts, .. } = *scenario;
    let remains = run(scenario);
    let count = remains.len();
    for Remains { storage, what, acknowledged, is_settled } in remains {
        let storage: Arc<dyn FileSystem> = Arc::new(storage);
        let open = || {
            let settings = settings(keep_last, layouts[0]).workers(1);
            CheckpointManager::open_in(Arc::clone(&storage), Path::new(DIR), settings)
                .unwrap_or_else(|error| panic!("{what}: {error}"))
        };
        let mut manager = open();
        // Every listed checkpoint is whole and has a seed that was saved under its epoch.
        let listed = manager.list_checkpoints().unwrap();
        for epoch in &listed {
            let seed = seed_of(manager.load(*epoch).unwrap().model().unwrap());
            assert_eq!(epochs[seed as usize - 1], *epoch, "{what}");
        }
        if keep_last > 0 {
            let most = if is_settled { keep_last } else { keep_last + 1 };
            assert!(listed.len() <= most, "{what}: {listed:?}");
        }
        // The latest is the last acknowledged one or newer, and nothing had to be skipped.
        let latest = manager.load_latest().unwrap();
        let newest =
            latest.as_ref().map_or(0, |latest| seed_of(latest.checkpoint.model().unwrap()));
        assert!(newest >= acknowledged, "{what}: {newest} is older than {acknowledged}");
        assert!(latest.is_none_or(|latest| latest.skipped.is_empty()), "{what}");
        // An acknowledged epoch is present in that version or a newer one, unless enough newer saves
        // had begun for retention to remove it.
        for (seed, epoch) in (1..=acknowledged).zip(epochs) {
            let is_kept = keep_last == 0 || seed + keep_last as u64 > acknowledged + 1;
            if is_kept {
                assert!(listed.contains(epoch), "{what}: epoch {epoch} is gone");
                assert!(seed_of(manager.load(*epoch).unwrap().model().unwrap()) >= seed, "{what}");
            }
        }
        assert!(storage.list(&Path::new(DIR).join(".staging")).is_err(), "{what}: leftovers");
        // A new save works at once and is the latest; opening again changes nothing.
        manager.save(Snapshot::new(999).model(model(77))).unwrap().durable();
        manager.close(LONG).unwrap();
        let manager = open();
        assert_eq!(manager.latest_checkpoint().unwrap(), Some(999), "{what}");
        assert_eq!(seed_of(manager.load(999).unwrap().model().unwrap()), 77);
    }
    println!("{count} cases");
    count
}

fn each_layout(epochs: &[u64], keep_last: usize) -> [usize; 2] {
    [FILE, DIRECTORY].map(|layouts| {
        let (can_exchange, deduplicate, workers) = (true, false, 1);
        check(&Scenario { epochs, keep_last, layouts, can_exchange, deduplicate, workers })
    })
}

#[test]
fn the_first_save_survives() {
    let [file, directory] = each_layout(&[1], 5);
    assert!(file > 40 && directory > 100);
}

#[test]
fn the_third_save_with_keep_last_2_survives() {
    let [file, directory] = each_layout(&[1, 2, 3], 2);
    assert!(file > 150 && directory > 300);
}

#[test]
fn an_epoch_saved_again_survives() {
    each_layout(&[4, 4, 4], 5);
}

#[test]
fn a_small_epoch_saved_after_a_large_one_survives() {
    each_layout(&[12, 3, 12], 1);
}

#[test]
fn an_epoch_saved_again_in_the_other_layout_survives() {
    for layouts in [[FILE[0], DIRECTORY[0]], [DIRECTORY[0], FILE[0]]] {
        for keep_last in [1, 3] {
            let (epochs, can_exchange) = (&[4, 4, 5, 4], true);
            let (layouts, deduplicate, workers) = (&layouts, false, 1);
            check(&Scenario { epochs, keep_last, layouts, can_exchange, deduplicate, workers });
        }
    }
}

#[test]
fn saves_survive_on_a_system_without_exchange_or_sync_of_whole_trees() {
    for epochs in [[4, 4, 4], [4, 5, 4], [1, 2, 3]] {
        let (epochs, keep_last, layouts) = (&epochs, 2, DIRECTORY);
        let (can_exchange, deduplicate, workers) = (false, true, 1);
        check(&Scenario { epochs, keep_last, layouts, can_exchange, deduplicate, workers });
    }
}

/// All models have the same tensor `frozen`, which is linked from save to save.
#[test]
fn saves_that_share_files_survive() {
    for (epochs, keep_last) in [(&[1, 2, 3][..], 1), (&[4, 4, 5], 2)] {
        let (layouts, can_exchange, deduplicate, workers) = (DIRECTORY, true, true, 1);
        check(&Scenario { epochs, keep_last, layouts, can_exchange, deduplicate, workers });
    }
}

/// When the power fails, other workers are in the middle of writing their files.
#[test]
fn saves_by_several_workers_survive() {
    for can_exchange in [true, false] {
        for layouts in [FILE, DIRECTORY] {
            let (epochs, keep_last, deduplicate, workers) = (&[4, 4, 5], 2, false, 4);
            check(&Scenario { epochs, keep_last, layouts, can_exchange, deduplicate, workers });
        }
    }
}
