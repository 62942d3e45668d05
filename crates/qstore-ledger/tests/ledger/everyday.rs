//! What a caller sees of one ledger.

use qstore_ledger::training::{digest, spec};
use qstore_ledger::{Budget, JobState, Ledger, LedgerError, Seen, read_jobs};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_storage::MemoryFs;
use std::time::Instant;

fn ledger() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path().join("jobs.parquet"), Budget::unlimited()).unwrap();
    (dir, ledger)
}

#[test]
fn the_next_process_knows_every_job() {
    let (dir, ledger) = ledger();
    let path = dir.path().join("jobs.parquet");
    let queued = ledger.intend(spec(0)).unwrap().submitted("p-0").unwrap();
    let queued = ledger.observe(&queued.key, &Seen::queued(17).session("s")).unwrap();
    let paid = ledger.intend(spec(1)).unwrap().submitted("p-1").unwrap();
    let paid = ledger.observe(&paid.key, &Seen::done().usd(0.65).result("r.json", 7)).unwrap();
    let lost = ledger.intend(spec(2)).unwrap();
    let token = lost.token().clone();
    assert!(!ledger.jobs()[2].in_doubt, "its intent is held");
    drop(lost);
    let refused = ledger.intend(spec(3)).unwrap().refused("no such device").unwrap();
    assert!(ledger.jobs()[2].in_doubt, "nobody holds it any more");

    // Anybody can read it at any moment, and the last row of a job has everything.
    assert_eq!(read_jobs(&path).unwrap(), ledger.jobs());
    drop(ledger);
    let ledger = Ledger::open(&path, Budget::unlimited()).unwrap();
    let unfinished = ledger.unfinished();
    assert_eq!(unfinished.len(), 2);
    assert_eq!(unfinished[0], queued);
    assert_eq!((&unfinished[1].key, unfinished[1].in_doubt), (&token, true));
    assert_eq!(ledger.finished(&digest(1)), Some(paid));
    assert_eq!(ledger.finished(&digest(0)), None);
    assert_eq!(ledger.jobs()[3], refused);
    assert_eq!(refused.state, JobState::Failed);
    assert_eq!(ledger.seq(), 9);
}

#[test]
fn a_batch_is_not_asked_for_twice_without_a_word() {
    let (_dir, ledger) = ledger();
    let intent = ledger.intend(spec(0)).unwrap();
    let refusal = ledger.intend(spec(0)).unwrap_err();
    assert!(matches!(refusal, LedgerError::UnderWay { in_doubt: false, .. }), "{refusal}");
    drop(intent);
    let refusal = ledger.intend(spec(0)).unwrap_err();
    assert!(matches!(refusal, LedgerError::UnderWay { in_doubt: true, .. }), "{refusal}");
    assert!(refusal.to_string().contains("call `Ledger::reconcile` first"), "{refusal}");
    let job = ledger.give_up(&ledger.jobs()[0].key).unwrap();
    assert_eq!(job.state, JobState::Cancelled);

    let job = ledger.intend(spec(0)).unwrap().submitted("p").unwrap();
    ledger.observe(&job.key, &Seen::done()).unwrap();
    assert!(matches!(ledger.intend(spec(0)), Err(LedgerError::AlreadyDone { .. })));
    ledger.intend(spec(0).repeated()).unwrap().submitted("q").unwrap();
    // One that failed can be asked for again.
    let job = ledger.intend(spec(1)).unwrap().submitted("r").unwrap();
    ledger.observe(&job.key, &Seen::failed("calibration")).unwrap();
    ledger.intend(spec(1)).unwrap().submitted("s").unwrap();
}

#[test]
fn what_is_known_already_is_not_recorded_again() {
    let (_dir, ledger) = ledger();
    let job = ledger.intend(spec(0)).unwrap().submitted("p").unwrap();
    let looks = [
        (Seen::queued(5), 1),
        (Seen::queued(5).id("p"), 0),
        (Seen::queued(4), 1),
        (Seen::running(), 1),
        (Seen::running(), 0),
        (Seen::done(), 1),
        (Seen::done(), 0),
        // The price comes a week later, from another process.
        (Seen::priced(0.65), 1),
        (Seen::done().usd(0.65), 0),
        // A late answer of an older request.
        (Seen::running(), 1),
        (Seen::running(), 0),
    ];
    for (look, (seen, rows)) in looks.into_iter().enumerate() {
        let before = ledger.seq();
        ledger.observe(&job.key, &seen).unwrap();
        assert_eq!(ledger.seq() - before, rows, "look {look}");
    }
    let job = &ledger.jobs()[0];
    assert_eq!((job.state, job.known.cost_usd), (JobState::Done, Some(0.65)));
    assert!(job.known.error.as_deref().unwrap().contains("says running of a job that is done"));
}

#[test]
fn a_job_has_one_identifier_and_an_identifier_one_job() {
    let (_dir, ledger) = ledger();
    let first = ledger.intend(spec(0)).unwrap().submitted("p").unwrap();
    let intent = ledger.intend(spec(1)).unwrap();
    let second = intent.token().clone();
    let error = intent.submitted("p").unwrap_err();
    assert!(matches!(error, LedgerError::IdentifierTaken { .. }), "{error}");
    assert!(ledger.jobs()[1].in_doubt, "what it is at the provider is not known");
    let error = ledger.observe(&first.key, &Seen::running().id("q")).unwrap_err();
    assert!(matches!(error, LedgerError::OtherIdentifier { .. }), "{error}");
    assert!(matches!(
        ledger.observe(&second, &Seen::queued(1)),
        Err(LedgerError::NoIdentifier { .. })
    ));
    let again = ledger.retry(&second).unwrap();
    assert_eq!(again.token(), &second, "the same token");
    assert!(matches!(again.submitted(""), Err(LedgerError::BadValue { .. })));
    assert_eq!(
        ledger.observe(&second, &Seen::default().id("q")).unwrap().state,
        JobState::Submitted
    );
    assert!(matches!(ledger.retry(&second), Err(LedgerError::NotInDoubt { .. })));
    assert!(matches!(ledger.give_up(&second), Err(LedgerError::NotInDoubt { .. })));
}

