//! A directory that is mirrored to a bucket.

use crate::{Bucket, LONG, snapshot};
use qstore_bucket::{Mirror, MirrorError, MirrorOutcome, MirrorSettings};
use qstore_checkpoint::retention::Policy;
use qstore_objects::{Fault, Times};
use qstore_storage::{FileSystem, MemoryFs};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints, LocalRepository, SaveError};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DIR: &str = "/run/checkpoints";

pub(crate) fn manager(disk: &MemoryFs) -> CheckpointManager {
    let fs: Arc<dyn FileSystem> = Arc::new(disk.clone());
    let settings = CheckpointSettings::default().keep_last(2).workers(1);
    CheckpointManager::open_in(fs, DIR, settings).unwrap()
}

pub(crate) fn settings() -> MirrorSettings {
    let settings = MirrorSettings::default().retention(Policy::keep_last(3)).in_flight(1);
    settings.retry_pause(Duration::from_millis(1))
}

fn open(disk: &MemoryFs, bucket: &Bucket) -> Mirror {
    Mirror::open(manager(disk), bucket.repository.clone(), settings()).unwrap()
}

/// The file of a checkpoint on the disk.
pub(crate) fn local_bytes(disk: &MemoryFs, number: u64) -> Vec<u8> {
    let path = Path::new(DIR).join(format!("epoch_{number:04}.zarr.zip"));
    qstore_storage::read_all(disk, &path).unwrap()
}

fn local(disk: &MemoryFs) -> Checkpoints {
    let fs: Arc<dyn FileSystem> = Arc::new(disk.clone());
    LocalRepository::open_read_only_in(fs, DIR).unwrap().into()
}

#[test]
fn what_is_saved_is_mirrored_byte_for_byte_and_kept_by_its_own_policy() {
    let (disk, bucket) = (MemoryFs::new(), Bucket::new());
    let mut mirror = open(&disk, &bucket);
    for number in 1..=5 {
        let ticket = mirror.save(snapshot(number, 500)).unwrap();
        assert!(ticket.wait(LONG).unwrap().is_saved());
        let outcome = ticket.wait_mirrored(LONG).unwrap();
        assert!(matches!(&outcome, MirrorOutcome::Mirrored(done) if done.number == number));
    }
    mirror.close(LONG).unwrap();
    assert_eq!(mirror.status().mirrored, 5);
    assert_eq!(mirror.manager().list_checkpoints().unwrap(), [4, 5]);
    assert_eq!(mirror.remote().list_checkpoints().unwrap(), [3, 4, 5]);
    mirror.remote().verify(5).unwrap();
    let mirrored = bucket.memory.bytes("run/checkpoints/epoch_0005.zarr.zip").unwrap();
    assert_eq!(mirrored, local_bytes(&disk, 5));
    assert_eq!(
        (bucket.repository.store().orphans(), bucket.memory.open_uploads()),
        (vec![], vec![])
    );
}

#[test]
fn saving_goes_on_while_the_bucket_is_away_and_only_the_newest_is_uploaded() {
    let (disk, bucket) = (MemoryFs::new(), Bucket::new());
    let mut mirror = open(&disk, &bucket);
    bucket.faulty.fail(bucket.faulty.requests(), Times::Following, Fault::NoConnection);
    let tickets: Vec<_> = (1..=6)
        .map(|number| {
            let ticket = mirror.save(snapshot(number, 500)).unwrap();
            assert!(ticket.wait(LONG).unwrap().is_saved(), "the disk is there");
            ticket
        })
        .collect();
    let last = tickets.last().unwrap();
    let early = last.wait_mirrored(Duration::ZERO).unwrap_err();
    assert!(matches!(early, MirrorError::TimedOut { number: 6, .. }), "{early}");
    for ticket in &tickets[..5] {
        let outcome = ticket.wait_mirrored(LONG).unwrap();
        assert!(matches!(outcome, MirrorOutcome::Superseded { .. }), "{outcome:?}");
    }
    bucket.faulty.heal();
    assert!(matches!(last.wait_mirrored(LONG).unwrap(), MirrorOutcome::Mirrored(_)));
    mirror.close(LONG).unwrap();
    assert_eq!(mirror.remote().list_checkpoints().unwrap(), [6]);
    assert!(mirror.status().failing.is_none());
    assert_eq!(mirror.status().superseded, 5);
}

