//! A directory of ranks: parts follow each other, and every row is in one of them.

use qstore_buffer::Sink;
use qstore_parquet::{MetricsFile, OpenError, RankLog, Values, WriterSettings};
use qstore_schema::Row;
use qstore_storage::{FileSystem, MemoryFs};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

#[test]
fn parts_follow_each_other_and_every_row_is_in_one() {
    let memory = MemoryFs::new();
    let mut next = 0_i64;
    for session in 0..3 {
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let settings = WriterSettings::default();
        let mut log = RankLog::open_in(storage, "/run", 7, 6_000, settings).unwrap();
        for _ in 0..40 {
            for _ in 0..20 {
                let mut row = Row::from([("n", next)]);
                row.set("loss", (next as f64).sin());
                log.append(&row, Instant::now());
                next += 1;
            }
            log.flush().unwrap();
        }
        log.close().unwrap();
        assert_eq!(log.stats().rows_written, 800, "session {session}");
    }
    let dir = Path::new("/run/rank=7");
    let parts = memory.list(dir).unwrap().len();
    assert!(parts > 3, "{parts} parts");
    let mut found = Vec::new();
    for part in 0..parts {
        let path = dir.join(format!("part-{part:05}.parquet"));
        let file = MetricsFile::open_in(Arc::new(memory.clone()), path).unwrap();
        assert!(file.is_closed() && file.len() < 20_000);
        match file.read(&["n"], 0..u64::MAX).unwrap().column("n") {
            Some(Values::Int(numbers)) => found.extend(numbers.iter().copied().flatten()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, (0..next).collect::<Vec<_>>());
}

#[test]
fn a_rank_has_one_writer_and_ranks_are_independent() {
    let storage: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let open = |rank| {
        let settings = WriterSettings::default();
        RankLog::<Row>::open_in(Arc::clone(&storage), "/run", rank, 1 << 20, settings)
    };
    let first = open(0).unwrap();
    let other = open(1).unwrap();
    assert!(matches!(open(0), Err(OpenError::AlreadyOpen { .. })));
    drop((first, other));
    open(0).unwrap();
    let zero = RankLog::<Row>::open_in(storage, "/run", 0, 0, WriterSettings::default());
    let error = zero.unwrap_err().to_string();
    assert!(error.starts_with("part_bytes_max is 0; choose 1 or more"), "{error}");
}
