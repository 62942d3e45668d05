//! The calls of a training and of those who read along.

use crate::{Bucket, LONG, snapshot};
use qstore_bucket::{BucketSettings, ObjectRepository};
use qstore_checkpoint::repository::{Created, Repository, RepositoryError, conformance};
use qstore_objects::{Limits, MemoryObjects, Store, StoreError};
use qstore_zarr::{CheckpointManager, CheckpointSettings, OpenError, Select};
use std::sync::Arc;

#[test]
fn a_bucket_is_a_repository() {
    for memory in [MemoryObjects::new(), MemoryObjects::new().without_conditional_deletes()] {
        memory.set_page(3);
        let bucket = Bucket::with(memory, BucketSettings::default().part_bytes(3));
        conformance::check(&bucket.repository);
        assert_eq!((bucket.memory.keys(), bucket.memory.open_uploads()), (vec![], vec![]));
    }
}

#[test]
fn a_run_saves_lists_loads_verifies_explains_pins_and_prunes() {
    let bucket = Bucket::new();
    let mut manager = bucket.manager(CheckpointSettings::default().keep_last(2));
    let saved = manager.save(snapshot(1, 1000)).unwrap().wait(LONG).unwrap().saved().unwrap();
    assert_eq!((saved.number, saved.save_seq), (1, 1));
    manager.pin(1).unwrap();
    for number in 2..=5 {
        manager.save(snapshot(number, 1000)).unwrap().wait(LONG).unwrap();
    }
    manager.close(LONG).unwrap();

    let checkpoints = bucket.checkpoints();
    assert_eq!(checkpoints.list_checkpoints().unwrap(), [1, 4, 5]);
    assert_eq!(checkpoints.latest_checkpoint().unwrap(), Some(5));
    for number in [1, 4, 5] {
        checkpoints.verify(number).unwrap();
        let loaded = checkpoints.load(number).unwrap();
        assert_eq!(loaded.model(), snapshot(number, 1000).parts.get("model"));
    }
    let some = checkpoints.load_tensors(4, &Select::Glob("model/b*".into())).unwrap();
    assert_eq!(some[0].1.as_slice::<f32>().unwrap(), [4.0]);
    let plan: Vec<_> = checkpoints.explain().unwrap().iter().map(ToString::to_string).collect();
    assert!(plan[2].contains("1 (save 1) is kept: it is pinned"), "{plan:?}");
    checkpoints.unpin(1).unwrap();
    let plan = checkpoints.explain().unwrap();
    assert_eq!(checkpoints.prune(&plan).unwrap(), [1]);
    assert_eq!(checkpoints.load_latest().unwrap().unwrap().checkpoint.number(), 5);
    assert_eq!(
        (bucket.repository.store().orphans(), bucket.memory.open_uploads()),
        (vec![], vec![])
    );
}

#[test]
fn a_number_is_saved_again_and_something_foreign_is_not_replaced() {
    let bucket = Bucket::new();
    let manager = bucket.manager(CheckpointSettings::default());
    for _ in 0..2 {
        manager.save(snapshot(3, 100)).unwrap().wait(LONG).unwrap();
    }
    assert_eq!(bucket.checkpoints().get_checkpoint_info(3).unwrap().save_seq, 2);
    let notes = bucket.repository.create("epoch_0004.zarr.zip", b"notes of somebody else").unwrap();
    assert_eq!(notes, Created::New);
    let error = manager.save(snapshot(4, 100)).unwrap().wait(LONG).unwrap_err().to_string();
    assert!(error.contains("was not written by Q-Store"), "{error}");
    let kept = bucket.memory.bytes("run/checkpoints/epoch_0004.zarr.zip").unwrap();
    assert_eq!(kept, b"notes of somebody else");
    assert_eq!(bucket.memory.open_uploads(), []);
}

#[test]
fn what_is_not_due_is_not_removed() {
    let bucket = Bucket::new();
    let manager = bucket.manager(CheckpointSettings::default());
    manager.save(snapshot(1, 100)).unwrap().wait(LONG).unwrap();
    let names = ["epoch_0001.zarr.zip".to_owned()];
    let error = bucket.repository.remove_if(&names, &|_, _| Ok(false)).unwrap_err();
    assert!(matches!(error, RepositoryError::Replaced { .. }), "{error}");
    bucket.checkpoints().verify(1).unwrap();
    drop(bucket.repository.remove_if(&names, &|_, _| Ok(true)).unwrap());
    assert_eq!(bucket.checkpoints().list_checkpoints().unwrap(), [0_u64; 0]);
}

#[test]
fn managers_that_share_a_bucket_order_their_saves() {
    let bucket = Bucket::new();
    let sequences: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3_u64)
            .map(|writer| {
                let bucket = &bucket;
                scope.spawn(move || {
                    let manager = bucket.manager(CheckpointSettings::default().keep_last(0));
                    let save = |step: u64| {
                        let ticket = manager.save(snapshot(writer * 10 + step, 50)).unwrap();
                        ticket.wait(LONG).unwrap().saved().unwrap().save_seq
                    };
                    (0..4).map(save).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sequences.iter().all(|own| own.is_sorted()));
    let mut all = sequences.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 12, "two saves have one number");
    assert_eq!(bucket.checkpoints().list_checkpoints().unwrap().len(), 12);
}

#[test]
fn a_listing_that_lags_behind_loses_nothing() {
    let bucket = Bucket::new();
    bucket.memory.set_stale(2);
    let mut manager = bucket.manager(CheckpointSettings::default().keep_last(2));
    for number in 1..=6 {
        manager.save(snapshot(number, 50)).unwrap().wait(LONG).unwrap();
        bucket.checkpoints().load(number).unwrap();
    }
    manager.close(LONG).unwrap();
    bucket.memory.set_stale(0);
    let left = bucket.checkpoints().list_checkpoints().unwrap();
    assert!(left.ends_with(&[5, 6]), "{left:?}");
}

#[test]
fn what_cannot_be_used_is_refused_at_open() {
    let lax = Arc::new(MemoryObjects::without_conditions());
    let refused = Store::open(lax, Limits::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Unsafe { .. }), "{refused}");
    let store = Store::open(Arc::new(MemoryObjects::new()), Limits::default()).unwrap();
    for prefix in ["/a", "a//b", "../b", "a b", "ä"] {
        let refused = ObjectRepository::new(store.clone(), prefix, BucketSettings::default());
        assert!(refused.unwrap_err().to_string().contains("prefix is"), "{prefix}");
    }
    let bucket = Bucket::new();
    let layout = CheckpointSettings::default().layout(qstore_zarr::Layout::Directory);
    let refused = CheckpointManager::over(bucket.shared(), layout);
    assert!(matches!(refused, Err(OpenError::Setting(_))));
}
