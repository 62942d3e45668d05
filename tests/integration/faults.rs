//! The metrics file when the storage fails: at every operation, once, or for good.

use qstore::buffer::Sink;
use qstore::parquet::MetricsLog;
use qstore::schema::Row;
use qstore::storage::{MemoryStorage, Storage};
use qstore::{AsyncBuffer, AsyncMetricsWriter, WriterSettings};
use qstore_tests::fault::{Fault, FaultStorage};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATH: &str = "/metrics.parquet";
const PATIENCE: Duration = Duration::from_secs(60);

/// A run with merges, a sealed group, a new column and a reopening. Returns how many rows were
/// acknowledged, by a flush or a close that said `Ok`, and how many were appended.
fn scenario(storage: &Arc<dyn Storage>) -> (i64, i64) {
    let mut acknowledged = 0;
    let mut next = 0_i64;
    for session in 0..2 {
        let settings = WriterSettings::default().row_group_rows_max(40);
        let Ok(mut log) = MetricsLog::<Row>::open_in(Arc::clone(storage), PATH, settings) else {
            return (acknowledged, next);
        };
        // A session goes on after what the one before left behind.
        next = log.stats().file_rows as i64;
        for flush in 0..10 {
            for _ in 0..6 {
                if log.capacity() == 0 && log.flush().is_ok() {
                    acknowledged = next;
                }
                if log.capacity() > 0 {
                    let mut row = Row::from([("n", next)]);
                    if session == 1 && flush > 4 {
                        row.set("late", next as f64);
                    }
                    log.append(&row, Instant::now());
                    next += 1;
                }
            }
            if log.flush().is_ok() {
                acknowledged = next;
            }
        }
        // As a drain does while it has time.
        if (0..8).any(|_| log.close().is_ok()) {
            acknowledged = next;
        }
    }
    assert!(next >= acknowledged);
    (acknowledged, next)
}

/// Opens what is left, which must work, and returns how many rows it has.
fn rows_after(left: MemoryStorage) -> i64 {
    let storage: Arc<dyn Storage> = Arc::new(left);
    let log = MetricsLog::<Row>::open_in(Arc::clone(&storage), PATH, WriterSettings::default());
    let mut log = log.expect("whatever is left can be opened");
    let rows = log.stats().file_rows as i64;
    log.append(&Row::from([("n", rows)]), Instant::now());
    log.close().expect("and written to at once");
    drop(log);
    check_values(&*storage, rows + 1);
    let names: Vec<_> = storage.list(Path::new("/")).unwrap();
    assert_eq!(names.len(), 1, "nothing is left over: {names:?}");
    rows
}

/// Row number n holds n.
fn check_values(storage: &dyn Storage, rows: i64) {
    let bytes = qstore::storage::read_all(storage, Path::new(PATH)).unwrap();
    let found = qstore_tests::parquet::integers(&bytes, "n");
    assert_eq!(found, (0..rows).collect::<Vec<_>>());
}

fn operations_of_the_scenario() -> usize {
    let storage = FaultStorage::new(Arc::new(MemoryStorage::new()), Fault::Never, ErrorKind::Other);
    let rows = scenario(&(Arc::new(storage.clone()) as Arc<dyn Storage>));
    assert_eq!(rows, (120, 120));
    storage.operations()
}

#[test]
fn a_power_cut_at_any_operation_takes_no_acknowledged_row() {
    let operations = operations_of_the_scenario();
    for at in 0..=operations {
        let memory = MemoryStorage::new();
        let inner: Arc<dyn Storage> = Arc::new(memory.clone());
        let storage: Arc<dyn Storage> =
            Arc::new(FaultStorage::new(inner, Fault::From(at), ErrorKind::Other));
        let (acknowledged, _) = scenario(&storage);
        let all = [
            (memory.power_cut(), "power cut"),
            (memory.power_cut_after_names(), "power cut after the names"),
            (memory.process_kill(), "kill"),
        ];
        for (left, what) in all {
            let rows = rows_after(left);
            assert!(rows >= acknowledged, "{what} at {at}: {rows} of {acknowledged} rows");
        }
    }
    println!("{} states", 3 * (operations + 1));
}

#[test]
fn a_single_failure_at_any_operation_loses_no_row() {
    let operations = operations_of_the_scenario();
    let kinds = [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::Other];
    for at in 0..operations {
        for kind in kinds {
            let memory = MemoryStorage::new();
            let inner: Arc<dyn Storage> = Arc::new(memory.clone());
            let storage: Arc<dyn Storage> =
                Arc::new(FaultStorage::new(inner, Fault::Once(at), kind));
            let (acknowledged, _) = scenario(&storage);
            let rows = rows_after(memory.process_kill());
            assert!(rows >= acknowledged, "{kind} at {at}: {rows} of {acknowledged} rows");
        }
    }
    println!("{} cases", operations * kinds.len());
}

/// Several operations in a row fail, so that what was begun cannot be cleared away either: a file left
/// under the temporary name once blocked the writer for good.
#[test]
fn a_burst_of_failures_at_any_operation_loses_no_row() {
    let operations = operations_of_the_scenario();
    for at in 0..operations {
        for length in [2, 3, 5] {
            let memory = MemoryStorage::new();
            let inner: Arc<dyn Storage> = Arc::new(memory.clone());
            let fault = Fault::Burst { at, length };
            let storage: Arc<dyn Storage> =
                Arc::new(FaultStorage::new(inner, fault, ErrorKind::StorageFull));
            let (acknowledged, appended) = scenario(&storage);
            let rows = rows_after(memory.process_kill());
            assert!(rows >= acknowledged, "burst at {at}: {rows} of {acknowledged} rows");
            // Where there is a flush left after the burst, it makes up for everything.
            if at + length + 40 < operations {
                assert_eq!(acknowledged, appended, "burst of {length} at {at}: no recovery");
            }
        }
    }
    println!("{} cases", operations * 3);
}

/// The disk is full for a while: the rows wait, the error is visible, and then all are written.
#[test]
fn a_disk_that_is_full_for_a_while_costs_no_row() {
    let memory = MemoryStorage::new();
    let inner: Arc<dyn Storage> = Arc::new(memory.clone());
    let mut failed = 0;
    for at in 6..30 {
        let storage =
            FaultStorage::new(Arc::clone(&inner), Fault::Once(at), ErrorKind::StorageFull);
        let buffer = AsyncBuffer::new(1_000).unwrap();
        let settings = WriterSettings::default().flush_interval(10);
        let path = format!("/{at}.parquet");
        let mut writer =
            AsyncMetricsWriter::start_in(Arc::new(storage), buffer.clone(), &path, settings)
                .unwrap();
        for n in 0..100_i64 {
            buffer.push(Row::from([("n", n)])).unwrap();
            if n % 10 == 9 && writer.flush(PATIENCE).is_err() {
                let error = writer.health().unwrap_err().to_string();
                assert!(error.contains("free some space"), "{error}");
            }
        }
        let summary = writer.stop(PATIENCE).unwrap();
        assert_eq!(summary.rows_written, 100);
        failed += summary.errors;
        assert_eq!(writer.health().is_err(), summary.errors > 0, "the error stays visible");
        let bytes = qstore::storage::read_all(&memory, Path::new(&path)).unwrap();
        assert_eq!(qstore_tests::parquet::integers(&bytes, "n"), (0..100).collect::<Vec<_>>());
    }
    assert!(failed > 15, "{failed} of 24 faults hit a publication");
}
