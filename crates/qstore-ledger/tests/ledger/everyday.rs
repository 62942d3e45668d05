//! What a caller sees of one ledger.

use qstore_ledger::training::{digest, spec};
use qstore_ledger::{Budget, JobState, Ledger, LedgerError, Seen, read_jobs};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::Row;
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
    assert!(refusal.to_string().contains("look for it at the provider"), "{refusal}");
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
