//! Several managers on one directory, concurrently and in turns: no manager removes another's files, save
//! numbers are unique, and every acknowledged save is present.

use crate::states::Durable;
use crate::states::{model, seed_of};
use crate::watched::{Gate, Watched};
use qstore_storage::{MemoryFs, Operation};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

#[test]
fn two_managers_share_a_directory() {
    let tmp = tempfile::tempdir().unwrap();
    let turns = 12;
    let open = || {
        let settings = CheckpointSettings::default().keep_last(0).workers(1);
        CheckpointManager::open(tmp.path(), settings).unwrap()
    };
    let save_all = |writer: u64| {
        let mut numbers = Vec::new();
        for turn in 0..turns {
            let manager = open(); // collects leftovers while the other one writes
            let epoch = turn * 2 + writer;
            let saved = manager.save(Snapshot::new(epoch).model(model(epoch))).unwrap().durable();
            numbers.push(saved.save_seq);
            assert!(manager.list_checkpoints().unwrap().contains(&epoch));
        }
        assert!(numbers.is_sorted());
        numbers
    };
    let numbers: Vec<u64> = thread::scope(|scope| {
        let writers = [0, 1].map(|writer| scope.spawn(move || save_all(writer)));
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let distinct: HashSet<_> = numbers.iter().collect();
    assert_eq!((distinct.len() as u64, numbers.iter().max()), (2 * turns, Some(&(2 * turns))));
    let manager = open();
    assert_eq!(manager.list_checkpoints().unwrap(), (0..2 * turns).collect::<Vec<_>>());
    for epoch in 0..2 * turns {
        assert_eq!(seed_of(manager.load(epoch).unwrap().model().unwrap()), epoch);
    }
    assert!(!tmp.path().join(".staging").exists());
}

#[test]
fn a_file_being_written_is_not_taken_for_a_leftover() {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    let settings = CheckpointSettings::default();
    let manager =
        CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings.clone()).unwrap();
    let gate = Arc::new(Gate::default());
    let at = Arc::clone(&gate);
    watched.set(move |_, operation, _| {
        if operation == Operation::Sync {
            at.pass();
        }
        Ok(())
    });
    let ticket = manager.save(Snapshot::new(1).model(model(1))).unwrap();
    gate.wait_for_somebody();
    // The neighbor opens the directory while the file is complete except for its name. It does not
    // save: by now the first manager holds the directory's lock.
    let neighbor = CheckpointManager::open_in(Arc::new(memory), Path::new("/c"), settings).unwrap();
    assert_eq!(neighbor.list_checkpoints().unwrap(), [0_u64; 0]);
    gate.open();
    ticket.durable();
    assert_eq!(neighbor.list_checkpoints().unwrap(), [1]);
    neighbor.save(Snapshot::new(2).model(model(2))).unwrap().durable();
    assert_eq!(manager.latest_checkpoint().unwrap(), Some(2));
}

/// A neighbor saves the next epoch, and its retention removes the one that was just listed. The newest is
/// not in that listing; reporting "there is no checkpoint" would make a run start over.
#[test]
fn a_checkpoint_replaced_while_loading_leads_to_the_newer_one() {
    for (opened_before, loads) in [(0, false), (0, true), (1, true)] {
        let memory = MemoryFs::new();
        let settings = CheckpointSettings::default().keep_last(1);
        let writer =
            CheckpointManager::open_in(Arc::new(memory.clone()), "/c", settings.clone()).unwrap();
        writer
            .save(Snapshot::new(1).model(model(1)))
            .unwrap()
            .wait(Duration::from_mins(1))
            .unwrap();
        let watched = Watched::new(&memory);
        let reader = CheckpointManager::open_in(watched.shared(), "/c", settings).unwrap();
        let opens = AtomicUsize::new(0);
        watched.set(move |_, operation, _| {
            if operation == Operation::Open && opens.fetch_add(1, SeqCst) == opened_before {
                let saved = writer.save(Snapshot::new(2).model(model(2))).unwrap();
                assert_eq!(
                    saved.wait(Duration::from_mins(1)).unwrap().saved().unwrap().removed,
                    [1]
                );
            }
            Ok(())
        });
        if loads {
            let latest = reader.load_latest().unwrap().expect("there is always a checkpoint");
            assert_eq!(seed_of(latest.checkpoint.model().unwrap()), 2);
        } else {
            assert_eq!(reader.latest_checkpoint().unwrap(), Some(2));
        }
    }
}
