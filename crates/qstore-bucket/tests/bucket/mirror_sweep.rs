//! Every request of a mirrored training fails, in every way, once, three times and from then on, and then the
//! process is killed and the next one goes on from its disk.
//!
//! * the training never notices: each save is durable on the disk;
//! * what is visible in the bucket is byte for byte a file that was saved;
//! * a checkpoint that was reported as mirrored is there;
//! * if the store works again, the newest one arrives;
//! * the next process goes on, and every upload that is open has a name there.

use crate::mirroring::{local_bytes, manager, settings};
use crate::sweep::{TIMES, number_from_env};
use crate::{Bucket, LONG, snapshot};
use qstore_bucket::{BucketSettings, Mirror, MirrorOutcome, MirrorTicket};
use qstore_objects::{Fault, MemoryObjects, Times};
use qstore_storage::MemoryFs;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const BELOW: &str = "run/checkpoints/";

/// How often the end of an upload is looked for that may never come.
const LOOK: Duration = Duration::from_millis(5);

/// A disk and a bucket with two mirrored checkpoints.
struct Begun {
    disk: MemoryFs,
    memory: MemoryObjects,
    files: HashMap<u64, Vec<u8>>,
}

fn bucket(memory: &MemoryObjects) -> Bucket {
    Bucket::with(memory.clone(), BucketSettings::default().part_bytes(700))
}

fn begin() -> Begun {
    let (disk, memory) = (MemoryFs::new(), MemoryObjects::new());
    let mut mirror =
        Mirror::open(manager(&disk), bucket(&memory).repository, settings()).expect("it opens");
    let mut files = HashMap::new();
    for number in [1, 2] {
        let ticket = mirror.save(snapshot(number, 300)).expect("it is queued");
        ticket.wait_mirrored(LONG).expect("nothing fails");
        files.insert(number, local_bytes(&disk, number));
    }
    mirror.close(LONG).expect("nothing fails");
    Begun { disk, memory, files }
}

/// Waits for the end of an upload; `None` if it fails again and again and the store never works again.
fn outcome_of(mirror: &Mirror, ticket: &MirrorTicket, is_lasting: bool) -> Option<MirrorOutcome> {
    let failures = mirror.status().failures;
    loop {
        match ticket.wait_mirrored(if is_lasting { LOOK } else { LONG }) {
            Ok(outcome) => return Some(outcome),
            Err(error) => assert!(is_lasting, "{error}"),
        }
        if mirror.status().failures > failures + 1 {
            return None;
        }
    }
}

/// One fault at one request. Returns whether the run came to it.
fn one(begun: &Begun, fault: Fault, times: Times, request: u64) -> bool {
    let case = format!("{fault:?} {times:?} from request {request}");
    let (disk, memory) = (begun.disk.process_kill(), begun.memory.snapshot());
    let first = bucket(&memory);
    // Those of opening the store, which are made once.
    first.faulty.fail(first.faulty.requests() + request, times, fault);
    let is_lasting = fault.is_a_kill() || matches!(times, Times::Following);
    let (mut files, mut mirrored) = (begun.files.clone(), Vec::new());
    let mut has_failed = true; // if it does not open
    if let Ok(mut mirror) = Mirror::open(manager(&disk), first.repository.clone(), settings()) {
        for number in [3, 4, 5] {
            let ticket = mirror.save(snapshot(number, 300)).expect("the disk works");
            assert!(ticket.wait(LONG).expect("the disk works").is_saved(), "{case}");
            files.insert(number, local_bytes(&disk, number));
            let outcome = outcome_of(&mirror, &ticket, is_lasting);
            if let Some(MirrorOutcome::Mirrored(done)) = outcome {
                mirrored.push(done.number);
            } else {
                assert!(is_lasting && first.faulty.has_failed(), "{case}: {number} {outcome:?}");
            }
        }
        has_failed = first.faulty.has_failed();
        // What it does from here on happens in another world.
        first.faulty.fail(0, Times::Following, Fault::NoConnection);
        let killed = disk.process_kill();
        let _ = mirror.close(Duration::ZERO);
        drop(mirror);
        judge(&memory, &files, &mirrored, &case);
        first.faulty.deliver();
        // A begin that the network doubles has no name.
        let has_names = !matches!(fault, Fault::Twice | Fault::LateDuplicate);
        next(&killed, &memory, &mut files, has_names, &case);
    }
    has_failed
}

/// The next process, on the disk as the kill has left it.
fn next(
    disk: &MemoryFs,
    memory: &MemoryObjects,
    files: &mut HashMap<u64, Vec<u8>>,
    has_names: bool,
    case: &str,
) {
    let again = bucket(memory);
    let mut mirror = Mirror::open(manager(disk), again.repository.clone(), settings())
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    let ticket = mirror.save(snapshot(9, 300)).expect("it is queued");
    let outcome = ticket.wait_mirrored(LONG).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(matches!(outcome, MirrorOutcome::Mirrored(_)), "{case}: {outcome:?}");
    files.insert(9, local_bytes(disk, 9));
    mirror.close(LONG).expect("nothing fails");
    judge(memory, files, &[9], case);
    assert_eq!(mirror.remote().latest_checkpoint().expect("it works"), Some(9), "{case}");
    let orphans = again.repository.store().orphans();
    for open in memory.open_uploads() {
        let is_named = orphans.iter().any(|orphan| orphan.token == open.token);
        assert!(is_named || !has_names, "{case}: {open:?} is not one of {orphans:?}");
    }
}

fn judge(memory: &MemoryObjects, files: &HashMap<u64, Vec<u8>>, mirrored: &[u64], case: &str) {
    let mut visible = Vec::new();
    for key in memory.keys() {
        let name = key.strip_prefix(BELOW).and_then(|name| name.strip_prefix("epoch_"));
        let Some(number) = name.and_then(|name| name.strip_suffix(".zarr.zip")) else { continue };
        let number = number.parse().expect("it is a number");
        assert_eq!(memory.bytes(&key).as_ref(), files.get(&number), "{case}: {number}");
        visible.push(number);
    }
    for number in mirrored {
        assert!(
            visible.contains(number),
            "{case}: {number} was mirrored and is not in {visible:?}"
        );
    }
}

/// `QSTORE_BUCKET_STEP`: every how many requests is tried; 1 for all of them. `QSTORE_CASE` repeats one case.
#[test]
fn every_fault_at_every_request_of_a_mirror() {
    let step = number_from_env("QSTORE_BUCKET_STEP", 23).max(1);
    let only = std::env::var("QSTORE_CASE").ok();
    let begun = begin();
    let (mut tried, mut failed) = (0, 0);
    for fault in Fault::ALL {
        for times in TIMES {
            for request in ((fault as u64 * 7) % step..).step_by(step as usize) {
                let name = format!("mirror/{fault:?}/{times:?}/{request}");
                if only.as_ref().is_some_and(|only| *only != name) {
                    if request > 1000 {
                        break;
                    }
                    continue;
                }
                tried += 1;
                match catch_unwind(AssertUnwindSafe(|| one(&begun, fault, times, request))) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => {
                        failed += 1;
                        println!("QSTORE_CASE={name}");
                    }
                }
            }
        }
    }
    println!("{tried} cases");
    assert_eq!(failed, 0, "of {tried}");
}
