//! What is under the hidden name of a metrics file when it is opened: a leftover of a killed writer is removed, and
//! what is not ours is kept under a name that can be seen.

use crate::foreign::of_a_later_version;
use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_storage::{FileSystem, MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const PUBLIC: &str = "/metrics.parquet";
const HIDDEN: &str = "/.metrics.parquet.twin";
const DISPLACED: &str = "/metrics.parquet.displaced-1";

fn log(memory: &MemoryFs) -> MetricsLog<Row> {
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    MetricsLog::open_in(storage, PUBLIC, WriterSettings::default()).unwrap()
}

/// A file with three rows, and its bytes.
fn logged() -> (MemoryFs, Vec<u8>) {
    let memory = MemoryFs::new();
    let mut log = log(&memory);
    for step in 0..3_i64 {
        log.append(&Row::from([("step", step)]), Instant::now());
    }
    log.close().unwrap();
    let bytes = read_all(&memory, Path::new(PUBLIC)).unwrap();
    (memory, bytes)
}

fn put(memory: &MemoryFs, path: &str, bytes: &[u8]) {
    memory.create_new(Path::new(path)).unwrap().write_at(0, bytes).unwrap();
}

fn exists(memory: &MemoryFs, path: &str) -> bool {
    memory.metadata(Path::new(path)).unwrap().is_some()
}

#[test]
fn a_version_that_was_being_written_is_removed() {
    let (_, whole) = logged();
    let mut holes = vec![0; 100];
    holes.extend(&whole[100..]);
    for leftover in [&whole[..], &whole[..whole.len() / 2], &whole[..3], &holes, b""] {
        let (memory, _) = logged();
        put(&memory, HIDDEN, leftover);
        drop(log(&memory));
        assert!(
            !exists(&memory, HIDDEN) && !exists(&memory, DISPLACED),
            "{} bytes",
            leftover.len()
        );
        assert_eq!(MetricsFile::open_in(Arc::new(memory), PUBLIC).unwrap().rows(), 3);
    }
}

#[test]
fn what_is_not_ours_gets_a_name_next_to_the_file() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/foreign");
    let other_program = std::fs::read(golden.join("duckdb_v2_zstd.parquet")).unwrap();
    for foreign in [&b"someone's notes"[..], &other_program, b"PK", b"\x01PAR1"] {
        let (memory, _) = logged();
        put(&memory, HIDDEN, foreign);
        let mut log = log(&memory);
        assert_eq!(read_all(&memory, Path::new(DISPLACED)).unwrap(), foreign);
        log.append(&Row::from([("step", 3_i64)]), Instant::now());
        log.close().unwrap();
        assert_eq!(read_all(&memory, Path::new(DISPLACED)).unwrap(), foreign);
        assert!(!exists(&memory, HIDDEN));
        assert_eq!(MetricsFile::open_in(Arc::new(memory), PUBLIC).unwrap().rows(), 4);
    }
}

// A downgrade in the middle of a run: what the later version was writing is whole, and this one cannot judge it.
#[test]
fn a_whole_file_of_a_later_version_is_kept_and_a_torn_one_removed() {
    let later = of_a_later_version();
    let (memory, _) = logged();
    put(&memory, HIDDEN, &later);
    drop(log(&memory));
    assert_eq!(read_all(&memory, Path::new(DISPLACED)).unwrap(), later);
    assert!(!exists(&memory, HIDDEN));

    // A power cut took its checksum: it still looks like a version that this one cannot read, but no reader has seen it.
    let mut torn = later;
    let tail = torn.len() - 8;
    let footer = tail - u32::from_le_bytes(torn[tail..tail + 4].try_into().unwrap()) as usize;
    torn[footer - 8..footer].fill(0);
    let (memory, _) = logged();
    put(&memory, HIDDEN, &torn);
    drop(log(&memory));
    assert!(!exists(&memory, HIDDEN) && !exists(&memory, DISPLACED));
}

#[test]
fn a_directory_is_kept_and_names_that_are_taken_are_passed_over() {
    let (memory, _) = logged();
    put(&memory, DISPLACED, b"an earlier one");
    memory.create_dir(Path::new(HIDDEN)).unwrap();
    put(&memory, "/.metrics.parquet.twin/notes", b"notes");
    drop(log(&memory));
    assert!(exists(&memory, "/metrics.parquet.displaced-2/notes"));
    assert_eq!(read_all(&memory, Path::new(DISPLACED)).unwrap(), b"an earlier one");
}

#[test]
fn what_lost_the_public_name_gets_it_back_if_nothing_has_it() {
    let memory = MemoryFs::new();
    put(&memory, HIDDEN, b"someone's notes");
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let opened = MetricsLog::<Row>::open_in(storage, PUBLIC, WriterSettings::default());
    assert!(opened.is_err(), "it is not a metrics file");
    assert_eq!(read_all(&memory, Path::new(PUBLIC)).unwrap(), b"someone's notes");
}

#[test]
fn a_save_elsewhere_leaves_nothing_and_removes_what_a_killed_one_left() {
    let (memory, _) = logged();
    let mut log = log(&memory);
    put(&memory, "/.qstore-0123456789abcdef-7.tmp", b"PAR1 half a file");
    log.append(&Row::from([("step", 3_i64)]), Instant::now());
    assert_eq!(log.save_as("/rescued.parquet").unwrap(), 4);
    assert!(log.save_as("/rescued.parquet").is_err(), "nothing is replaced");
    drop(log);
    let mut names: Vec<_> =
        memory.list(Path::new("/")).unwrap().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| !name.to_string_lossy().ends_with(".lock"));
    names.sort();
    assert_eq!(names, ["metrics.parquet", "rescued.parquet"]);
}
