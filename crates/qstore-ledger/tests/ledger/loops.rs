//! Providers, and sending to them.

use qstore_ledger::simulated::{SimulatedProvider, Simulation};
use qstore_ledger::training::spec;
use qstore_ledger::{Budget, JobState, Ledger, Reconciled, SendError, SubmitError, conformance};
use std::panic;

#[test]
fn the_simulated_provider_passes_the_checks() {
    for (honors_tokens, can_search) in [(true, true), (false, true), (true, false)] {
        let dir = tempfile::tempdir().unwrap();
        let simulation = Simulation { honors_tokens, can_search, ..Simulation::default() };
        let provider = SimulatedProvider::new(simulation);
        conformance::check(dir.path(), &provider, honors_tokens, &());
    }
}

#[test]
fn a_provider_that_forgets_tokens_does_not_pass_as_one_that_honors_them() {
    let dir = tempfile::tempdir().unwrap();
    let provider =
        SimulatedProvider::new(Simulation { honors_tokens: false, ..Simulation::default() });
    let checked = panic::catch_unwind(|| conformance::check(dir.path(), &provider, true, &()));
    assert!(checked.is_err());
}

#[test]
fn sending_a_job_records_the_answer_whatever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| Ledger::open(dir.path().join(name), Budget::unlimited()).unwrap();
    let ledger = open("good.parquet");
    let good = SimulatedProvider::new(Simulation::default());
    let job = ledger.send(&good, &spec(0), &()).unwrap();
    assert_eq!((job.state, job.provider_job()), (JobState::Submitted, Some("sim-000000")));

    let away = SimulatedProvider::new(Simulation { unreachable: 1.0, ..Simulation::default() });
    let error = ledger.send(&away, &spec(1), &()).unwrap_err();
    assert!(matches!(error, SendError::Provider(SubmitError::Refused(_))), "{error}");
    assert_eq!(ledger.jobs()[1].state, JobState::Failed);
    // What does not answer is as it was.
    let outcome = ledger.reconcile("simulated", &away).unwrap();
    assert_eq!(outcome.unanswered[0].0, job);
    assert_eq!(ledger.reconcile("another", &away).unwrap(), Reconciled::default());

    let ledger = open("deaf.parquet");
    let deaf = SimulatedProvider::new(Simulation { loses_answers: 1.0, ..Simulation::default() });
    let error = ledger.send(&deaf, &spec(2), &()).unwrap_err();
    assert!(matches!(error, SendError::Provider(SubmitError::Unknown(_))), "{error}");
    assert!(ledger.jobs()[0].in_doubt);
    let outcome = ledger.reconcile("simulated", &deaf).unwrap();
    assert_eq!(outcome.seen[0].provider_job(), Some("sim-000000"));
}
