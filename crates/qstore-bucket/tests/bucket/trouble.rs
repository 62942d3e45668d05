//! Objects that are replaced, removed or damaged while somebody reads them.

use crate::{Bucket, LONG, snapshot};
use qstore_bucket::BucketSettings;
use qstore_objects::MemoryObjects;
use qstore_zarr::{CheckpointSettings, LoadError};

const KEY: &str = "run/checkpoints/epoch_0001.zarr.zip";

/// The end that is read at first is short, so that loading takes several requests.
fn short_tail() -> Bucket {
    let settings = BucketSettings::default().tail_bytes(200).join_bytes(2000).part_bytes(1000);
    Bucket::with(MemoryObjects::new(), settings)
}

#[test]
fn a_checkpoint_that_is_replaced_between_two_ranges_is_read_again() {
    let mut replaced = 0;
    for request in 0.. {
        let bucket = short_tail();
        let manager = bucket.manager(CheckpointSettings::default());
        manager.save(snapshot(1, 1000)).unwrap().wait(LONG).unwrap();
        let checkpoints = bucket.checkpoints().workers(1);
        checkpoints.counter().unwrap();
        let begin = bucket.faulty.requests();
        let (other, before) = (bucket.memory.snapshot(), bucket.memory.clone());
        // The same number with other weights, as another writer would save it.
        let second = Bucket::with(other, BucketSettings::default());
        let again = second.manager(CheckpointSettings::default());
        again.save(snapshot(1, 2000)).unwrap().wait(LONG).unwrap();
        let bytes = second.memory.bytes(KEY).unwrap();
        bucket.faulty.before(begin + request, move || {
            use qstore_objects::{Condition, Objects, Token};
            let always = Condition::Always;
            before.put(KEY, &bytes, &Token::random(), &always, LONG).unwrap();
        });
        let loaded = checkpoints.load(1).unwrap();
        let len = loaded.model().unwrap().tensor("w").unwrap().shape()[0];
        assert!(len == 1000 || len == 2000, "a mixture");
        replaced += u32::from(len == 2000);
        if bucket.faulty.requests() <= begin + request {
            break;
        }
    }
    assert!(replaced > 2, "{replaced}");
}

#[test]
fn a_checkpoint_that_is_removed_while_it_is_read_is_not_damaged() {
    for request in 0.. {
        let bucket = short_tail();
        let manager = bucket.manager(CheckpointSettings::default());
        manager.save(snapshot(1, 1000)).unwrap().wait(LONG).unwrap();
        let checkpoints = bucket.checkpoints().workers(1);
        checkpoints.counter().unwrap();
        let (begin, memory) = (bucket.faulty.requests(), bucket.memory.clone());
        bucket.faulty.before(begin + request, move || {
            use qstore_objects::Objects;
            memory.delete(KEY, None, LONG).unwrap();
        });
        match checkpoints.load(1) {
            Ok(_) => {}
            Err(error) => assert!(matches!(error, LoadError::NotFound { .. }), "{error}"),
        }
        if bucket.faulty.requests() <= begin + request {
            break;
        }
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_is_found() {
    let bucket = Bucket::new();
    let manager = bucket.manager(CheckpointSettings::default());
    manager.save(snapshot(1, 300)).unwrap().wait(LONG).unwrap();
    let len = bucket.memory.bytes(KEY).unwrap().len();
    let checkpoints = bucket.checkpoints();
    checkpoints.verify(1).unwrap();
    for at in 0..len {
        let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << (at % 8);
        bucket.memory.corrupt(KEY, flip);
        assert!(checkpoints.verify(1).is_err(), "byte {at}");
        bucket.memory.corrupt(KEY, flip);
    }
    checkpoints.verify(1).unwrap();
    for cut in (0..len).step_by(7) {
        let whole = bucket.memory.bytes(KEY).unwrap();
        bucket.memory.corrupt(KEY, |bytes| bytes.truncate(cut));
        assert!(checkpoints.verify(1).is_err(), "cut to {cut}");
        bucket.memory.corrupt(KEY, |bytes| *bytes = whole);
    }
}
