//! The metrics file on a failing file system: at every operation, once or permanently.

use qstore::buffer::Sink;
use qstore::parquet::{MetricsLog, OpenError, Publishing};
use qstore::schema::Row;
use qstore::storage::{FileSystem, MemoryFs, read_all};
use qstore::{AsyncBuffer, AsyncMetricsWriter, MetricsFile, WriterSettings};
use qstore_storage::testing::{CrashFs, Failure, Fault, FaultFs, cuts};
use qstore_tests::metrics_run;
use qstore_tests::promises::Promises;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const PATH: &str = "/metrics.parquet";
const PATIENCE: Duration = Duration::from_secs(60);

/// The settings for every way to write a file.
fn ways() -> [WriterSettings; 4] {
    metrics_run::ways().map(|(_, settings)| settings)
}

/// Checks that row number `n` holds `n`.
fn check_values(storage: &dyn FileSystem, rows: i64) {
    let bytes = read_all(storage, Path::new(PATH)).unwrap();
    let found = qstore_tests::parquet::integers(&bytes, "n");
    assert_eq!(found, (0..rows).collect::<Vec<_>>());
}

/// Checks that what is left has at least these rows and is valid.
fn check(left: MemoryFs, acknowledged: i64, what: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        metrics_run::check(Path::new("/"), &(Arc::new(left) as Arc<dyn FileSystem>), acknowledged);
    }));
    assert!(outcome.is_ok(), "{what}");
}

fn operations_of_the_run(settings: &WriterSettings) -> usize {
    let (memory, told) = (Arc::new(MemoryFs::new()), Promises::default());
    let storage = FaultFs::new(memory, Fault::Never, ErrorKind::Other);
    metrics_run::run(Path::new("/"), &storage.shared(), settings, &told);
    assert_eq!((told.flushed(), told.synced()), (metrics_run::ROWS, metrics_run::ROWS));
    storage.operations()
}

/// Runs on a file system with that fault. Returns what is left and what was promised.
fn run(fault: Fault, kind: ErrorKind, settings: &WriterSettings) -> (MemoryFs, Promises) {
    let (memory, told) = (MemoryFs::new(), Promises::default());
    let storage = FaultFs::new(Arc::new(memory.clone()), fault, kind);
    metrics_run::run(Path::new("/"), &storage.shared(), settings, &told);
    (memory, told)
}

/// `cargo xtask torture` tries many more cuts, and every kind of failure.
#[test]
fn a_power_cut_at_any_operation_loses_no_acknowledged_row() {
    let mut states = 0;
    for settings in ways() {
        for at in 0..=operations_of_the_run(&settings) {
            let (memory, told) = run(Fault::From(at), ErrorKind::Other, &settings);
            let all = [
                (memory.power_cut(), told.synced(), "power cut"),
                (memory.power_cut_torn(), told.synced(), "power cut with torn bytes"),
                (memory.power_cut_after_names(), told.synced(), "power cut after the names"),
                (memory.process_kill(), told.flushed(), "kill"),
            ];
            for (left, acknowledged, what) in all {
                check(left, acknowledged, &format!("{what} at {at}"));
                states += 1;
            }
        }
    }
    println!("{states} cases");
}

