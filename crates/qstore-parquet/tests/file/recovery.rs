//! Files whose end another program has damaged are continued from their last whole version.

use crate::{PATH, open, put, write};
use qstore_parquet::{MetricsFile, MetricsLog, OpenError, Values, WriterSettings};
use qstore_schema::Row;
use qstore_storage::{FileSystem, MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;

fn whole(close: bool) -> Vec<u8> {
    let memory = MemoryFs::new();
    write(&memory, WriterSettings::default(), 0, 50, close);
    read_all(&memory, Path::new(PATH)).unwrap()
}

#[test]
fn what_was_appended_by_mistake_is_set_aside_and_the_rows_are_kept() {
    let zeros = vec![0; 200_000];
    let tails: [&[u8]; 5] =
        [b"\n", b"PAR1", b"a line of text\n", &zeros, &[&zeros[..65_533], b"PAR1PAR1"].concat()];
    for tail in tails {
        let damaged = [&whole(true), tail].concat();
        let memory = MemoryFs::new();
        put(&memory, &damaged);
        let log = open(&memory, WriterSettings::default());
        let recovery = qstore_buffer::Sink::<Row>::stats(&log).recovery.unwrap();
        assert_eq!((recovery.rows, recovery.bytes_lost), (50, tail.len() as u64));
        drop(log);
        assert_eq!(
            read_all(&memory, &recovery.aside).unwrap(),
            damaged,
            "the damaged file is unchanged"
        );
        let name = recovery.aside.to_string_lossy();
        assert!(name.starts_with("/metrics.parquet.corrupt-"), "{name}");
        for cut in [memory.power_cut(), memory.power_cut_after_names()] {
            assert!(cut.metadata(&recovery.aside).unwrap().is_some(), "it is durable");
        }

        write(&memory, WriterSettings::default(), 50, 80, true);
        let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
        assert!(file.validate().unwrap().is_whole());
        let numbers = file.read(&["n"], 0..100).unwrap();
        assert_eq!(numbers.column("n"), Some(&Values::Int((0..80).map(Some).collect())));
    }
}

#[test]
fn what_cannot_be_recovered_is_refused_and_left_untouched() {
    // A value of the only version is damaged as well.
    let mut damaged = [&whole(true), &b"tail"[..]].concat();
    damaged[100] ^= 1;
    for bytes in [damaged, whole(true)[..500].to_vec(), b"step,loss\n1,2\n".to_vec()] {
        let memory = MemoryFs::new();
        put(&memory, &bytes);
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let log = MetricsLog::<Row>::open_in(storage, PATH, WriterSettings::default());
        assert!(matches!(log, Err(OpenError::NotParquet { .. })), "{log:?}");
        assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), bytes);
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
    }
}

/// Rows of another type do not cause a recovery.
#[test]
fn a_conflict_leaves_a_damaged_file_untouched() {
    let damaged = [&whole(true), &b"tail"[..]].concat();
    let memory = MemoryFs::new();
    put(&memory, &damaged);
    qstore_schema::record! {
        struct Other { n: f64 }
    }
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let log = MetricsLog::<Other>::open_in(storage, PATH, WriterSettings::default());
    assert!(matches!(log, Err(OpenError::SchemaConflict { .. })), "{log:?}");
    assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), damaged);
    assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
}