#[test]
fn impossible_amounts_are_refused_and_change_nothing() {
    let (_dir, ledger) = ledger();
    let job = ledger.intend(spec(0)).unwrap().submitted("p").unwrap();
    for amount in [f64::NAN, f64::INFINITY, -0.01] {
        let before = ledger.seq();
        assert!(matches!(
            ledger.observe(&job.key, &Seen::done().usd(amount)),
            Err(LedgerError::BadValue { name: "cost_usd", .. })
        ));
        assert!(matches!(
            ledger.intend(spec(1).estimate_usd(amount)),
            Err(LedgerError::BadValue { name: "est_usd", .. })
        ));
        assert!(Ledger::open("/nowhere/jobs.parquet", Budget::usd(amount)).is_err());
        assert_eq!(ledger.seq(), before);
    }
}

#[test]
fn a_ledger_has_one_writer_and_a_metrics_file_is_refused() {
    let (dir, ledger) = ledger();
    let path = dir.path().join("jobs.parquet");
    assert!(matches!(Ledger::open(&path, Budget::unlimited()), Err(LedgerError::Open(_))));
    ledger.close().unwrap();

    let path = dir.path().join("metrics.parquet");
    let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default()).unwrap();
    log.append(&Row::from([("loss", 0.5)]), Instant::now());
    log.close().unwrap();
    drop(log);
    let before = std::fs::read(&path).unwrap();
    assert!(Ledger::open(&path, Budget::unlimited()).is_err());
    let error = read_jobs(&path).unwrap_err();
    assert!(matches!(error, LedgerError::NotALedger { .. } | LedgerError::Read(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "it is as it was");
}

#[test]
fn a_refused_retry_leaves_the_first_request_in_doubt() {
    let (_dir, ledger) = ledger();
    drop(ledger.intend(spec(0).estimate_usd(1.0)).unwrap());
    let job = ledger.jobs()[0].key.clone();
    let job = ledger.retry(&job).unwrap().refused("the device is full").unwrap();
    assert_eq!(job.state, JobState::Intended);
    let known = &ledger.jobs()[0];
    assert!(known.in_doubt && known.known.error.as_deref() == Some("the device is full"));
    assert!(ledger.spending().reserved_usd > 0.9, "it may still be paid for");
    assert!(matches!(ledger.intend(spec(0)), Err(LedgerError::UnderWay { in_doubt: true, .. })));
    assert!(ledger.retry(&job.key).is_ok());
}

#[test]
fn a_job_that_was_given_up_and_is_found_after_all_is_open_again() {
    let (_dir, ledger) = ledger();
    drop(ledger.intend(spec(0).estimate_usd(1.0)).unwrap());
    let job = ledger.give_up(&ledger.jobs()[0].key).unwrap();
    assert_eq!((job.state, ledger.spending().total_usd()), (JobState::Cancelled, 0.0));
    let job = ledger.observe(&job.key, &Seen::queued(3).id("p")).unwrap();
    assert_eq!((job.state, ledger.spending().total_usd()), (JobState::Queued, 1.0));
    let job = ledger.observe(&job.key, &Seen::done().usd(0.5)).unwrap();
    assert_eq!(ledger.finished(&digest(0)), Some(job));
}

#[test]
fn a_closed_ledger_records_nothing() {
    let (_dir, ledger) = ledger();
    let job = ledger.intend(spec(0)).unwrap().submitted("p").unwrap();
    ledger.close().unwrap();
    ledger.close().unwrap();
    assert!(matches!(ledger.intend(spec(1)), Err(LedgerError::Closed)));
    assert!(matches!(ledger.observe(&job.key, &Seen::running()), Err(LedgerError::Closed)));
    assert_eq!(ledger.jobs(), [job]);
}

/// A clone of the ledger answers a job while another one gives it up.
#[test]
fn a_job_that_is_answered_is_not_given_up() {
    for _ in 0..50 {
        let memory = MemoryFs::new();
        let storage = std::sync::Arc::new(memory);
        let ledger = Ledger::open_in(storage, "/jobs.parquet", Budget::unlimited()).unwrap();
        drop(ledger.intend(spec(0)).unwrap());
        let key = ledger.jobs()[0].key.clone();
        let (answered, given_up) = std::thread::scope(|scope| {
            let answered =
                scope.spawn(|| ledger.retry(&key).map(|intent| intent.submitted("p").unwrap()));
            let given_up = ledger.give_up(&key);
            (answered.join().unwrap(), given_up)
        });
        match (answered, given_up) {
            (Ok(job), Err(LedgerError::NotInDoubt { .. })) => {
                assert_eq!(job.state, JobState::Submitted);
            }
            (Err(LedgerError::NotInDoubt { .. }), Ok(job)) => {
                assert_eq!(job.state, JobState::Cancelled);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_alarm_that_panics_leaves_the_job_in_doubt() {
    let memory = MemoryFs::new();
    let budget = Budget::usd(1.0).alarm_at([0.5]).on_alarm(|_| panic!("on purpose"));
    let ledger = Ledger::open_in(std::sync::Arc::new(memory), "/jobs.parquet", budget).unwrap();
    let intend = || ledger.intend(spec(0).estimate_usd(0.6));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(intend)).is_err());
    assert!(ledger.jobs()[0].in_doubt);
}
