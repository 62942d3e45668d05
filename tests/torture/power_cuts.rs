//! T2: the power is cut before every change of a run, and after its end, in many ways at each moment.
//!
//! What is left is compared with what had been promised at that moment: only what was synced, everything that was
//! visible, torn blocks, and any part of it in any order that a file system may choose.

use crate::trial::Trial;
use qstore::WriterSettings;
use qstore::storage::{FileSystem, MemoryFs};
use qstore_storage::testing::{CrashFs, cuts};
use qstore_tests::checkpoint_run::{self, Way};
use qstore_tests::metrics_run;
use qstore_tests::promises::Promises;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/run";

/// The number of parts into which the moments of one run are divided, so that every processor gets some.
const PARTS: usize = 4;

/// A run whose power is cut.
enum Scenario {
    Metrics(&'static str, WriterSettings),
    Checkpoints(Way),
}

impl Scenario {
    fn name(&self) -> String {
        match self {
            Self::Metrics(name, _) => format!("metrics/{name}"),
            Self::Checkpoints(way) => format!("checkpoints/{}", way.name),
        }
    }

    fn run(&self, storage: &CrashFs, told: &Promises) {
        match self {
            Self::Metrics(_, settings) => {
                metrics_run::run(Path::new(DIR), &storage.shared(), settings, told);
            }
            Self::Checkpoints(way) => {
                checkpoint_run::run(Path::new(DIR), &storage.shared(), *way, told);
            }
        }
    }

    fn check(&self, left: MemoryFs, acknowledged: i64) {
        let left: Arc<dyn FileSystem> = Arc::new(left);
        match self {
            Self::Metrics(..) => metrics_run::check(Path::new(DIR), &left, acknowledged),
            Self::Checkpoints(way) => {
                checkpoint_run::check(Path::new(DIR), &left, *way, acknowledged);
            }
        }
    }
}

pub(crate) fn run(trial: &Arc<Trial>) {
    let metrics = metrics_run::ways().map(|(name, settings)| Scenario::Metrics(name, settings));
    let checkpoints = checkpoint_run::WAYS.map(Scenario::Checkpoints);
    let scenarios = metrics.into_iter().chain(checkpoints).map(Arc::new);
    let parts: Vec<_> = scenarios
        .flat_map(|scenario| (0..PARTS).map(move |part| (Arc::clone(&scenario), part)))
        .collect();
    trial.side_by_side(&parts, |(scenario, part)| {
        if trial.wants(&format!("{}/", scenario.name())) {
            cut_one(trial, scenario, *part);
        }
    });
}

/// Runs a scenario, and cuts the power before every change of one part.
fn cut_one(trial: &Arc<Trial>, scenario: &Arc<Scenario>, part: usize) {
    let memory = MemoryFs::new();
    memory.create_dir(Path::new(DIR)).expect("a new disk is empty");
    memory.sync_dir(Path::new("/")).expect("a directory can be synced");
    let told = Arc::new(Promises::default());
    let try_all = {
        let (trial, scenario, told) = (Arc::clone(trial), Arc::clone(scenario), Arc::clone(&told));
        move |number: usize, memory: &MemoryFs| {
            if number % PARTS != part {
                return;
            }
            let check = |cut: &str, left: MemoryFs, acknowledged| {
                let name = format!("{}/{number}/{cut}", scenario.name());
                trial.case(&name, || scenario.check(left, acknowledged));
            };
            let random = if trial.full { 12 } else { 2 };
            for cut in cuts(trial.seed, number, random) {
                check(&cut.to_string(), memory.power_cut_by(cut), told.synced());
            }
            check("killed", memory.process_kill(), told.flushed());
        }
    };
    let look = try_all.clone();
    let storage = CrashFs::new(&memory, move |moment| look(moment.number, moment.memory));
    if let Scenario::Checkpoints(way) = &**scenario
        && !way.syncs_trees
    {
        storage.sync_files_one_by_one();
    }
    scenario.run(&storage, &told);
    assert_eq!(told.synced(), told.begun(), "nothing failed");
    try_all(storage.changes(), &memory);
}
