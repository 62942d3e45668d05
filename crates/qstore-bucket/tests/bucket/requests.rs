//! How many requests a call takes, and how many bytes.

use crate::{Bucket, LONG, snapshot};
use qstore_bucket::BucketSettings;
use qstore_objects::{MemoryObjects, Request};
use qstore_zarr::{CheckpointSettings, Compression, Select};

const MIB: usize = 1 << 20;

fn of(log: &[Request], kind: Request) -> usize {
    log.iter().filter(|request| **request == kind).count()
}

#[test]
fn an_upload_takes_its_parts_and_three_requests() {
    let settings = BucketSettings::default().part_bytes(MIB as u64);
    let bucket = Bucket::with(MemoryObjects::new(), settings);
    let raw = CheckpointSettings::default().compression(Compression::NONE);
    let manager = bucket.manager(raw);
    let before = bucket.faulty.log().len();
    let ticket = manager.save(snapshot(1, 5 * MIB / 4)).unwrap();
    let bytes = ticket.wait(LONG).unwrap().saved().unwrap().stored_bytes as usize;
    let log = &bucket.faulty.log()[before..];
    let kinds = [Request::Begin, Request::Part, Request::Complete, Request::Head];
    let counts = kinds.map(|kind| of(log, kind));
    assert_eq!(counts, [1, bytes.div_ceil(MIB), 1, 1], "{log:?}");
}

#[test]
fn neighboring_chunks_are_read_together_and_one_tensor_alone() {
    let bucket = Bucket::with(MemoryObjects::new(), BucketSettings::default());
    let raw = CheckpointSettings::default().compression(Compression::NONE);
    let manager = bucket.manager(raw);
    // 24 MiB in chunks of 1 MiB.
    manager.save(snapshot(1, 6 * MIB)).unwrap().wait(LONG).unwrap();
    let checkpoints = bucket.checkpoints();
    let gets = |call: &dyn Fn()| {
        let before = bucket.faulty.log().len();
        call();
        of(&bucket.faulty.log()[before..], Request::Get)
    };
    let description = gets(&|| assert!(checkpoints.counter().is_ok()));
    assert_eq!(description, 1);
    let info = gets(&|| drop(checkpoints.get_checkpoint_info(1).unwrap()));
    // Of the file, and of a directory that a bucket does not have.
    assert_eq!(info, 1, "its end has all of it");
    let whole = gets(&|| drop(checkpoints.load(1).unwrap()));
    assert!((2..=5).contains(&whole), "{whole} requests for 24 MiB in joins of 8 MiB");
    let one = Select::Name("model/b".into());
    let small = gets(&|| drop(checkpoints.load_tensors(1, &one).unwrap()));
    assert!(small <= 2, "{small} requests for one number");
}
