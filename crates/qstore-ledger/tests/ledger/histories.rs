//! Random histories of requests, lost answers, failures and kills: the provider's own list is the judge.

use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_ledger::simulated::Simulation;
use qstore_ledger::training::{Death, Doubt, doubles, history};

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

fn any_deaths() -> impl Strategy<Value = Vec<Death>> {
    let death = (1..30_usize, any::<bool>());
    let death = death.prop_map(|(requests, is_power_cut)| Death { requests, is_power_cut });
    prop::collection::vec(death, 0..6)
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(96)))]

    // L2 and L6.
    #[test]
    fn a_provider_that_can_be_asked_is_never_sent_a_batch_twice(
        simulation in any_simulation(),
        (honors_tokens, can_search) in prop_oneof![
            Just((true, true)), Just((true, false)), Just((false, true)),
        ],
        deaths in any_deaths(),
    ) {
        let simulation = Simulation { honors_tokens, can_search, ..simulation };
        let (provider, error) = history(simulation, &deaths, Doubt::Retries);
        prop_assert_eq!(doubles(&provider.accepted()), 0);
        prop_assert!(error < 0.005, "the ledger and the bill differ by {error} USD");
    }

    // L2, for a provider that can neither be asked nor told: what may be paid twice is refused, not sent.
    #[test]
    fn a_batch_in_doubt_is_never_sent_again_without_a_word(
        simulation in any_simulation(),
        deaths in any_deaths(),
    ) {
        let simulation = Simulation { honors_tokens: false, can_search: false, ..simulation };
        let (provider, _) = history(simulation, &deaths, Doubt::Skips);
        prop_assert_eq!(doubles(&provider.accepted()), 0);
    }
}
