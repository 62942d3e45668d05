//! Every request of a training and of its readers fails, in every way, once, three times
//! and from then on.
//!
//! A clean look at the store is the judge, right after the run and again after everything that was delayed has arrived:
//!
//! * what is visible is whole;
//! * a save that was reported is there, unless a later one replaced it or retention removed it;
//! * a save that was refused never appears;
//! * what was loaded is bit for bit what some save wrote;
//! * every upload that is open is one that the store names;
//! * the next process saves as if nothing had happened.

use qstore_bucket::{BucketSettings, ObjectRepository};
use qstore_checkpoint::repository::RepositoryError;
use qstore_objects::{Fault, FaultyObjects, Limits, MemoryObjects, Orphan, Store, Times};
use qstore_zarr::{
    CheckpointManager, CheckpointSettings, Checkpoints, LoadError, Outcome, SaveError, Select,
    Snapshot, StateDict, Tensor,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
pub(crate) const TIMES: [Times; 3] = [Times::Count(1), Times::Count(3), Times::Following];
const BELOW: &str = "run/checkpoints/";

/// How the store and the repository are set up.
#[derive(Debug, Clone, Copy)]
struct Variant {
    name: &'static str,
    part_bytes: u64,
    tail_bytes: u64,
    compares_deletes: bool,
    page: usize,
    /// The numbers of values in the tensor.
    len: usize,
}

const VARIANTS: [Variant; 5] = [
    Variant {
        name: "plain",
        part_bytes: 1 << 20,
        tail_bytes: 1 << 20,
        compares_deletes: true,
        page: 1000,
        len: 50,
    },
    Variant {
        name: "many parts",
        part_bytes: 900,
        tail_bytes: 1 << 20,
        compares_deletes: true,
        page: 2,
        len: 300,
    },
    Variant {
        name: "short tails",
        part_bytes: 1 << 20,
        tail_bytes: 400,
        compares_deletes: true,
        page: 1000,
        len: 200,
    },
    Variant {
        name: "one name a page",
        part_bytes: 500,
        tail_bytes: 3000,
        compares_deletes: true,
        page: 1,
        len: 150,
    },
    Variant {
        name: "plain deletes",
        part_bytes: 2000,
        tail_bytes: 1 << 20,
        compares_deletes: false,
        page: 3,
        len: 100,
    },
];

/// One save: its number, and which of the saves of the run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Save {
    number: u64,
    version: u64,
}

/// What a run has learned about a save.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Committed { removed: Vec<u64>, is_retention_in_doubt: bool },
    Refused,
    InDoubt,
}

fn weights(save: Save, len: usize) -> Tensor {
    let noise = |i: usize| ((i as u64 + save.version * 31) as f32 * 0.618_034).fract();
    Tensor::from_vec((0..len).map(noise).collect(), [len]).expect("the shape fits")
}

fn snapshot(save: Save, len: usize) -> Snapshot {
    let version = Tensor::scalar(save.version as i64);
    let model = StateDict::from_iter([("version", version), ("w", weights(save, len))]);
    Snapshot::new(save.number).model(model).meta("loss", save.version as f64)
}

/// Which save it is; panics if it is not exactly what was saved.
fn identify(model: &StateDict, number: u64, len: usize) -> Save {
    let version = model.tensor("version").expect("every save has a version");
    let version = version.as_slice::<i64>().expect("it is an integer")[0] as u64;
    let save = Save { number, version };
    assert!(model.tensor("w") == Some(&weights(save, len)), "{save:?} has other weights");
    save
}

fn repository(store: Store, variant: Variant) -> Arc<ObjectRepository> {
    let Variant { part_bytes, tail_bytes, .. } = variant;
    let settings =
        BucketSettings::default().part_bytes(part_bytes).tail_bytes(tail_bytes).join_bytes(3000);
    Arc::new(ObjectRepository::new(store, BELOW, settings).expect("the settings are in range"))
}

fn settings() -> CheckpointSettings {
    CheckpointSettings::default().keep_last(2).workers(1)
}

fn clean(memory: &MemoryObjects, variant: Variant) -> Arc<ObjectRepository> {
    let store = Store::open(Arc::new(memory.clone()), Limits::default());
    repository(store.expect("the memory is safe"), variant)
}

/// The first two checkpoints, saved without faults.
fn begin(variant: Variant) -> MemoryObjects {
    let memory = MemoryObjects::new();
    let memory =
        if variant.compares_deletes { memory } else { memory.without_conditional_deletes() };
    memory.set_page(variant.page);
    let manager = CheckpointManager::over(clean(&memory, variant), settings()).expect("it opens");
    for number in [1, 2] {
        let save = Save { number, version: number };
        let ticket = manager.save(snapshot(save, variant.len)).expect("it is queued");
        ticket.wait(LONG).expect("nothing fails");
    }
    memory
}

