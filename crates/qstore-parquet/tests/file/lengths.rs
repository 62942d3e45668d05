//! Engines that list a file with its length and look for its footer there later.

use crate::ranks::{RANK, open, row, rows};
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use qstore_parquet::{DatasetSettings, WriterSettings};
use qstore_storage::{FileSystem, MemoryFs, read_all};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The numbers that a reader finds that takes this for the whole file.
fn read(bytes: &[u8]) -> Vec<i64> {
    let file = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).expect("a whole footer");
    let rows = file.get_row_iter(None).expect("its groups");
    rows.map(|row| row.unwrap().get_double(0).unwrap() as i64).collect()
}

/// Two copies, small files, copies; sealed groups and a late column in each.
fn ways() -> [DatasetSettings; 3] {
    let settings = DatasetSettings::default()
        .writer(|writer| writer.reuse_after(Duration::from_secs(1_000)).row_group_rows_max(60));
    let with = |change: fn(WriterSettings) -> WriterSettings| settings.clone().writer(change);
    [
        with(|writer| writer.twin_bytes_min(0)),
        with(|writer| writer),
        with(|writer| writer.publish_by_copy(true)),
    ]
}

/// The open part, or the sealed one that it became.
fn part(files: &dyn FileSystem) -> PathBuf {
    let [open, sealed] =
        ["_part-00000.parquet", "part-00000.parquet"].map(|n| Path::new(RANK).join(n));
    if files.metadata(&open).unwrap().is_some() { open } else { sealed }
}

#[test]
fn every_length_that_was_published_ends_with_a_whole_footer_of_its_rows() {
    for settings in ways() {
        let memory = MemoryFs::new();
        let mut log = open(Arc::new(memory.clone()), &settings).unwrap();
        let mut published = Vec::new();
        for flush in 0..50_i64 {
            for n in flush * 5..(flush + 1) * 5 {
                let mut row = row(n);
                if n > 150 {
                    row.set("late", 0.5);
                }
                log.append(&row, Instant::now());
            }
            log.flush().unwrap();
            let bytes = read_all(&memory, &part(&memory)).unwrap();
            published.push((bytes.len(), (flush + 1) * 5));
            for (len, rows) in &published {
                assert_eq!(read(&bytes[..*len]), (0..*rows).collect::<Vec<_>>());
            }
        }
        log.close().unwrap();
        drop(log);
        let bytes = read_all(&memory, &part(&memory)).unwrap();
        for (len, rows) in &published {
            assert_eq!(read(&bytes[..*len]), (0..*rows).collect::<Vec<_>>(), "after the close");
        }
        assert!(published.is_sorted(), "a file that became shorter");
    }
}

/// A second session continues the open part, and so do its lengths.
#[test]
fn a_part_that_is_continued_keeps_the_lengths_of_the_session_before() {
    for settings in ways() {
        let memory = MemoryFs::new();
        let mut published = Vec::new();
        for session in 0..3_i64 {
            let mut log = open(Arc::new(memory.clone()), &settings).unwrap();
            for flush in 0..6_i64 {
                let n = session * 6 + flush;
                log.append(&row(n), Instant::now());
                log.flush().unwrap();
                let bytes = read_all(&memory, &part(&memory)).unwrap();
                published.push((bytes.len(), n + 1));
                for (len, rows) in &published {
                    assert_eq!(read(&bytes[..*len]), (0..*rows).collect::<Vec<_>>());
                }
            }
            // Dropped without a close, as by a kill.
        }
    }
}

/// After the grace period the space of footers is used again, and what remains of it in a sealed part is not
/// stored.
#[test]
fn after_the_grace_period_footers_are_free_and_a_sealed_part_has_only_its_rows() {
    let memory = MemoryFs::new();
    let settings = DatasetSettings::default()
        .writer(|writer| writer.reuse_after(Duration::ZERO).twin_bytes_min(0));
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let mut log = open(Arc::clone(&files), &settings).unwrap();
    for n in 0..300 {
        log.append(&row(n), Instant::now());
        log.flush().unwrap();
    }
    log.close().unwrap();
    drop(log);
    let bytes = read_all(&memory, &part(&memory)).unwrap();
    let stored = bytes.iter().filter(|byte| **byte != 0).count();
    assert!(stored < 12_000, "{stored} bytes are left of {}", bytes.len());
    assert_eq!(rows(&files), (0..300).collect::<Vec<_>>());
}
