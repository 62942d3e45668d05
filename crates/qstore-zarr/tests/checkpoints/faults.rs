//! Every storage operation fails once: the save says so, earlier checkpoints stay whole, and the
//! next save works.

use crate::states::{model, seed_of};
use crate::watched::Watched;
use qstore_storage::{MemoryStorage, Storage};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Error};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);
const KINDS: [io::ErrorKind; 3] =
    [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::PermissionDenied];

fn settings() -> CheckpointSettings {
    CheckpointSettings::default().keep_last(2).workers(1)
}

/// Fails operation `number` from now on, once.
fn arm(watched: &Watched, number: usize, kind: io::ErrorKind) {
    watched.set(move |count, _, _| if count == number { Err(kind.into()) } else { Ok(()) });
}

#[test]
fn a_save_that_fails_says_so_and_harms_nothing() {
    let mut failures = 0;
    for (epochs, kind) in [([1, 2, 3], KINDS[0]), ([1, 2, 2], KINDS[1]), ([5, 4, 3], KINDS[2])] {
        for number in 0.. {
            let memory = MemoryStorage::new();
            let watched = Watched::new(&memory);
            let manager =
                CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings()).unwrap();
            for (seed, epoch) in (1..).zip(&epochs[..2]) {
                let ticket = manager.save(*epoch, model(seed), None, None).unwrap();
                ticket.wait(LONG).unwrap();
            }
            arm(&watched, number, kind);
            let outcome = manager.save(epochs[2], model(3), None, None).unwrap().wait(LONG);
            let has_struck = watched.count() > number;
            watched.set(|_, _, _| Ok(()));
            let what = format!("operation {number} of saving {epochs:?}");
            check(&manager, outcome, &epochs, &mut failures, &what);
            if !has_struck {
                break;
            }
        }
    }
    assert!(failures > 60, "only {failures} failures");
}

fn check(
    manager: &CheckpointManager,
    outcome: Result<qstore_zarr::Saved, Error>,
    epochs: &[u64; 3],
    failures: &mut usize,
    what: &str,
) {
    let is_new = |epoch: u64| manager.load(epoch).is_ok_and(|c| seed_of(&c.model_state) == 3);
    match outcome {
        Ok(saved) => {
            assert_eq!(saved.epoch, epochs[2], "{what}");
            assert!(is_new(epochs[2]), "{what}: acknowledged, but not there");
            assert!(manager.health().is_ok(), "{what}");
        }
        Err(error) => {
            *failures += 1;
            assert!(matches!(error, Error::SaveFailed { .. }), "{what}: {error}");
            let latched = manager.health().unwrap_err();
            assert_eq!(latched.to_string(), error.to_string(), "{what}");
            if error.to_string().contains("is saved, but removing") {
                // Nothing is lost, and the next save is not kept from trying again.
                assert!(is_new(epochs[2]), "{what}: saved, but not there");
            } else {
                let next = manager.save(9, model(9), None, None);
                assert!(matches!(next, Err(Error::EarlierSaveFailed { .. })), "{what}");
            }
        }
    }
    // What was acknowledged before is whole; only what is older than the last two may be gone.
    let second = seed_of(&manager.load(epochs[1]).unwrap().model_state);
    assert!(second == 2 || (second == 3 && epochs[1] == epochs[2]), "{what}");
    for epoch in manager.list_checkpoints().unwrap() {
        seed_of(&manager.load(epoch).unwrap().model_state);
    }
    manager.save(9, model(9), None, None).unwrap().wait(LONG).unwrap();
    assert_eq!(manager.latest_checkpoint().unwrap(), Some(9), "{what}");
    assert_eq!(manager.list_checkpoints().unwrap().len(), 2, "{what}: retention goes on");
}

#[test]
fn an_open_that_fails_says_so_and_harms_nothing() {
    for number in 0.. {
        let memory = MemoryStorage::new();
        let watched = Watched::new(&memory);
        let open = || CheckpointManager::open_in(watched.shared(), Path::new("/a/c"), settings());
        arm(&watched, number, io::ErrorKind::StorageFull);
        let opened = open();
        let has_struck = watched.count() > number;
        if let Err(error) = &opened {
            assert!(matches!(error, Error::Storage(_)), "{error}");
        }
        drop(opened);
        watched.set(|_, _, _| Ok(()));
        let manager = open().unwrap();
        manager.save(1, model(1), None, None).unwrap().wait(LONG).unwrap();
        if !has_struck {
            break;
        }
    }
}

#[test]
fn a_read_that_fails_is_an_error_never_another_answer() {
    let memory = MemoryStorage::new();
    let watched = Watched::new(&memory);
    let storage: Arc<dyn Storage> = watched.shared();
    let manager = CheckpointManager::open_in(storage, Path::new("/c"), settings()).unwrap();
    for epoch in [1, 2] {
        manager.save(epoch, model(epoch), None, None).unwrap().wait(LONG).unwrap();
    }
    for number in 0.. {
        arm(&watched, number, io::ErrorKind::Other);
        match manager.load(2) {
            Ok(loaded) => assert_eq!(seed_of(&loaded.model_state), 2),
            Err(error) => assert!(matches!(error, Error::Storage(_)), "{error}"),
        }
        let mut has_struck = watched.count() > number;

        // A checkpoint that cannot be read must not be taken for one that is not there.
        arm(&watched, number, io::ErrorKind::Other);
        if let Ok(listed) = manager.list_checkpoints() {
            assert_eq!(listed, [1, 2]);
        }
        has_struck |= watched.count() > number;

        arm(&watched, number, io::ErrorKind::Other);
        if let Ok(latest) = manager.latest_checkpoint() {
            assert_eq!(latest, Some(2));
        }
        arm(&watched, number, io::ErrorKind::Other);
        if let Ok(latest) = manager.load_latest() {
            let latest = latest.unwrap();
            let is_newest = latest.checkpoint.epoch == 2;
            assert!(is_newest || latest.skipped.iter().any(|(epoch, _)| *epoch == 2));
        }
        if !has_struck {
            break;
        }
    }
}
