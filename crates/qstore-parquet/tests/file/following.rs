//! A reader that follows a file sees every row once, in order, whatever the writer does in between.

use crate::{PATH, bits, open, put, row, write};
use proptest::prelude::*;
use qstore_parquet::{Follow, MetricsFile, MetricsLog, ReadError, Values, WriterSettings};
use qstore_schema::Row;
use qstore_storage::{FileSystem, MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn follow(memory: &MemoryFs) -> Follow {
    Follow::new_in(Arc::new(memory.clone()), PATH)
}

/// Every batch there is, as rows whose floats compare by their bits.
fn drain(follow: &mut Follow) -> Vec<Vec<(String, String)>> {
    let mut rows = Vec::new();
    while let Some(table) = follow.poll().unwrap() {
        assert_eq!(table.first_row + table.rows as u64, follow.next_row());
        rows.extend(table.iter_rows().map(|row| bits(&row)));
    }
    rows
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// This many rows are appended and published.
    Flush(usize),
    /// The session ends and another one goes on.
    Reopen,
    /// The writer is killed with rows that it has not published; another one goes on.
    Kill(usize),
    /// One batch is polled.
    Poll,
    /// All batches are polled.
    Drain,
    /// An open version moves to the newest one.
    Refresh,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1_usize..30).prop_map(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (0_usize..10).prop_map(Step::Kill),
        4 => Just(Step::Poll),
        2 => Just(Step::Drain),
        4 => Just(Step::Refresh),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn every_row_is_yielded_once_and_in_order(
        steps in steps(),
        row_group_rows_max in 5_usize..60,
        is_twin in any::<bool>(),
    ) {
        let settings = WriterSettings::default()
            .row_group_rows_max(row_group_rows_max)
            .twin_bytes_min(if is_twin { 0 } else { u64::MAX })
            .reuse_after(Duration::ZERO);
        let mut memory = MemoryFs::new();
        write(&memory, settings.clone(), 0, 1, false);
        let mut published = 1_i64;
        // A session that writes nothing leaves the file as it was, closed or not.
        let (mut has_written, mut is_closed) = (false, false);
        let mut log = open(&memory, settings.clone());
        let mut follower = follow(&memory);
        let mut seen = Vec::new();
        let mut file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
        for step in steps {
            match step {
                Step::Flush(rows) => {
                    for n in published..published + rows as i64 {
                        log.append(&row(n), Instant::now());
                    }
                    log.flush().unwrap();
                    published += rows as i64;
                    (has_written, is_closed) = (true, false);
                }
                Step::Reopen => {
                    log.close().unwrap();
                    drop(log);
                    is_closed |= has_written;
                    has_written = false;
                    prop_assert_eq!(drain_is_closed(&memory), is_closed);
                    log = open(&memory, settings.clone());
                }
                Step::Kill(rows) => {
                    for n in 0..rows as i64 {
                        log.append(&row(published + n), Instant::now());
                    }
                    // The memory after a kill is another file system: the readers start again, too.
                    let (next, version) = (follower.next_row(), file.rows());
                    memory = memory.process_kill();
                    has_written = false;
                    log = open(&memory, settings.clone());
                    follower = follow(&memory).since(next);
                    file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
                    prop_assert!(file.rows() >= version);
                }
                Step::Poll => if let Some(table) = follower.poll().unwrap() {
                    seen.extend(table.iter_rows().map(|row| bits(&row)));
                },
                Step::Drain => {
                    seen.extend(drain(&mut follower));
                    prop_assert_eq!(seen.len(), published as usize);
                }
                Step::Refresh => {
                    let before = file.rows();
                    let new = file.refresh().unwrap();
                    prop_assert_eq!(file.rows(), published as u64);
                    if let Some(new) = new {
                        prop_assert_eq!(&new, &(before..published as u64));
                        let mut next = new.start;
                        for batch in file.rows_since(new.start) {
                            let batch = batch.unwrap();
                            prop_assert_eq!(batch.first_row, next);
                            next += batch.rows as u64;
                        }
                        prop_assert_eq!(next, new.end);
                    } else {
                        prop_assert_eq!(before, published as u64);
                    }
                }
            }
        }
        log.close().unwrap();
        seen.extend(drain(&mut follower));
        prop_assert_eq!(follower.is_closed(), is_closed || has_written);
        let expected: Vec<_> = (0..published).map(|n| bits(&row(n))).collect();
        prop_assert_eq!(seen, expected);
    }
}

/// Whether a follower that has seen everything reports that the session has ended.
fn drain_is_closed(memory: &MemoryFs) -> bool {
    let mut follower = follow(memory);
    assert!(!follower.is_closed(), "nothing has been read yet");
    drain(&mut follower);
    follower.is_closed()
}

#[test]
fn a_file_is_open_only_while_there_are_rows_to_read_in_it() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default().twin_bytes_min(0));
    let mut follower = follow(&memory);
    for n in 0..60 {
        log.append(&row(n), Instant::now());
        log.flush().unwrap();
        assert_eq!(drain(&mut follower).len(), 1);
    }
    // Only the second version is a copy: it becomes the twin of the first.
    let copies = qstore_buffer::Sink::<Row>::stats(&log).full_copies;
    assert_eq!(copies, 1, "a follower that has caught up makes the writer copy the file");
}