/// What a run has left behind besides the store.
struct After {
    told: Vec<(Save, Told)>,
    orphans: Vec<Orphan>,
}

/// A training with a reader beside it; it goes on after every failure.
fn run_once(faulty: &FaultyObjects, variant: Variant, may_be_damaged: bool) -> After {
    let mut told = Vec::new();
    for number in [1, 2] {
        let committed = Told::Committed { removed: Vec::new(), is_retention_in_doubt: false };
        told.push((Save { number, version: number }, committed));
    }
    let objects = Arc::new(faulty.clone());
    let opened = Store::open_with(objects, Limits::default(), faulty.clock().clone());
    let Ok(store) = opened else { return After { told, orphans: Vec::new() } };
    let bucket = repository(store.clone(), variant);
    if let Ok(mut manager) = CheckpointManager::over(bucket.clone(), settings()) {
        for (number, version) in [(3, 3), (2, 4), (4, 5)] {
            let save = Save { number, version };
            let result = loop {
                match manager.save(snapshot(save, variant.len)) {
                    Ok(ticket) => break ticket.wait(LONG),
                    // It reports the one before, and is asked again.
                    Err(SaveError::EarlierFailed { .. }) => {}
                    Err(error) => break Err(error),
                }
            };
            told.push((save, told_of(result)));
            if number == 3 {
                let _ = manager.pin(3);
            }
        }
        let _ = manager.close(LONG);
    }
    read(&Checkpoints::of(bucket).workers(1), variant, may_be_damaged);
    After { told, orphans: store.orphans() }
}

fn told_of(result: Result<Outcome, SaveError>) -> Told {
    let error = match result {
        Ok(Outcome::Saved(saved)) => {
            let is_retention_in_doubt = saved.retention.is_some();
            return Told::Committed { removed: saved.removed, is_retention_in_doubt };
        }
        Ok(other) => panic!("nothing else is saved: {other:?}"),
        Err(error) => error,
    };
    let SaveError::Failed { source, .. } = &error else { return Told::Refused };
    match &**source {
        SaveError::Repository(RepositoryError::Unsettled { name, .. }) => {
            // A claim in doubt is a number that nobody uses; the checkpoint was not sent.
            if name.starts_with("epoch_") { Told::InDoubt } else { Told::Refused }
        }
        SaveError::TimedOut { .. } | SaveError::Lost { .. } => panic!("{error}"),
        _ => Told::Refused,
    }
}

/// Reads in every way. What can be read is right; what cannot is not damaged.
fn read(checkpoints: &Checkpoints, variant: Variant, may_be_damaged: bool) {
    let judge = |error: LoadError| {
        let is_damage = error.damage().is_some();
        assert!(may_be_damaged || !is_damage, "an outage is reported as damage: {error}");
    };
    match checkpoints.load_latest() {
        Ok(Some(latest)) => {
            let model = latest.checkpoint.model().expect("it has a model");
            identify(model, latest.checkpoint.number(), variant.len);
        }
        Ok(None) => panic!("there are checkpoints"),
        Err(error) => judge(error),
    }
    for number in [2, 3] {
        match checkpoints.load_tensors(number, &Select::Name("model/version".into())) {
            Ok(some) => assert_eq!(some.len(), 1),
            Err(error) => judge(error),
        }
        if let Err(error) = checkpoints.verify(number) {
            judge(error);
        }
    }
    for result in [checkpoints.explain().map(drop), checkpoints.list_checkpoints().map(drop)] {
        if let Err(error) = result {
            judge(error);
        }
    }
}

/// Looks at the store without faults.
fn judge(memory: &MemoryObjects, after: &After, variant: Variant, case: &str) {
    let checkpoints = Checkpoints::of(clean(memory, variant)).workers(1);
    let names = memory.keys();
    let visible: Vec<Save> = names
        .iter()
        .filter_map(|key| {
            key.strip_prefix(BELOW)?.strip_prefix("epoch_")?.strip_suffix(".zarr.zip")
        })
        .map(|number| {
            let number = number.parse().expect("it is a number");
            let loaded = checkpoints.load(number);
            let loaded =
                loaded.unwrap_or_else(|error| panic!("{case}: visible, not whole: {error}"));
            identify(loaded.model().expect("it has a model"), number, variant.len)
        })
        .collect();
    for (at, (save, told)) in after.told.iter().enumerate() {
        let later = &after.told[at + 1..];
        let is_visible = visible.contains(save);
        match told {
            Told::Refused => assert!(!is_visible, "{case}: {save:?} was refused and is visible"),
            Told::InDoubt => {}
            Told::Committed { .. } => {
                let is_excused = later.iter().any(|(other, told)| match told {
                    _ if other.number == save.number && *told != Told::Refused => true,
                    Told::Committed { removed, is_retention_in_doubt } => {
                        removed.contains(&save.number) || *is_retention_in_doubt
                    }
                    Told::Refused | Told::InDoubt => false,
                });
                assert!(is_visible || is_excused, "{case}: {save:?} was committed and is gone");
            }
        }
    }
    let newest = after.told.iter().rfind(|(_, told)| matches!(told, Told::Committed { .. }));
    let (newest, _) = newest.expect("the first two were");
    let is_there = visible.iter().any(|found| found.number == newest.number);
    assert!(is_there, "{case}: the newest committed save {newest:?} is gone: {visible:?}");
}