#[test]
fn a_single_failure_at_any_operation_loses_no_row() {
    let kinds = [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::Other];
    let mut cases = 0;
    for settings in ways() {
        for at in 0..operations_of_the_run(&settings) {
            for kind in kinds {
                let (memory, told) = run(Fault::Once(at), kind, &settings);
                check(memory.process_kill(), told.flushed(), &format!("{kind} at {at}"));
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}

/// Forgetting a failed sync changes nothing that a reader sees, and the next version makes up for it; only a power
/// cut right after the acknowledgement reveals it. Every other test here passes with a mutant that forgets it.
#[test]
fn what_is_acknowledged_after_a_failure_survives_an_immediate_power_cut() {
    let mut checks = 0;
    let [twin, _, copies, _] = ways();
    for settings in [twin, copies] {
        for at in 0..operations_of_the_run(&settings) / 2 {
            let memory = MemoryFs::new();
            let storage = FaultFs::new(Arc::new(memory.clone()), Fault::Once(at), ErrorKind::Other);
            let storage: Arc<dyn FileSystem> = Arc::new(storage);
            let Ok(mut log) = MetricsLog::<Row>::open_in(storage, PATH, settings.clone()) else {
                continue;
            };
            for n in 0..20_i64 {
                log.append(&Row::from([("n", n)]), Instant::now());
                if log.flush().is_ok() {
                    let file = MetricsFile::open_in(Arc::new(memory.power_cut()), PATH);
                    let rows = file.map_or(0, |file| file.rows());
                    assert!(rows > n as u64, "failure at {at}: {rows} of {} rows", n + 1);
                    checks += 1;
                }
            }
        }
    }
    println!("{checks} power cuts");
}

/// Several operations in a row fail, so that an unfinished file cannot be removed either. Regression: a file left
/// under the hidden name blocks the writer permanently.
#[test]
fn a_burst_of_failures_at_any_operation_loses_no_row() {
    let mut cases = 0;
    for settings in ways() {
        let operations = operations_of_the_run(&settings);
        for at in 0..operations {
            for length in [2, 3, 5] {
                let fault = Fault::Burst { at, length };
                let (memory, told) = run(fault, ErrorKind::StorageFull, &settings);
                let what = format!("burst of {length} at {at}");
                check(memory.process_kill(), told.flushed(), &what);
                // A flush after the burst makes up for everything.
                if at + length + 40 < operations {
                    assert_eq!(told.flushed(), told.begun(), "{what}: no recovery");
                }
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}

/// Regression: a file whose footer cannot be read at the moment is taken for a damaged one and set aside, and the
/// run continues from an older version. The rows since then are only in the file that was set aside.
#[test]
fn a_file_that_cannot_be_read_at_the_moment_is_not_taken_for_a_damaged_one() {
    let [settings, ..] = ways();
    let (memory, told) = (MemoryFs::new(), Promises::default());
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    metrics_run::run(Path::new("/"), &storage, &settings, &told);
    let before = read_all(&memory, &metrics_run::file(Path::new("/"))).unwrap();
    for at in 0.. {
        let inner = Arc::new(memory.process_kill());
        let failing = FaultFs::failing_any(inner.clone(), Fault::Once(at), Failure::Io);
        let log = MetricsLog::<Row>::open_in(failing.shared(), PATH, settings.clone());
        match &log {
            Ok(log) => assert_eq!(log.stats().recovery, None, "operation {at}"),
            Err(error) => assert!(matches!(error, OpenError::Storage(_)), "{at}: {error}"),
        }
        drop(log);
        assert_eq!(inner.list(Path::new("/")).unwrap().len(), 1, "set aside at {at}");
        let file = metrics_run::file(Path::new("/"));
        assert!(read_all(&*inner, &file).unwrap() == before, "operation {at}");
        if !failing.has_struck() {
            assert!(at > 5);
            break;
        }
    }
}

/// A file that a reader still has open is never overwritten: the writer waits as long as a copy would take, and then
/// makes a copy.
#[test]
fn a_reader_with_an_open_file_keeps_its_version() {
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let [settings, ..] = ways();
    let mut log = MetricsLog::<Row>::open_in(storage, PATH, settings).unwrap();
    let mut held = Vec::new();
    for n in 0..60_i64 {
        log.append(&Row::from([("n", n)]), Instant::now());
        log.flush().unwrap();
        assert_eq!(log.stats().publishing, Publishing::Twin);
        let file = memory.open(Path::new(PATH)).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        // Every other version is kept open until the end, in pairs and alone.
        if n % 3 > 0 {
            held.push((file, bytes));
        }
        for (file, bytes) in &held {
            let mut now = vec![0; file.len().unwrap() as usize];
            file.read_at(0, &mut now).unwrap();
            assert!(now == *bytes, "version {n} changed an older one that is open");
        }
    }
    log.close().unwrap();
    check_values(&memory, 60);
}

/// Another program writes to the retired file, links it, or removes it: it is not reused.
#[test]
fn a_retired_file_that_was_touched_is_not_reused() {
    let hidden = Path::new("/.metrics.parquet.twin");
    for what in ["written", "linked", "removed", "replaced"] {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let [settings, ..] = ways();
        let mut log = MetricsLog::<Row>::open_in(storage, PATH, settings).unwrap();
        for n in 0..30_i64 {
            log.append(&Row::from([("n", n)]), Instant::now());
            log.flush().unwrap();
            if n % 5 != 4 {
                continue;
            }
            match what {
                "written" => {
                    let file = memory.open_writable(hidden).unwrap();
                    file.write_at(8, &[0; 20]).unwrap();
                }
                "linked" => memory.link(hidden, Path::new(&format!("/link{n}"))).unwrap(),
                "removed" => memory.remove_file(hidden).unwrap(),
                _ => {
                    memory.remove_file(hidden).unwrap();
                    memory.create_new(hidden).unwrap().write_at(0, b"nonsense").unwrap();
                }
            }
            check_values(&memory, n + 1);
        }
        log.close().unwrap();
        check_values(&memory, 30);
        if what == "linked" {
            let linked = read_all(&memory, Path::new("/link9")).unwrap();
            let found = qstore_tests::parquet::integers(&linked, "n");
            assert_eq!(found, (0..9).collect::<Vec<_>>(), "the link keeps the ninth version");
        }
    }
}

/// The public file is removed or replaced during a run: the next flush restores it.
#[test]
fn a_public_file_that_was_removed_is_restored() {
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    for settings in ways() {
        let mut log = MetricsLog::<Row>::open_in(Arc::clone(&storage), PATH, settings).unwrap();
        for n in 0..20_i64 {
            log.append(&Row::from([("n", n)]), Instant::now());
            log.flush().unwrap();
            check_values(&memory, n + 1);
            if n % 4 == 3 {
                memory.remove_file(Path::new(PATH)).unwrap();
                if n % 8 == 7 {
                    memory.create_new(Path::new(PATH)).unwrap().write_at(0, b"other").unwrap();
                }
            }
        }
        log.close().unwrap();
        check_values(&memory, 20);
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
        drop(log);
        memory.remove_file(Path::new(PATH)).unwrap();
    }
}

/// The disk is full for a while: the rows wait, the error is visible, and then all rows are written.
#[test]
fn a_disk_that_is_full_for_a_while_loses_no_row() {
    let memory = MemoryFs::new();
    let inner: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let mut failed = 0;
    for at in 6..30 {
        let storage = FaultFs::new(Arc::clone(&inner), Fault::Once(at), ErrorKind::StorageFull);
        let buffer = AsyncBuffer::new(1_000).unwrap();
        let settings = WriterSettings::default().flush_interval(10);
        let path = format!("/{at}.parquet");
        let mut writer =
            AsyncMetricsWriter::start_in(Arc::new(storage), buffer.clone(), &path, settings)
                .unwrap();
        for n in 0..100_i64 {
            buffer.push(Row::from([("n", n)])).unwrap();
            if n % 10 == 9 && writer.flush(PATIENCE).is_err() {
                let error = writer.health().check().unwrap_err().to_string();
                assert!(error.contains("free some space"), "{error}");
            }
        }
        let summary = writer.stop(PATIENCE).unwrap();
        assert_eq!(summary.rows_written, 100);
        failed += summary.errors;
        assert_eq!(
            writer.health().first_error.is_some(),
            summary.errors > 0,
            "the error stays visible"
        );
        let bytes = read_all(&memory, Path::new(&path)).unwrap();
        assert_eq!(qstore_tests::parquet::integers(&bytes, "n"), (0..100).collect::<Vec<_>>());
    }
    assert!(failed > 15, "{failed} of 24 faults hit a publication");
}

/// Something of a damaged file may still be recovered by hand, so it keeps a name whatever happens while it is set
/// aside. Every other test passes with a mutant that does not sync its second name before removing the first one.
#[test]
fn a_damaged_file_survives_a_power_cut_while_it_is_set_aside() {
    let memory = MemoryFs::new();
    let open = |storage| MetricsLog::<Row>::open_in(storage, PATH, WriterSettings::default());
    let mut log = open(Arc::new(memory.clone())).unwrap();
    log.append(&Row::from([("n", 1)]), Instant::now());
    log.close().unwrap();
    drop(log);
    let file = memory.open(Path::new(PATH)).unwrap();
    file.write_at(file.len().unwrap(), b"appended by mistake").unwrap();
    file.sync().unwrap();
    let damaged = read_all(&memory, Path::new(PATH)).unwrap();

    let states = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&states);
    let storage = CrashFs::new(&memory, move |moment| {
        for cut in cuts(7, moment.number, 8) {
            let left = moment.memory.power_cut_by(cut);
            let is_damaged = |name| {
                let bytes = read_all(&left, &Path::new("/").join(name));
                bytes.is_ok_and(|bytes| bytes == damaged)
            };
            let names = left.list(Path::new("/")).unwrap();
            assert!(names.iter().any(|entry| is_damaged(&entry.name)), "{moment}, {cut}");
            seen.fetch_add(1, SeqCst);
        }
    });
    let log = open(storage.shared()).unwrap();
    assert!(log.stats().recovery.is_some());
    assert!(states.load(SeqCst) > 50);
    println!("{} cases", states.load(SeqCst));
}
