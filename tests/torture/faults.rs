//! T1: every storage operation of a run fails, one at a time, in every way it can.
//!
//! Reads and inspections are operations, too. After each failure, both what the end of the process and what a
//! power cut would leave are compared with what had been promised.

use crate::trial::Trial;
use qstore::storage::{FileSystem, MemoryFs, Operation};
use qstore_storage::testing::{Failure, Fault, FaultFs};
use qstore_tests::promises::Promises;
use qstore_tests::{checkpoint_run, metrics_run};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/run";

type Run = dyn Fn(&FaultFs, &Promises) + Sync;
type Check = dyn Fn(&Arc<dyn FileSystem>, i64) + Sync;

/// A run on some file system, and a check of what it leaves.
struct Scenario {
    name: String,
    run: Box<Run>,
    check: Box<Check>,
}

fn scenarios() -> Vec<Scenario> {
    let dir = Path::new(DIR);
    let metrics = metrics_run::ways().map(|(name, settings)| Scenario {
        name: format!("metrics/{name}"),
        run: Box::new(move |storage, told| {
            metrics_run::run(dir, &storage.shared(), &settings, told);
        }),
        check: Box::new(|left, acknowledged| metrics_run::check(dir, left, acknowledged)),
    });
    let checkpoints = checkpoint_run::WAYS.map(|way| Scenario {
        name: format!("checkpoints/{}", way.name),
        run: Box::new(move |storage, told| {
            if !way.syncs_trees {
                storage.sync_files_one_by_one();
            }
            checkpoint_run::run(dir, &storage.shared(), way, told);
        }),
        check: Box::new(move |left, acknowledged| {
            checkpoint_run::check(dir, left, way, acknowledged);
        }),
    });
    metrics.into_iter().chain(checkpoints).collect()
}

/// A disk with one directory.
fn disk() -> MemoryFs {
    let memory = MemoryFs::new();
    memory.create_dir(Path::new(DIR)).expect("a new disk is empty");
    memory.sync_dir(Path::new("/")).expect("a directory can be synced");
    memory
}

pub(crate) fn run(trial: &Arc<Trial>) {
    let scenarios = scenarios();
    let mut cases = Vec::new();
    for scenario in &scenarios {
        let storage = FaultFs::failing_any(Arc::new(disk()), Fault::Never, Failure::Io);
        let told = Promises::default();
        (scenario.run)(&storage, &told);
        assert!(told.synced() > 0 && told.synced() == told.begun(), "nothing failed");
        for (at, operation) in storage.asked().into_iter().enumerate() {
            for failure in failures(trial.full, at, operation) {
                let name = format!("{}/{at}/{failure}", scenario.name);
                cases.push((scenario, at, failure, name));
            }
        }
    }
    trial.plan(cases.len());
    trial.side_by_side(&cases, |(scenario, at, failure, name)| {
        trial.case(name, || one(scenario, Fault::Once(*at), failure.clone()));
    });
}

/// All ways to fail. In the quick form only one of the errors, a different one at each operation, and the special
/// ways.
fn failures(full: bool, at: usize, operation: Operation) -> Vec<Failure> {
    let all = Failure::of(operation);
    if full {
        return all;
    }
    let errors = Failure::ERRORS.len();
    let chosen = |(number, _): &(usize, Failure)| *number >= errors || *number == at % errors;
    all.into_iter().enumerate().filter(chosen).map(|(_, failure)| failure).collect()
}

fn one(scenario: &Scenario, fault: Fault, failure: Failure) {
    let (memory, told) = (disk(), Promises::default());
    let storage = FaultFs::failing_any(Arc::new(memory.clone()), fault, failure);
    (scenario.run)(&storage, &told);
    // After a single failure everything is written in the end.
    assert_eq!(told.flushed(), told.begun(), "the run did not reach its end");
    let left: Arc<dyn FileSystem> = Arc::new(memory.process_kill());
    (scenario.check)(&left, told.flushed());
    let left: Arc<dyn FileSystem> = Arc::new(memory.power_cut());
    (scenario.check)(&left, told.synced());
}
