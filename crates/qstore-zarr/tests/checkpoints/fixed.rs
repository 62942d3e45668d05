//! Directories that cannot be renamed, as those of a lower layer of overlayfs: replacing and removing them
//! works in place, there is always one checkpoint, and one that cannot be removed does not keep the others.

use crate::states::{Durable, assert_same, model, seed_of};
use crate::watched::Watched;
use qstore_storage::{FileSystem, MemoryFs, Operation, PowerCut, UnsyncedBytes, UnsyncedNames};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints, Layout, Outcome, Snapshot};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);
const EXDEV: i32 = 18;

fn settings() -> CheckpointSettings {
    CheckpointSettings::default().keep_last(2).workers(1).layout(Layout::Directory)
}

fn open(watched: &Watched) -> CheckpointManager {
    CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings()).unwrap()
}

/// No directory that is a checkpoint can be renamed or exchanged, and `also` may fail anything else.
fn fix(
    watched: &Watched,
    errno: i32,
    also: impl Fn(Operation, &Path) -> io::Result<()> + Send + Sync + 'static,
) {
    // The first rename to a tombstone after a failed exchange moves the old tree, the second the new one.
    let moves_the_old = AtomicBool::new(false);
    watched.set(move |_, operation, path| {
        also(operation, path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_staging = path.parent().is_some_and(|dir| dir.ends_with(".staging"));
        let is_refused = match operation {
            Operation::Exchange => {
                moves_the_old.store(true, SeqCst);
                true
            }
            Operation::Rename if name.starts_with("tombstone-") => {
                moves_the_old.swap(false, SeqCst)
            }
            Operation::Rename => is_staging,
            _ => false,
        };
        if is_refused { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) }
    });
}

fn names(memory: &MemoryFs) -> Vec<String> {
    let listed = memory.list(Path::new("/c")).unwrap();
    let mut names: Vec<_> =
        listed.into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn saves_replace_and_remove_such_directories_and_leave_nothing() {
    // EXDEV, EINVAL of an exchange, ENOSYS, EOPNOTSUPP; a removal goes on after any error.
    for errno in [EXDEV, 38, 95] {
        let memory = MemoryFs::new();
        let watched = Watched::new(&memory);
        let mut manager = open(&watched);
        fix(&watched, errno, |_, _| Ok(()));
        for (epoch, seed) in [(1, 1), (2, 2), (2, 3), (3, 4), (1, 5), (4, 6), (4, 7), (4, 8)] {
            let saved = manager.save(Snapshot::new(epoch).model(model(seed))).unwrap().durable();
            assert_eq!(saved.retention, None);
            let loaded = manager.load(epoch).unwrap();
            assert_eq!(seed_of(loaded.model().unwrap()), seed);
            manager.verify(epoch).unwrap();
        }
        assert!(manager.health().is_ok());
        manager.close(LONG).unwrap();
        assert_eq!(names(&memory), [".qstore.json", "epoch_0001", "epoch_0004", "zarr.json"]);
        // The end of the staging directory is not synced; that of a checkpoint is.
        let mut after = names(&memory.power_cut());
        after.retain(|name| name != ".staging");
        assert_eq!(after, [".qstore.json", "epoch_0001", "epoch_0004", "zarr.json"]);
    }
}

/// Whatever keeps a directory from being renamed (it is a mount point, its owner is another user, the disk
/// is full), its files may still go.
#[test]
fn a_removal_goes_on_in_place_whatever_the_error() {
    for errno in [1, 5, 13, 16, EXDEV, 22, 28, 30, 122] {
        let memory = MemoryFs::new();
        let watched = Watched::new(&memory);
        let manager = open(&watched);
        watched.set(move |_, operation, path| {
            let is_staging = path.parent().is_some_and(|dir| dir.ends_with(".staging"));
            let is_refused = operation == Operation::Rename && is_staging;
            if is_refused { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) }
        });
        for epoch in 1..=4 {
            let saved = manager.save(Snapshot::new(epoch).model(model(epoch))).unwrap().durable();
            assert_eq!(saved.retention, None, "errno {errno}");
        }
        assert_eq!(manager.list_checkpoints().unwrap(), [3, 4]);
    }
}

