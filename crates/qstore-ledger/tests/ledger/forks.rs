//! A forked child records nothing, waits for nothing, and leaves its parent's ledger alone.

use qstore_ledger::training::{digest, spec};
use qstore_ledger::{Budget, Ledger, LedgerError, Seen};
use qstore_os::testing::{Fork, in_child};
use std::sync::mpsc::channel;
use std::thread;

#[test]
fn every_call_that_records_is_an_error_in_a_child_and_the_parent_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for (number, fork) in Fork::ALL.into_iter().enumerate() {
        let path = dir.path().join(format!("{number}.parquet"));
        let ledger = Ledger::open(&path, Budget::unlimited()).unwrap();
        let job = ledger.intend(spec(0)).unwrap().submitted("p").unwrap();
        let intent = ledger.intend(spec(1)).unwrap();
        drop(ledger.intend(spec(2)).unwrap());
        let doubtful = ledger.jobs()[2].key.clone();
        let before = std::fs::read(&path).unwrap();
        let mut intents = vec![intent];
        in_child(fork, || {
            let is_forked = |error| matches!(error, LedgerError::Forked);
            assert!(is_forked(ledger.intend(spec(3)).unwrap_err()));
            assert!(is_forked(ledger.retry(&doubtful).unwrap_err()));
            assert!(is_forked(ledger.give_up(&doubtful).unwrap_err()));
            assert!(is_forked(ledger.observe(&job.key, &Seen::running()).unwrap_err()));
            assert!(is_forked(ledger.close().unwrap_err()));
            assert!(is_forked(intents.pop().unwrap().submitted("q").unwrap_err()));
            assert_eq!(ledger.unfinished().len(), 3, "what was known at the fork");
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before, "{fork:?}");
        intents.pop().unwrap().submitted("q").unwrap();
        assert!(ledger.finished(&digest(0)).is_none());
        ledger.close().unwrap();
    }
}

/// Another thread of the parent is inside a call at the fork: it does not exist in the child, which must not wait.
#[test]
fn a_child_waits_for_no_thread_of_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, is_inside) = channel();
    let (go_on, must_go_on) = channel();
    // A thread that records without a pause has the lock most of the time.
    let ledger = Ledger::open(dir.path().join("jobs.parquet"), Budget::unlimited()).unwrap();
    thread::scope(|scope| {
        let recording = ledger.clone();
        scope.spawn(move || {
            let job = recording.intend(spec(0)).unwrap().submitted("p").unwrap();
            let mut position = 0;
            inside.send(()).unwrap();
            while must_go_on.try_recv().is_err() {
                position += 1;
                recording.observe(&job.key, &Seen::queued(position)).unwrap();
            }
        });
        is_inside.recv().unwrap();
        for fork in Fork::ALL.into_iter().cycle().take(20) {
            in_child(fork, || {
                assert!(matches!(ledger.intend(spec(1)), Err(LedgerError::Forked)));
                // What was known, or nothing.
                let _ = (ledger.jobs(), ledger.spending(), ledger.finished(&digest(0)));
            })
            .unwrap();
        }
        go_on.send(()).unwrap();
    });
}