/// Kills the process before each request and after it, and opens the mirror again.
#[test]
fn an_upload_goes_on_after_a_restart_and_no_upload_is_without_a_name() {
    let mut resumed = 0;
    for fault in [Fault::KilledBefore, Fault::KilledAfter] {
        for request in 0.. {
            let (disk, bucket) = (MemoryFs::new(), Bucket::new());
            let mut mirror = open(&disk, &bucket);
            let at = bucket.faulty.requests() + request;
            bucket.faulty.fail(at, Times::Following, fault);
            // The disk as it is at that moment.
            let (left, killed) = (Arc::new(Mutex::new(None)), disk.clone());
            let kept = Arc::clone(&left);
            bucket.faulty.before(at, move || *kept.lock().unwrap() = Some(killed.process_kill()));
            let ticket = mirror.save(snapshot(1, 1000)).unwrap();
            assert!(ticket.wait(LONG).unwrap().is_saved());
            let is_killed = loop {
                match ticket.wait_mirrored(Duration::from_millis(20)) {
                    Ok(_) => break bucket.faulty.has_failed(),
                    Err(_) if mirror.status().failures > 0 => break true,
                    Err(_) => {}
                }
            };
            let left = left.lock().unwrap().take().unwrap_or_else(|| disk.process_kill());
            if is_killed {
                let _ = mirror.close(Duration::ZERO); // a killed process closes nothing
            } else {
                mirror.close(LONG).unwrap();
            }
            drop(mirror);
            bucket.faulty.heal();
            let case = format!("{fault:?} request {request}");
            let parts_before: u64 =
                bucket.memory.open_uploads().iter().map(|open| open.bytes).sum();

            let again = Bucket::with(
                bucket.memory.clone(),
                qstore_bucket::BucketSettings::default().part_bytes(700),
            );
            let mut mirror = open(&left, &again);
            mirror.save(snapshot(2, 1000)).unwrap().wait_mirrored(LONG).unwrap();
            mirror.close(LONG).unwrap();
            mirror.remote().verify(2).unwrap();
            let latest = mirror.remote().latest_checkpoint().unwrap();
            assert_eq!(latest, Some(2), "{case}");
            let orphans = again.repository.store().orphans();
            for open in again.memory.open_uploads() {
                let is_named = orphans.iter().any(|orphan| orphan.token == open.token);
                assert!(is_named, "{case}: {open:?} is not one of {orphans:?}");
            }
            let listed = mirror.remote().list_checkpoints().unwrap();
            resumed += u32::from(parts_before > 0 && listed == [1, 2]);
            if !is_killed {
                break;
            }
        }
    }
    assert!(resumed > 5, "{resumed}");
}

#[test]
fn a_checkpoint_whose_upload_never_began_is_uploaded_by_the_next_mirror() {
    let (disk, bucket) = (MemoryFs::new(), Bucket::new());
    let mut mirror = open(&disk, &bucket);
    bucket.faulty.fail(bucket.faulty.requests(), Times::Following, Fault::NoConnection);
    assert!(mirror.save(snapshot(1, 500)).unwrap().wait(LONG).unwrap().is_saved());
    let killed = disk.process_kill();
    let _ = mirror.close(Duration::ZERO);
    drop(mirror);
    bucket.faulty.heal();
    let mut mirror = open(&killed, &bucket);
    mirror.close(LONG).unwrap();
    assert_eq!(mirror.remote().list_checkpoints().unwrap(), [1]);
    mirror.remote().verify(1).unwrap();
}

#[test]
fn a_lost_directory_goes_on_after_the_saves_of_the_bucket() {
    let bucket = Bucket::new();
    let mut first = open(&MemoryFs::new(), &bucket);
    for number in 1..=3 {
        first.save(snapshot(number, 50)).unwrap().wait_mirrored(LONG).unwrap();
    }
    first.close(LONG).unwrap();
    let newest = first.remote().last_save_seq().unwrap();
    // Another node, whose disk is empty, and a smaller number.
    let disk = MemoryFs::new();
    let mut second = open(&disk, &bucket);
    second.save(snapshot(2, 50)).unwrap().wait_mirrored(LONG).unwrap();
    second.close(LONG).unwrap();
    assert!(local(&disk).get_checkpoint_info(2).unwrap().save_seq > newest);
    assert_eq!(second.remote().latest_checkpoint().unwrap(), Some(2));
}

#[test]
fn a_full_disk_delays_the_mirror_and_nothing_else() {
    let (disk, bucket) = (MemoryFs::new(), Bucket::new());
    let mut mirror = open(&disk, &bucket);
    let first = mirror.save(snapshot(1, 500)).unwrap();
    first.wait_mirrored(LONG).unwrap();
    disk.set_capacity(Some(0));
    assert!(mirror.save(snapshot(2, 500)).unwrap().wait(LONG).is_err());
    disk.set_capacity(None);
    let third = loop {
        // The failure is reported once.
        if let Ok(ticket) = mirror.save(snapshot(3, 500)) {
            break ticket;
        }
    };
    assert!(matches!(third.wait_mirrored(LONG).unwrap(), MirrorOutcome::Mirrored(_)));
    let _ = mirror.close(LONG); // it reports the save that failed
    assert_eq!(mirror.remote().list_checkpoints().unwrap(), [1, 3]);
}

/// The mirror looks at the save as well, which does not count as a report.
#[test]
fn a_failed_save_whose_ticket_nobody_asks_is_reported_by_the_next_call() {
    let (disk, bucket) = (MemoryFs::new(), Bucket::new());
    let mut mirror = open(&disk, &bucket);
    disk.set_capacity(Some(0));
    let ticket = mirror.save(snapshot(1, 500)).unwrap();
    assert_eq!(ticket.wait_mirrored(LONG).unwrap(), MirrorOutcome::NotSaved);
    disk.set_capacity(None);
    let next = mirror.save(snapshot(2, 500));
    assert!(matches!(next, Err(SaveError::EarlierFailed { .. })), "{next:?}");
    let closed = mirror.close(LONG);
    assert!(matches!(&closed, Err(MirrorError::Save(_))), "{closed:?}");
}

#[test]
fn the_journal_of_another_bucket_is_refused_and_has_no_credentials() {
    let (disk, bucket) = (MemoryFs::new(), Bucket::new());
    let mut mirror = open(&disk, &bucket);
    mirror.save(snapshot(1, 50)).unwrap().wait_mirrored(LONG).unwrap();
    mirror.close(LONG).unwrap();
    let store = bucket.repository.store().clone();
    let other = qstore_bucket::ObjectRepository::new(
        store,
        "other",
        qstore_bucket::BucketSettings::default(),
    )
    .unwrap();
    let refused = Mirror::open(manager(&disk), other.clone(), settings()).unwrap_err();
    assert!(refused.to_string().contains("it belongs to memory/run/checkpoints"), "{refused}");
    drop(Mirror::open(manager(&disk), other, settings().name("second")).unwrap());
}
