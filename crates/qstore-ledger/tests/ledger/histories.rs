//! Random histories of requests, lost answers, failures and kills: the provider's own list is the judge.

use proptest::prelude::*;
use qstore_ledger::JobState;
use qstore_ledger::simulated::{Accepted, SimulatedProvider, Simulation};
use qstore_ledger::training::{Client, Doubt, train};
use qstore_storage::{FileSystem, MemoryFs};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

fn any_simulation() -> impl Strategy<Value = Simulation> {
    let shares = (0.0..0.5_f64, 0.0..0.6_f64, 0.0..0.4_f64);
    (any::<u64>(), shares, 0..4_u32, 0.0..0.5_f64).prop_map(
        |(seed, (unreachable, loses_answers, fails), queue_max, price_error)| Simulation {
            seed,
            unreachable,
            loses_answers,
            fails,
            queue_max,
            price_error,
            ..Simulation::default()
        },
    )
}

/// The jobs of a batch that were accepted although an earlier one had not failed.
fn doubles(accepted: &[Accepted]) -> usize {
    let mut good: HashMap<&str, usize> = HashMap::new();
    for job in accepted {
        let is_wasted = matches!(job.state, JobState::Failed | JobState::Cancelled);
        *good.entry(&job.batch).or_default() += usize::from(!is_wasted);
    }
    good.values().map(|count| count.saturating_sub(1)).sum()
}

/// Trains with a process that dies after each of these numbers of requests, and one that does not.
fn history(
    simulation: Simulation,
    kills: &[usize],
    cut: bool,
    doubt: Doubt,
) -> (SimulatedProvider, bool) {
    let provider = SimulatedProvider::new(simulation);
    let mut memory = MemoryFs::new();
    memory.create_dir(Path::new("/run")).unwrap();
    memory.sync_dir(Path::new("/")).unwrap();
    let lives = kills.iter().copied().chain([usize::MAX]);
    let mut adds_up = true;
    for requests in lives {
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let client = Client::new(provider.clone(), requests);
        if let Some(trained) = client.run(|client| train(&storage, client, 4, doubt)) {
            let spent = trained.unwrap().spending().settled_usd;
            adds_up = (spent - provider.bill_usd()).abs() < 0.005;
        }
        drop(storage);
        memory = if cut { memory.power_cut() } else { memory.process_kill() };
    }
    (provider, adds_up)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    // L2 and L6.
    #[test]
    fn a_provider_that_can_be_asked_is_never_sent_a_batch_twice(
        simulation in any_simulation(),
        (honors_tokens, can_search) in prop_oneof![
            Just((true, true)), Just((true, false)), Just((false, true)),
        ],
        kills in prop::collection::vec(1..30_usize, 0..6),
        cut: bool,
    ) {
        let simulation = Simulation { honors_tokens, can_search, ..simulation };
        let (provider, adds_up) = history(simulation, &kills, cut, Doubt::Retries);
        prop_assert_eq!(doubles(&provider.accepted()), 0);
        prop_assert!(adds_up, "the ledger does not add up to the bill");
    }

    // L2, for a provider that can neither be asked nor told: what may be paid twice is refused, not sent.
    #[test]
    fn a_batch_in_doubt_is_never_sent_again_without_a_word(
        simulation in any_simulation(),
        kills in prop::collection::vec(1..30_usize, 0..6),
        cut: bool,
    ) {
        let simulation = Simulation { honors_tokens: false, can_search: false, ..simulation };
        let (provider, _) = history(simulation, &kills, cut, Doubt::Skips);
        prop_assert_eq!(doubles(&provider.accepted()), 0);
    }
}