/// Readers without a lock, at every single operation of a replacement and of a removal.
#[test]
fn at_every_moment_there_is_one_of_the_two() {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    let manager = open(&watched);
    for epoch in [1, 2] {
        manager.save(Snapshot::new(epoch).model(model(epoch))).unwrap().durable();
    }
    let looks = Arc::new(AtomicUsize::new(0));
    let (reader, count) = (memory.clone(), Arc::clone(&looks));
    fix(&watched, EXDEV, move |_, _| {
        count.fetch_add(1, SeqCst);
        let checkpoints = Checkpoints::open_in(Arc::new(reader.clone()), "/c").unwrap();
        let seed = seed_of(checkpoints.load(2).unwrap().model().unwrap());
        assert!([2, 3].contains(&seed));
        let listed = checkpoints.list_checkpoints().unwrap();
        assert!(listed.contains(&2), "{listed:?}");
        assert_eq!(checkpoints.load_latest().unwrap().unwrap().skipped.len(), 0);
        Ok(())
    });
    manager.save(Snapshot::new(2).model(model(3))).unwrap().durable();
    manager.save(Snapshot::new(3).model(model(4))).unwrap().durable();
    assert!(looks.load(SeqCst) > 50, "{looks:?}");
    watched.set(|_, _, _| Ok(()));
    assert_eq!(manager.list_checkpoints().unwrap(), [2, 3]);
}

/// The process is killed, or the power fails, before each operation of a replacement that also removes an
/// old checkpoint.
#[test]
fn a_kill_or_a_power_cut_at_any_operation_loses_nothing() {
    let mut cases = 0;
    for number in 0.. {
        let memory = MemoryFs::new();
        let watched = Watched::new(&memory);
        let manager = open(&watched);
        for epoch in [1, 2, 3] {
            // 1 is removed by the save of 3, where directories can be renamed.
            manager.save(Snapshot::new(epoch).model(model(epoch))).unwrap().durable();
        }
        manager.pin(2).unwrap();
        let count = AtomicUsize::new(0);
        fix(&watched, EXDEV, move |_, _| {
            if count.fetch_add(1, SeqCst) >= number { Err(io::Error::other("cut")) } else { Ok(()) }
        });
        let acknowledged = [(3, 4), (4, 5), (5, 6)].map(|(epoch, seed)| {
            let save = manager.save(Snapshot::new(epoch).model(model(seed)));
            save.and_then(|ticket| ticket.wait(LONG)).ok().and_then(Outcome::saved).is_some()
        });
        let is_done = acknowledged[2] && watched.count() < number;
        drop(manager);
        let cut = |names| memory.power_cut_by(PowerCut { bytes: UnsyncedBytes::Kept, names });
        let random = (0..3).map(|seed| cut(UnsyncedNames::Random { seed }));
        // The kill comes last, because checking it changes the memory.
        let cuts = random.chain([memory.power_cut(), memory.clone()]);
        for left in cuts {
            cases += 1;
            check(&left, acknowledged, number);
        }
        if is_done {
            break;
        }
    }
    println!("{cases} cases: kills and power cuts while directories cannot be renamed");
}

fn check(left: &MemoryFs, acknowledged: [bool; 3], number: usize) {
    let watched = Watched::new(left);
    fix(&watched, EXDEV, |_, _| Ok(()));
    // A process that only reads, before anything is repaired.
    let checkpoints = Checkpoints::open_in(Arc::new(left.clone()), "/c").unwrap();
    for round in 0..2 {
        let seed = |epoch: u64| {
            checkpoints.load(epoch).ok().map(|loaded| seed_of(loaded.model().unwrap()))
        };
        let what = format!(
            "operation {number}, round {round}: {:?}, {acknowledged:?}",
            checkpoints.list_checkpoints()
        );
        assert_eq!(seed(2), Some(2), "{what}");
        let [replaced, fourth, fifth] = acknowledged;
        match seed(3) {
            Some(3) => assert!(!replaced, "{what}"),
            Some(4) => {}
            // The last save may be durable and its answer lost.
            None => assert!(fourth, "{what}"),
            other => panic!("{other:?}, {what}"),
        }
        assert!(!fourth || seed(4) == Some(5), "{what}");
        assert!(!fifth || seed(5) == Some(6), "{what}");
        for epoch in checkpoints.list_checkpoints().unwrap() {
            checkpoints.verify(epoch).unwrap();
        }
        drop(open(&watched)); // repairs
    }
    let manager = open(&watched);
    for (epoch, seed) in [(3, 7), (9, 8), (9, 9)] {
        manager.save(Snapshot::new(epoch).model(model(seed))).unwrap().durable();
    }
    drop(manager);
    let names = names(left);
    let expected =
        [".qstore.json", "epoch_0002", "epoch_0002.pin", "epoch_0003", "epoch_0009", "zarr.json"];
    assert_eq!(names, expected, "operation {number}");
}

