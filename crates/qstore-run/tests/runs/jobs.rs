//! The ledger of a run: over attempts, over its end, and where there is none.

use qstore_ledger::simulated::{SimulatedProvider, Simulation};
use qstore_ledger::{Batch, Budget, JobSpec, LedgerError};
use qstore_run::{Run, RunError, RunPlace, RunReader, RunSettings, RunState, ThisMachine};
use qstore_storage::MemoryFs;
use qstore_storage::testing::Watched;
use std::io::ErrorKind::StorageFull;
use std::sync::Arc;

const DIR: &str = "/run";

fn place(memory: &MemoryFs) -> RunPlace {
    RunPlace::new(Arc::new(memory.clone()), Arc::new(ThisMachine))
}

fn settings() -> RunSettings {
    RunSettings::default().record_environment(false).ledger(Budget::usd(1.0))
}

fn spec(angle: f64) -> JobSpec {
    JobSpec::new("simulated", batch(angle)).estimate_usd(0.3)
}

fn batch(angle: f64) -> Batch {
    Batch::new("simulator", 100).circuits(["ry(a) q;"]).parameters(&[angle])
}

#[test]
fn a_resumed_run_finds_the_jobs_of_a_killed_attempt_and_keeps_to_the_budget_of_all() {
    let memory = MemoryFs::new();
    let provider = SimulatedProvider::new(Simulation::default());
    let run = Run::create_at_in(&place(&memory), DIR, settings()).unwrap();
    let ledger = run.ledger().unwrap();
    let first = ledger.send(&provider, &spec(0.1).attempt(1), &()).unwrap();
    ledger.observe(&first.key, &provider.wait(&first).unwrap()).unwrap();
    let queued = ledger.send(&provider, &spec(0.2).attempt(1), &()).unwrap();
    drop(ledger.intend(spec(0.3).attempt(1)).unwrap()); // killed before the request left
    // What is durable at this moment is what a killed process leaves.
    let memory = memory.power_cut();
    std::mem::forget(run);

    let (mut run, resumed) = Run::resume_in(&place(&memory), DIR, settings()).unwrap();
    assert!(resumed.is_none());
    let ledger = run.ledger().unwrap();
    let outcome = ledger.reconcile("simulated", &provider).unwrap();
    assert_eq!((outcome.seen.len(), outcome.given_up.len()), (1, 1));
    let done = ledger.finished(&batch(0.1).digest()).unwrap();
    assert_eq!(done.known.attempt, 1);
    ledger.observe(&queued.key, &provider.wait(&queued).unwrap()).unwrap();
    let spent = ledger.spending();
    assert!(spent.settled_usd > 0.0 && spent.reserved_usd == 0.0, "{spent:?}");
    let over = spec(0.4).estimate_usd(1.0 - spent.settled_usd + 0.01);
    assert!(matches!(ledger.intend(over), Err(LedgerError::OverBudget { .. })));
    assert_eq!(provider.accepted().len(), 2);

    let clone = ledger.clone();
    assert_eq!(run.finish().unwrap().open_jobs, 0);
    assert!(matches!(clone.intend(spec(0.5)), Err(LedgerError::Closed)));
    let jobs = RunReader::open_in(place(&memory), DIR).unwrap().jobs().unwrap();
    let paid: f64 = jobs.iter().filter_map(|job| job.known.cost_usd).sum();
    assert_eq!((jobs.len(), paid), (3, provider.bill_usd()));
}

#[test]
fn a_job_that_is_under_way_when_a_run_ends_is_counted_and_stays_open() {
    let memory = MemoryFs::new();
    let provider = SimulatedProvider::new(Simulation::default());
    let mut run = Run::create_at_in(&place(&memory), DIR, settings()).unwrap();
    run.ledger().unwrap().send(&provider, &spec(0.1), &()).unwrap();
    assert_eq!(run.finish().unwrap().open_jobs, 1);
    let reader = RunReader::open_in(place(&memory), DIR).unwrap();
    assert_eq!(reader.status().unwrap().state, RunState::Finished);
    assert!(reader.jobs().unwrap()[0].is_open());
}

#[test]
fn a_run_without_a_budget_has_no_ledger_and_no_jobs() {
    let memory = MemoryFs::new();
    let plain = RunSettings::default().record_environment(false);
    let mut run = Run::create_at_in(&place(&memory), DIR, plain).unwrap();
    assert!(run.ledger().is_none());
    assert_eq!(run.finish().unwrap().open_jobs, 0);
    assert!(RunReader::open_in(place(&memory), DIR).unwrap().jobs().unwrap().is_empty());
}

/// An end that left a job in memory only would be paid twice by the next attempt.
#[test]
fn a_run_whose_ledger_cannot_be_closed_has_not_ended_and_can_be_finished_later() {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    let place = RunPlace::new(watched.shared(), Arc::new(ThisMachine));
    let provider = SimulatedProvider::new(Simulation::default());
    let mut run = Run::create_at_in(&place, DIR, settings()).unwrap();
    let job = run.ledger().unwrap().send(&provider, &spec(0.1), &()).unwrap();
    watched.set(|_, _, path| {
        let is_ledger = path.to_string_lossy().contains("jobs");
        if is_ledger { Err(StorageFull.into()) } else { Ok(()) }
    });
    let seen = provider.wait(&job).unwrap();
    let kept = run.ledger().unwrap().observe(&job.key, &seen);
    assert!(matches!(kept, Err(LedgerError::NotDurable { .. })), "{kept:?}");
    let failed = run.finish();
    assert!(matches!(failed, Err(RunError::Ledger(_))), "{failed:?}");
    watched.set(|_, _, _| Ok(()));
    assert_eq!(run.finish().unwrap().open_jobs, 0);
    let jobs = RunReader::open_in(place, DIR).unwrap().jobs().unwrap();
    assert_eq!(jobs[0].known.cost_usd, Some(provider.bill_usd()));
}
