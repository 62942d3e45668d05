//! T18: a training that sends jobs to a quantum computer is killed, or loses its power, before every change of the
//! disk and after every request.
//!
//! The simulated provider loses answers, is away, and fails jobs; its own list is the judge. Every job that it
//! accepted has its identifier in what is left, or is in doubt under its token; no identifier is invented; the process
//! that goes on pays for nothing twice.

use crate::trial::Trial;
use qstore::storage::{FileSystem, MemoryFs};
use qstore_ledger::JobState;
use qstore_ledger::simulated::{Accepted, SimulatedProvider, Simulation};
use qstore_ledger::training::{Client, Doubt, judge, train};
use qstore_storage::testing::{CrashFs, cuts};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(trial: &Arc<Trial>) {
    let (seeds, jobs) = if trial.full { (64, 40) } else { (2, 6) };
    let seeds: Vec<_> = (0..seeds).map(|seed| trial.seed.wrapping_add(seed)).collect();
    trial.side_by_side(&seeds, |seed| cut_one(trial, *seed, jobs));
    let histories: Vec<u64> = (0..if trial.full { 100_000 } else { 400 }).collect();
    trial.side_by_side(&histories, |number| {
        let name = format!("history/{number}");
        if trial.wants(&name) {
            let seed = trial.seed.wrapping_add(*number);
            trial.case(&name, || history(seed, *number));
        }
    });
}

fn disk() -> MemoryFs {
    let memory = MemoryFs::new();
    memory.create_dir(Path::new("/run")).expect("a new disk is empty");
    memory.sync_dir(Path::new("/")).expect("a directory can be synced");
    memory
}

/// Trains once, and judges what each moment would leave.
fn cut_one(trial: &Arc<Trial>, seed: u64, jobs: i64) {
    let simulation = Simulation {
        seed,
        loses_answers: 0.2,
        unreachable: 0.1,
        fails: 0.1,
        ..Simulation::default()
    };
    let (memory, provider) = (disk(), SimulatedProvider::new(simulation));
    let look = {
        let (trial, provider) = (Arc::clone(trial), provider.clone());
        move |number: usize, memory: &MemoryFs| {
            let check = |cut: &str, left: MemoryFs| {
                let name = format!("seed {seed}/{number}/{cut}");
                let left: Arc<dyn FileSystem> = Arc::new(left);
                trial.case(&name, || judge(&left, &provider, &name));
            };
            for cut in cuts(seed, number, 1) {
                check(&cut.to_string(), memory.power_cut_by(cut));
            }
            check("killed", memory.process_kill());
        }
    };
    let at_end = look.clone();
    let storage = CrashFs::new(&memory, move |moment| look(moment.number, moment.memory));
    let client = Client::new(provider, usize::MAX);
    let ledger = train(&storage.shared(), &client, jobs, Doubt::Retries).expect("nothing failed");
    assert!(ledger.unfinished().is_empty(), "a training ends when every job has");
    at_end(storage.changes(), &memory);
}

/// Processes that are killed after some requests each, and one that is not.
fn history(seed: u64, number: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (honors_tokens, can_search) =
        [(true, true), (true, false), (false, true), (false, false)][number as usize % 4];
    let doubt = if honors_tokens || can_search { Doubt::Retries } else { Doubt::Skips };
    let provider = SimulatedProvider::new(Simulation {
        seed,
        honors_tokens,
        can_search,
        unreachable: random.f64() * 0.5,
        loses_answers: random.f64() * 0.6,
        fails: random.f64() * 0.4,
        price_error: random.f64() * 0.5,
        ..Simulation::default()
    });
    let mut memory = disk();
    let mut kills: Vec<_> = (0..random.usize(..5)).map(|_| random.usize(1..30)).collect();
    kills.push(usize::MAX);
    for requests in kills {
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let client = Client::new(provider.clone(), requests);
        if let Some(trained) = client.run(|client| train(&storage, client, 4, doubt)) {
            let spent = trained.expect("nothing failed").spending().settled_usd;
            let is_known = doubt == Doubt::Retries;
            let error = (spent - provider.bill_usd()).abs();
            assert!(!is_known || error < 0.005, "the ledger and the bill differ by {error} USD");
        }
        drop(storage);
        memory = if random.bool() { memory.power_cut() } else { memory.process_kill() };
    }
    assert_eq!(doubles(&provider.accepted()), 0, "a batch was sent twice");
}

/// The jobs that were accepted although an earlier one for the same batch had not failed.
fn doubles(accepted: &[Accepted]) -> usize {
    let mut good: HashMap<&str, usize> = HashMap::new();
    for job in accepted {
        let is_wasted = matches!(job.state, JobState::Failed | JobState::Cancelled);
        *good.entry(&job.batch).or_default() += usize::from(!is_wasted);
    }
    good.values().map(|count| count.saturating_sub(1)).sum()
}