/// Regression: the first that cannot be removed stops the removal of all others, at every save.
#[test]
fn one_that_cannot_be_removed_does_not_keep_the_others() {
    for layout in [Layout::SingleFile, Layout::Directory] {
        let watched = Watched::new(&MemoryFs::new());
        let settings = settings().layout(layout).keep_last(0);
        let open = |settings| {
            CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap()
        };
        let manager = open(settings.clone());
        for epoch in 1..=6 {
            manager.save(Snapshot::new(epoch).model(model(epoch))).unwrap().durable();
        }
        drop(manager);
        watched.set(|_, operation, path| {
            let path = path.to_string_lossy();
            let is_stuck = path.contains("epoch_0002") || path.contains("epoch_0004");
            let is_move = operation == Operation::Rename && path.contains("/.staging/");
            let is_stuck = is_stuck && [Operation::Remove, Operation::Rename].contains(&operation);
            if is_stuck || is_move { Err(io::Error::from_raw_os_error(13)) } else { Ok(()) }
        });
        let manager = open(settings.keep_last(1));
        let saved = manager.save(Snapshot::new(7).model(model(7))).unwrap().durable();
        assert_eq!(saved.removed, [1, 3, 5, 6], "{layout:?}");
        let reason = saved.retention.unwrap().to_string();
        assert!(reason.contains("epoch_000") || reason.contains(".staging"), "{reason}");
        assert_eq!(manager.list_checkpoints().unwrap(), [2, 4, 7]);
        let plan = manager.explain().unwrap();
        assert!(manager.prune(&plan).is_err());
        // Once they can be removed, they are.
        watched.set(|_, _, _| Ok(()));
        let saved = manager.save(Snapshot::new(8).model(model(8))).unwrap().durable();
        assert_eq!((saved.removed, saved.retention), (vec![2, 4, 7], None));
    }
}

/// Regression: the chunks of an unchanged tensor are linked from where the old tree was.
#[test]
fn shared_tensors_are_linked_from_the_right_tree() {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    let settings = settings().deduplicate(true);
    let manager = CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap();
    // The old tree cannot be deleted once it is retired, so its successor stays aside.
    fix(&watched, EXDEV, |operation, path| {
        let is_old = path.starts_with("/c/epoch_0001") && operation == Operation::Remove;
        if is_old { Err(io::Error::from_raw_os_error(16)) } else { Ok(()) }
    });
    for (epoch, seed) in [(1, 1), (1, 2), (2, 2), (3, 2), (1, 3), (4, 3)] {
        manager.save(Snapshot::new(epoch).model(model(seed))).unwrap().durable();
        for epoch in manager.list_checkpoints().unwrap() {
            manager.verify(epoch).unwrap();
        }
        assert_same(manager.load(epoch).unwrap().model().unwrap(), &model(seed));
    }
    watched.set(|_, _, _| Ok(()));
    drop(manager);
    drop(open(&watched));
    assert_eq!(names(&memory), [".qstore.json", "epoch_0001", "epoch_0004", "zarr.json"]);
}

/// Foreign directories are not touched by what settles interrupted removals, and an empty one is nothing.
#[test]
fn foreign_directories_stay_and_an_empty_one_is_replaced() {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    drop(open(&watched));
    for name in ["epoch_0001", "epoch_0002", "notes"] {
        memory.create_dir(&Path::new("/c").join(name)).unwrap();
    }
    memory.create_new(Path::new("/c/epoch_0001/zarr.json")).unwrap();
    memory.create_new(Path::new("/c/notes/manifest.json.old")).unwrap();
    fix(&watched, EXDEV, |_, _| Ok(()));
    let manager = open(&watched);
    let refused = manager.save(Snapshot::new(1)).unwrap().wait(LONG).unwrap_err();
    assert!(refused.to_string().contains("was not written by Q-Store"), "{refused}");
    manager.save(Snapshot::new(2)).unwrap().durable();
    assert_eq!(manager.list_checkpoints().unwrap(), [2]);
    assert!(memory.metadata(Path::new("/c/epoch_0001/zarr.json")).unwrap().is_some());
    assert!(memory.metadata(Path::new("/c/notes/manifest.json.old")).unwrap().is_some());
}
