//! T18: a training that sends jobs to a quantum computer is killed, or loses its power, before every change of the
//! disk and after every request.
//!
//! The simulated provider loses answers, is away, and fails jobs; its own list is the judge. Before every change of the
//! disk: every job that it accepted has its identifier in what is left, or is in doubt under its token, and no
//! identifier is invented. In random histories of processes that die after any request: no batch is sent twice, and the
//! ledger adds up to the bill.

use crate::trial::Trial;
use qstore::storage::{FileSystem, MemoryFs};
use qstore_ledger::simulated::{SimulatedProvider, Simulation};
use qstore_ledger::training::{
    Client, Death, Doubt, disk, doubles, history, judge, send_again, train,
};
use qstore_storage::testing::{CrashFs, cuts};
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
            trial.case(&name, || one_history(seed, *number));
        }
    });
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
            let check = |cut: &str, left: MemoryFs, is_sent_again: bool| {
                let name = format!("seed {seed}/{number}/{cut}");
                trial.case(&name, || {
                    let provider = provider.snapshot();
                    if is_sent_again {
                        let next: Arc<dyn FileSystem> = Arc::new(left.clone());
                        send_again(&next, &provider);
                    }
                    let left = if is_sent_again { left.power_cut() } else { left };
                    let left: Arc<dyn FileSystem> = Arc::new(left);
                    judge(&left, &provider, &name);
                });
            };
            for cut in cuts(seed, number, 1) {
                check(&cut.to_string(), memory.power_cut_by(cut), false);
            }
            check("killed", memory.process_kill(), false);
            // What the next process relies on is durable.
            check("killed, sent again, power cut", memory.process_kill(), true);
        }
    };
    let at_end = look.clone();
    let storage = CrashFs::new(&memory, move |moment| look(moment.number, moment.memory));
    let client = Client::new(provider, usize::MAX);
    let ledger = train(&storage.shared(), &client, jobs, Doubt::Retries).expect("nothing failed");
    assert!(ledger.unfinished().is_empty(), "a training ends when every job has");
    at_end(storage.changes(), &memory);
}

/// Processes that die after some requests each, and one that does not.
fn one_history(seed: u64, number: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (honors_tokens, can_search) =
        [(true, true), (true, false), (false, true), (false, false)][number as usize % 4];
    let doubt = if honors_tokens || can_search { Doubt::Retries } else { Doubt::Skips };
    let simulation = Simulation {
        seed,
        honors_tokens,
        can_search,
        unreachable: random.f64() * 0.5,
        loses_answers: random.f64() * 0.6,
        fails: random.f64() * 0.4,
        price_error: random.f64() * 0.5,
        ..Simulation::default()
    };
    let deaths: Vec<_> = (0..random.usize(..5))
        .map(|_| Death { requests: random.usize(1..30), is_power_cut: random.bool() })
        .collect();
    let (provider, error) = history(simulation, &deaths, doubt);
    assert_eq!(doubles(&provider.accepted()), 0, "a batch was sent twice");
    // A batch in doubt that is skipped is on the bill and not in the ledger.
    let must_add_up = doubt == Doubt::Retries;
    assert!(!must_add_up || error < 0.005, "the ledger and the bill differ by {error} USD");
}
