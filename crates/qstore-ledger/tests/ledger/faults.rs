//! Every operation of the disk fails, once or from then on: each call reports what is not durable, nothing that was
//! reported as durable is lost, and the next call makes up for it.

use qstore_ledger::training::{digest, disk, spec};
use qstore_ledger::{Budget, JobState, Ledger, LedgerError, Seen};
use qstore_storage::testing::{Failure, Fault, FaultFs};
use qstore_storage::{FileSystem, MemoryFs};
use std::collections::HashMap;
use std::sync::Arc;

const FILE: &str = "/run/jobs.parquet";

/// What the caller learned.
#[derive(Debug, Default)]
struct Told {
    /// The state of each job that was acknowledged last, with its identifier.
    durable: HashMap<String, (JobState, Option<String>)>,
    /// Jobs that may not be sent.
    withdrawn: Vec<String>,
    failed: usize,
}

/// Four batches. A call that fails is made again, as a loop does; what never succeeds ends it.
fn scenario(storage: &Arc<dyn FileSystem>) -> Told {
    let mut told = Told::default();
    let open = || Ledger::open_in(Arc::clone(storage), FILE, Budget::usd(100.0));
    let Some(ledger) = (0..3).find_map(|_| open().ok()) else { return told };
    for n in 0..4 {
        let spec = spec(n).estimate_usd(1.0);
        let mut intent = None;
        for _ in 0..3 {
            let reserved = ledger.spending();
            match ledger.intend(spec.clone()) {
                Ok(intended) => {
                    intent = Some(intended);
                    break;
                }
                Err(LedgerError::NotIntended { job, .. }) => {
                    told.failed += 1;
                    told.withdrawn.push(job);
                    assert_eq!(ledger.spending(), reserved, "nothing is reserved for it");
                }
                Err(error) => panic!("{error}"),
            }
        }
        let Some(intent) = intent else { break };
        let key = intent.token().clone();
        told.durable.insert(key.to_string(), (JobState::Intended, None));
        let id = format!("p-{n}");
        let mut looks =
            vec![Seen::state(JobState::Submitted).id(&id), Seen::queued(3), Seen::done().usd(0.5)];
        let mut answer = Some(intent);
        looks.reverse();
        while let Some(seen) = looks.pop() {
            let mut is_recorded = false;
            for _ in 0..3 {
                let recorded = match answer.take() {
                    Some(intent) => intent.submitted(&id),
                    None => ledger.observe(&key, &seen),
                };
                match recorded {
                    Ok(job) => {
                        let id = job.provider_job().map(str::to_owned);
                        told.durable.insert(key.to_string(), (job.state, id));
                        is_recorded = true;
                        break;
                    }
                    Err(LedgerError::NotDurable { job, .. }) => {
                        told.failed += 1;
                        assert_eq!(job, key.to_string());
                        // It is known in memory all the same.
                        let known = ledger.jobs().into_iter().find(|job| job.key == key).unwrap();
                        assert_eq!(known.provider_job(), Some(&*id));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            if !is_recorded {
                return told;
            }
        }
    }
    told
}

fn check(left: MemoryFs, told: &Told, name: &str) {
    let ledger = Ledger::open_in(Arc::new(left), FILE, Budget::unlimited()).expect(name);
    let jobs = ledger.jobs();
    for (key, (state, id)) in &told.durable {
        let job = jobs.iter().find(|job| job.key.as_str() == key);
        let job = job.unwrap_or_else(|| panic!("{name}: {key} was acknowledged, and is lost"));
        assert!(job.state >= *state, "{name}: {job:?} was {state}");
        assert!(id.is_none() || job.provider_job() == id.as_deref(), "{name}: {job:?} was {id:?}");
    }
    for job in jobs.iter().filter(|job| told.withdrawn.contains(&job.key.to_string())) {
        // It may be there without its withdrawal; then it is in doubt, and the provider does not know it.
        assert!(job.in_doubt || job.state == JobState::Cancelled, "{name}: {job:?} was withdrawn");
    }
}

#[test]
fn a_disk_that_fails_loses_nothing_that_was_acknowledged() {
    let (mut cases, mut failed) = (0, 0);
    let counted = FaultFs::failing(Arc::new(disk()), Fault::Never, Failure::Io);
    let whole = scenario(&counted.shared());
    assert_eq!((whole.durable.len(), whole.failed), (4, 0));
    for at in 0..counted.operations() {
        for (fault, kind) in [
            (Fault::Once(at), Failure::Io),
            (Fault::Once(at), Failure::Full),
            (Fault::From(at), Failure::Io),
        ] {
            let (memory, name) = (disk(), format!("{fault:?}, {kind:?}"));
            let told = scenario(&FaultFs::failing(Arc::new(memory.clone()), fault, kind).shared());
            check(memory.process_kill(), &told, &format!("{name}, killed"));
            check(memory.power_cut(), &told, &format!("{name}, power cut"));
            if matches!(fault, Fault::Once(_)) && !told.durable.is_empty() {
                let job = |n| told.durable.values().filter(|(state, _)| *state == n).count();
                assert_eq!(job(JobState::Done), 4, "{name}: {told:?}");
            }
            cases += 1;
            failed += told.failed;
        }
    }
    println!("{cases} cases, {failed} calls failed");
    assert!(cases > 100 && failed > 100, "{cases} cases, {failed} calls failed");
}

#[test]
fn a_withdrawn_intent_is_cancelled_in_the_file_as_well() {
    // The first flush after opening fails; the next one has the intent and its withdrawal.
    let counted = FaultFs::failing(Arc::new(disk()), Fault::Never, Failure::Io);
    drop(Ledger::open_in(counted.shared(), FILE, Budget::unlimited()).unwrap());
    let opened = counted.operations();
    let memory = disk();
    let faulty = FaultFs::failing(Arc::new(memory.clone()), Fault::Once(opened), Failure::Full);
    let ledger = Ledger::open_in(faulty.shared(), FILE, Budget::unlimited()).unwrap();
    let refusal = ledger.intend(spec(0)).unwrap_err();
    assert!(matches!(refusal, LedgerError::NotIntended { .. }), "{refusal}");
    let second = ledger.intend(spec(0)).unwrap().submitted("p").unwrap();
    drop(ledger);
    let ledger = Ledger::open_in(Arc::new(memory.power_cut()), FILE, Budget::unlimited()).unwrap();
    let jobs = ledger.jobs();
    assert_eq!((jobs[0].state, &jobs[1]), (JobState::Cancelled, &second));
    assert_eq!(ledger.unfinished(), [second]);
    assert_eq!(ledger.finished(&digest(0)), None);
}
