//! A limit holds at each moment, but for the errors of estimates.

use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_ledger::training::spec;
use qstore_ledger::{Budget, JobKey, Ledger, LedgerError, Seen};
use qstore_storage::MemoryFs;
use std::sync::{Arc, Mutex};

fn open(memory: &MemoryFs, budget: Budget) -> Ledger {
    Ledger::open_in(Arc::new(memory.clone()), "/jobs.parquet", budget).unwrap()
}

#[test]
fn what_is_under_way_is_reserved_and_what_ended_is_settled() {
    let memory = MemoryFs::new();
    let ledger = open(&memory, Budget::usd(1.0));
    assert!(matches!(ledger.intend(spec(0)), Err(LedgerError::NoEstimate)));
    let send =
        |n: i64, usd: f64| ledger.intend(spec(n).estimate_usd(usd))?.submitted(&format!("p-{n}"));
    let first = send(0, 0.6).unwrap();
    let refusal = send(1, 0.5).unwrap_err();
    assert!(matches!(refusal, LedgerError::OverBudget { reserved_usd: 0.6, .. }), "{refusal}");
    let second = send(1, 0.4).unwrap();
    // It was cheaper, and what was reserved for the rest is free.
    ledger.observe(&first.key, &Seen::done().usd(0.5)).unwrap();
    let third = send(2, 0.1).unwrap();
    // Done, and its price is not known: it stays reserved, in the next process, too.
    ledger.observe(&second.key, &Seen::done()).unwrap();
    ledger.observe(&third.key, &Seen::failed("no")).unwrap();
    let spending = ledger.spending();
    assert_eq!((spending.settled_usd, spending.reserved_usd), (0.5, 0.4));
    drop(ledger);
    assert_eq!(open(&memory, Budget::usd(1.0)).spending(), spending);
}

#[test]
fn each_share_raises_one_alarm_and_so_does_a_price_beyond_the_limit() {
    let raised = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&raised);
    let budget = Budget::usd(10.0)
        .alarm_at([0.8, 0.5])
        .on_alarm(move |alarm| noted.lock().unwrap().push(alarm.share));
    let ledger = open(&MemoryFs::new(), budget);
    let send = |n: i64, usd: f64| {
        let intent = ledger.intend(spec(n).estimate_usd(usd)).unwrap();
        intent.submitted(&format!("p-{n}")).unwrap()
    };
    let shares = || std::mem::take(&mut *raised.lock().unwrap());
    send(0, 4.0);
    assert!(shares().is_empty());
    send(1, 1.0);
    assert_eq!(shares(), [0.5]);
    let last = send(2, 5.0);
    assert_eq!(shares(), [0.8], "the whole limit may be reserved");
    ledger.observe(&last.key, &Seen::done().usd(5.5)).unwrap();
    assert_eq!(shares(), [1.0]);
    assert!(matches!(
        ledger.intend(spec(3).estimate_usd(0.0)),
        Err(LedgerError::OverBudget { .. })
    ));
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(64)))]
    // L4: never above the limit by more than the errors of the estimates.
    #[test]
    fn the_limit_is_passed_by_no_more_than_the_errors_of_estimates(
        limit in 0.0..20.0_f64,
        steps in prop::collection::vec((0..5_u8, 0.0..5.0_f64, 0.0..1.5_f64), 1..40),
    ) {
        let memory = MemoryFs::new();
        let mut ledger = open(&memory, Budget::usd(limit));
        let mut jobs: Vec<(JobKey, f64)> = Vec::new();
        let mut errors = 0.0;
        for (n, (kind, estimate, factor)) in (0..).zip(steps) {
            match (kind, jobs.pop()) {
                (0 | 1, last) => {
                    jobs.extend(last);
                    if let Ok(intent) = ledger.intend(spec(n).estimate_usd(estimate)) {
                        let job = intent.submitted(&format!("p-{n}")).unwrap();
                        jobs.push((job.key, estimate));
                    }
                }
                (2, Some((job, estimate))) => {
                    let cost = estimate * factor;
                    errors += (cost - estimate).max(0.0);
                    ledger.observe(&job, &Seen::done().usd(cost)).unwrap();
                }
                (3, Some((job, _))) => {
                    ledger.observe(&job, &Seen::failed("no")).unwrap();
                }
                (_, last) => {
                    jobs.extend(last);
                    drop(ledger);
                    ledger = open(&memory, Budget::usd(limit));
                }
            }
            let total = ledger.spending().total_usd();
            prop_assert!(total <= limit + errors + 1e-9, "{total} of {limit}, errors of {errors}");
        }
    }
}