fn judge_orphans(memory: &MemoryObjects, after: &After, case: &str) {
    for open in memory.open_uploads() {
        let is_named = after.orphans.iter().any(|orphan| {
            orphan.token == open.token && orphan.id.as_ref().is_none_or(|id| *id == open.id)
        });
        assert!(is_named, "{case}: {open:?} has no name");
    }
}

/// One fault at one request. Returns whether the run came to it.
fn one(start: &MemoryObjects, variant: Variant, fault: Fault, times: Times, request: u64) -> bool {
    let case = format!("{fault:?} {times:?} from request {request}");
    let memory = start.snapshot();
    let faulty = FaultyObjects::new(Arc::new(memory.clone()));
    faulty.fail(request, times, fault);
    let after = run_once(&faulty, variant, fault == Fault::BitFlipped);
    judge(&memory, &after, variant, &case);
    // The names of a process that was killed are gone with it, and a begin that the network doubles has none.
    let has_names = !fault.is_a_kill() && !matches!(fault, Fault::Twice | Fault::LateDuplicate);
    if has_names {
        judge_orphans(&memory, &after, &case);
    }
    faulty.heal();
    faulty.deliver();
    judge(&memory, &after, variant, &format!("{case}, delivered late"));
    let mut next = CheckpointManager::over(clean(&memory, variant), settings()).expect("it opens");
    let save = Save { number: 9, version: 9 };
    next.save(snapshot(save, variant.len)).expect("it is queued").wait(LONG).expect("it is saved");
    next.close(LONG).expect("nothing fails");
    assert_eq!(next.latest_checkpoint().expect("it can be read"), Some(9), "{case}");
    faulty.has_failed()
}

/// A number from a variable.
pub(crate) fn number_from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("it is a number"))
}

/// `QSTORE_BUCKET_STEP`: every how many requests is tried; 1 for all of them. `QSTORE_CASE` repeats one case.
#[test]
fn every_fault_at_every_request() {
    let step = number_from_env("QSTORE_BUCKET_STEP", 23).max(1);
    let seed = number_from_env("QSTORE_SEED", 0);
    let only = std::env::var("QSTORE_CASE").ok();
    let starts: Vec<_> = VARIANTS.iter().map(|variant| (*variant, begin(*variant))).collect();
    let mut cases = Vec::new();
    for (variant, start) in &starts {
        let faulty = FaultyObjects::new(Arc::new(start.snapshot()));
        run_once(&faulty, *variant, false);
        // Retries make a run longer: the last requests of one with failures are beyond these.
        let requests = faulty.requests() + 12;
        println!("{}: {requests} requests", variant.name);
        for fault in Fault::ALL {
            let is_late = matches!(fault, Fault::LateDuplicate | Fault::SlowRequest);
            if is_late && !variant.compares_deletes {
                continue; // such a store cannot tell an old delete from a new one
            }
            for times in TIMES {
                let first = seed.wrapping_add(fault as u64 * 7) % step;
                let requests = (first..requests).step_by(step as usize);
                cases.extend(requests.map(|request| (*variant, start, fault, times, request)));
            }
        }
    }
    let (next, tried, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (variant, start, fault, times, request) = case;
                    let name = format!("{}/{fault:?}/{times:?}/{request}", variant.name);
                    if only.as_ref().is_some_and(|only| *only != name) {
                        continue;
                    }
                    tried.fetch_add(1, Ordering::Relaxed);
                    let body = || one(start, *variant, *fault, *times, *request);
                    if catch_unwind(AssertUnwindSafe(body)).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("QSTORE_CASE={name}");
                    }
                }
            });
        }
    });
    let (tried, failed) = (tried.into_inner(), failed.into_inner());
    println!("{tried} cases");
    assert_eq!(failed, 0, "of {tried}");
}