#[test]
fn columns_that_are_added_late_are_yielded_from_then_on() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    let mut follower = follow(&memory).columns(["late", "n"]);
    for n in 0..2_i64 {
        let mut row = Row::from([("n", n)]);
        if n == 1 {
            row.set("late", 0.5);
        }
        log.append(&row, Instant::now());
        log.flush().unwrap();
        let table = follower.poll().unwrap().unwrap();
        assert_eq!(table.column("n"), Some(&Values::Int(vec![Some(n)])));
        let late = (n == 1).then(|| Values::Float(vec![Some(0.5)]));
        assert_eq!(table.column("late"), late.as_ref());
        assert!(follower.poll().unwrap().is_none());
    }
}

#[test]
fn another_file_under_the_same_path_is_reported_and_not_taken_for_new_rows() {
    let memory = MemoryFs::new();
    write(&memory, WriterSettings::default().run_id("first"), 0, 20, true);
    let mut follower = follow(&memory);
    let mut file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
    assert_eq!(drain(&mut follower).len(), 20);
    for rows in [10, 40] {
        memory.remove_file(Path::new(PATH)).unwrap();
        assert!(matches!(follower.poll(), Err(ReadError::Storage(_))), "it is gone");
        write(&memory, WriterSettings::default().run_id("second"), 0, rows, true);
        assert!(matches!(follower.poll(), Err(ReadError::Replaced { .. })), "{rows} rows");
        assert!(matches!(file.refresh(), Err(ReadError::Replaced { .. })), "{rows} rows");
        assert_eq!(file.read(&["n"], 0..100).unwrap().rows, 20, "the old version stays open");
    }
}

#[test]
fn rows_that_are_damaged_are_reported_each_time_and_can_be_skipped() {
    let memory = MemoryFs::new();
    let settings = WriterSettings::default().row_group_rows_max(10);
    write(&memory, settings, 0, 30, true);
    let mut bytes = read_all(&memory, Path::new(PATH)).unwrap();
    bytes[40] ^= 1;
    let memory = MemoryFs::new();
    put(&memory, &bytes);
    let mut follower = follow(&memory);
    for _ in 0..2 {
        assert!(matches!(follower.poll(), Err(ReadError::Damaged { .. })));
        assert!(!follower.is_closed());
    }
    let mut follower = follower.since(10);
    let rows = drain(&mut follower);
    assert_eq!(rows, (10..30).map(|n| bits(&row(n))).collect::<Vec<_>>());
    assert!(follower.is_closed());
}

#[test]
fn a_refresh_reports_new_rows_and_the_end_of_a_session() {
    let memory = MemoryFs::new();
    let mut log =
        MetricsLog::<Row>::open_in(Arc::new(memory.clone()), PATH, WriterSettings::default())
            .unwrap();
    log.append(&row(0), Instant::now());
    log.flush().unwrap();
    let mut file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
    assert!(!file.is_closed());
    assert_eq!(file.refresh().unwrap(), None);
    log.append(&row(1), Instant::now());
    log.close().unwrap();
    assert_eq!(file.refresh().unwrap(), Some(1..2));
    assert!(file.is_closed());
    assert_eq!(file.refresh().unwrap(), None);
}
