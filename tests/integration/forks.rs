//! A forked child, as `os.fork`, `multiprocessing` and data loaders make them: what it inherited belongs to its
//! parent. Every call says so without waiting, it changes nothing on the disk, and what it opens itself works. The
//! parent goes on, and its files have exactly its rows.
//!
//! After a fork by the system call alone a child can be sure of little: the allocator and the thread library were
//! not prepared for it. So it only asks what it inherited, beside a parent whose threads rest.

use qstore::buffer::{Progress, Sink};
use qstore::parquet::{Audit, DatasetSettings, Error, MetricsLog, Publishing, RankLog, WriteError};
use qstore::schema::{DataType, Name, Row};
use qstore::storage::{FileSystem, LocalFs, Operation};
use qstore::{
    AsyncBuffer, AsyncMetricsLogger, AsyncMetricsWriter, CheckpointManager, CheckpointSettings,
    Checkpoints, DrainError, Layout, LogError, LoggerSettings, MetricsFile, MetricsRow, Outcome,
    Overflow, ParquetMetricsLogger, SaveError, SaveTicket, Snapshot, StateDict, Tensor,
    WriterSettings,
};
use qstore_os::testing::{Fork, in_child};
use qstore_storage::testing::{Gate, Step, Verdict, WatchedFs, Watcher};
use qstore_tests::parquet;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_mins(1);

/// Nothing is flushed unless a test asks for it, and every file has a twin.
fn quiet() -> WriterSettings {
    WriterSettings::default().flush_interval(1_000_000).flush_after(LONG).twin_bytes_min(0)
}

fn steps(path: &Path) -> Vec<i64> {
    parquet::integers(&fs::read(path).unwrap(), "step")
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Everything that a child can ask of a logger, ending with the drop.
fn use_as_a_child(mut logger: ParquetMetricsLogger) {
    let handle = logger.handle();
    assert_eq!(logger.log_step((0, -7, 0.5)), Err(LogError::Forked));
    assert_eq!(logger.log_epoch(0, [("loss", 0.5)], [("loss", 0.5)]), Err(LogError::Forked));
    assert_eq!(handle.log_step((0, -7, 0.5)), Err(LogError::Forked));
    assert!(matches!(logger.flush(LONG), Err(DrainError::Forked)));
    assert!(
        matches!(logger.health().first_error, Some(DrainError::Forked)) && !logger.is_healthy()
    );
    let stats = logger.stats();
    assert_eq!((stats.buffer.refused, stats.writer.rows_written), (3, 0));
    assert!(stats.first_error.is_some_and(|error| error.contains("forked")));
    assert!(matches!(logger.stop(LONG), Err(DrainError::Forked)));
    drop((logger, handle));
}

#[test]
fn a_child_of_a_run_gets_errors_and_its_own_logger_works_while_the_parents_file_has_its_rows() {
    let policies = [Overflow::DropNewest, Overflow::DropOldest, Overflow::BlockFor(LONG)];
    let mut cases = 0;
    for (fork, overflow) in Fork::ALL.into_iter().flat_map(|fork| policies.map(|o| (fork, o))) {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path();
        let (path, other) = (dir.join("metrics.parquet"), dir.join("child.parquet"));
        let settings = LoggerSettings::default().overflow(overflow);
        let logger = AsyncMetricsLogger::open_with(&path, settings, quiet()).unwrap();
        for step in 0..3 {
            logger.log_step((0, step, 0.5)).unwrap();
            logger.flush(LONG).unwrap();
        }
        let before = names(dir);
        // Some file systems have no twin, as overlayfs.
        let has_twin = logger.stats().writer.publishing == Publishing::Twin;
        assert_eq!(before.len(), 2 + usize::from(has_twin), "a lock, a twin: {before:?}");
        let mut logger = Some(logger);
        in_child(fork, || {
            use_as_a_child(logger.take().unwrap());
            assert_eq!(names(dir), before, "the child has removed something");
            let taken = AsyncMetricsLogger::open(&path).map(drop);
            assert!(taken.is_err_and(|error| error.to_string().contains("open in another writer")));

            if fork == Fork::SystemCall {
                return;
            }
            let mut own = AsyncMetricsLogger::open(&other).unwrap();
            own.log_step(MetricsRow::step(0, 100, 0.5).with("made_in_a_child", 1.0)).unwrap();
            assert_eq!(own.stop(LONG).unwrap().writer.rows_written, 1);
        })
        .unwrap();
        if fork == Fork::Library {
            assert_eq!(names(dir).difference(&before).count(), 1);
            assert_eq!(steps(&other), [100]);
        }

        let mut logger = logger.unwrap();
        logger.log_step((0, 3, 0.5)).unwrap();
        assert!(logger.health().is_ok());
        let summary = logger.stop(LONG).unwrap();
        assert_eq!((summary.buffer.refused, summary.errors), (0, 0));
        assert_eq!(steps(&path), [0, 1, 2, 3]);
        assert!(AsyncMetricsLogger::open(&path).is_ok(), "the lock was released at the stop");
        cases += 1;
    }
    println!("{cases} cases");
}

#[test]
fn forks_while_rows_are_logged_and_flushed_leave_the_parents_file_as_without_them() {
    const THREADS: usize = 2;
    const FORKS: usize = 60;
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("metrics.parquet");
    // A flush is under way nearly all the time.
    let writer = WriterSettings::default()
        .flush_interval(1)
        .publish_pause_min(Duration::from_millis(1))
        .twin_bytes_min(0);
    let settings = LoggerSettings::default().overflow(Overflow::BlockFor(LONG));
    let mut logger = Some(AsyncMetricsLogger::open_with(&path, settings, writer).unwrap());
    let (next, is_over) = (AtomicI64::new(0), std::sync::atomic::AtomicBool::new(false));
    let handle = logger.as_ref().unwrap().handle();
    let mut failure = None;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    let step = next.fetch_add(1, SeqCst);
                    let row = MetricsRow::step(0, step, 0.5);
                    handle.log_step(row.with(Name::new(&format!("m{}", step % 4)), 1.0)).unwrap();
                    thread::yield_now();
                }
            });
        }
        // An error is looked at when the other threads have ended.
        failure = (0..FORKS).find_map(|number| {
            in_child(Fork::Library, || {
                use_as_a_child(logger.take().unwrap());
                let own = tmp.path().join(format!("child_{number}.parquet"));
                let mut own = AsyncMetricsLogger::open(own).unwrap();
                let name = Name::new(&format!("new_in_{number}"));
                own.log_step(MetricsRow::step(0, 1, 0.5).with(name, 1.0)).unwrap();
                assert_eq!(own.stop(LONG).unwrap().writer.rows_written, 1);
            })
            .err()
        });
        is_over.store(true, SeqCst);
    });
    assert_eq!(failure, None);
    let summary = logger.unwrap().stop(LONG).unwrap();
    assert_eq!((summary.errors, summary.buffer.refused, summary.buffer.dropped), (0, 0, 0));
    let mut found = steps(&path);
    found.sort_unstable();
    assert!(
        found.into_iter().eq(0..next.into_inner()),
        "the file has exactly the rows of the parent"
    );
    println!("{FORKS} cases");
}

#[test]
fn a_writer_and_a_grandchild_and_a_child_that_ends_by_exit_leave_everything_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("metrics.parquet");
    let buffer = AsyncBuffer::new(100).unwrap();
    let row = |step: i64| Row::from([("step", step)]);
    let writer = AsyncMetricsWriter::start(buffer.clone(), &path, quiet()).unwrap();
    for step in 0..3 {
        writer.log(row(step)).unwrap();
        writer.flush(LONG).unwrap();
    }
    let mut writer = Some(writer);
    in_child(Fork::Library, || {
        in_child(Fork::Library, || {
            let mut writer = writer.take().unwrap();
            assert!(matches!(writer.log(row(-1)), Err(Error::Forked)));
            assert!(matches!(writer.flush(LONG), Err(Error::Forked)));
            assert!(
                matches!(writer.health().first_error, Some(Error::Forked)) && !writer.is_healthy()
            );
            assert!(matches!(writer.stop(LONG), Err(Error::Forked)));
            let again = AsyncMetricsWriter::start(
                writer.buffer().clone(),
                tmp.path().join("again.parquet"),
                quiet(),
            );
            assert!(matches!(again, Err(Error::Forked)), "the buffer is the parent's");
        })
        .unwrap();
        drop(writer.take());
    })
    .unwrap();
    let ended = in_child(Fork::Library, || std::process::exit(0));
    assert!(ended.is_err(), "it ended before its closure did, and by itself");
    let mut writer = writer.unwrap();
    writer.log(row(3)).unwrap();
    assert_eq!(writer.stop(LONG).unwrap().rows_written, 4);
    assert_eq!(steps(&path), [0, 1, 2, 3]);
}

/// Used on the caller's own thread, without a drain.
#[test]
fn a_log_without_a_thread_is_the_parents_too() {
    for fork in Fork::ALL {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("metrics.parquet");
        let mut log = MetricsLog::<Row>::open(&path, quiet()).unwrap();
        let row = |step: i64| Row::from([("step", step)]);
        for step in 0..3 {
            log.append(&row(step), Instant::now());
            log.flush().unwrap();
        }
        log.append(&row(3), Instant::now());
        let before = names(tmp.path());
        // The work of a flush, which a child may hold as well.
        let Progress::Work(work) = Sink::flush(&mut log).unwrap() else { panic!("a row waits") };
        let (mut log, mut work) = (Some(log), Some(work));
        in_child(fork, || {
            let mut log = log.take().unwrap();
            let work = work.take().unwrap();
            assert!(matches!(work(), Err(WriteError::Forked { .. })));
            log.append(&row(-1), Instant::now());
            let told = log.flush().unwrap_err();
            assert!(matches!(&told, WriteError::Forked { path: of } if *of == path), "{told}");
            assert!(matches!(log.close(), Err(WriteError::Forked { .. })));
            drop(log);
            assert_eq!(names(tmp.path()), before, "the child has removed something");
        })
        .unwrap();
        work.unwrap()().unwrap();
        let mut log = log.unwrap();
        log.flush().unwrap();
        log.close().unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 3], "{fork:?}");
    }
}

#[test]
fn a_rank_of_the_parent_is_not_continued_in_a_child_which_has_a_rank_of_its_own() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("metrics");
    let row = |step: i64| Row::from([("step", step)]);
    let parts = |bytes| {
        let settings = DatasetSettings::default().part_bytes_max(bytes).writer(|_| quiet());
        settings.column("step", DataType::Int64)
    };
    // Every flush makes the part large enough for the next one.
    let mut log = Some(RankLog::<Row>::open(&dir, 0, parts(1)).unwrap());
    log.as_mut().unwrap().append(&row(0), Instant::now());
    let before = names(&dir.join("rank=0"));
    in_child(Fork::Library, || {
        let mut log = log.take().unwrap();
        assert!(matches!(log.flush(), Err(WriteError::Forked { .. })));
        assert!(matches!(log.close(), Err(WriteError::Forked { .. })));
        drop(log);
        assert_eq!(names(&dir.join("rank=0")), before);
        let mut own = RankLog::<Row>::open(&dir, 1, parts(1 << 20)).unwrap();
        own.append(&row(10), Instant::now());
        own.close().unwrap();
    })
    .unwrap();
    let mut log = log.unwrap();
    log.flush().unwrap();
    log.close().unwrap();
    assert_eq!(steps(&dir.join("rank=0/part-00000.parquet")), [0]);
    assert_eq!(steps(&dir.join("rank=1/part-00000.parquet")), [10]);
}

/// Regression: the standard library's random numbers are the same in all children of a process.
#[test]
fn children_of_one_process_have_different_run_ids() {
    let tmp = tempfile::tempdir().unwrap();
    let own = MetricsLog::<Row>::open(tmp.path().join("parent.parquet"), quiet()).unwrap();
    drop(own);
    let paths: Vec<_> = (0..4).map(|n| tmp.path().join(format!("{n}.parquet"))).collect();
    for path in &paths {
        in_child(Fork::Library, || {
            let mut log = MetricsLog::<Row>::open(path, quiet()).unwrap();
            log.append(&Row::from([("step", 1_i64)]), Instant::now());
            log.close().unwrap();
        })
        .unwrap();
    }
    let id = |path| {
        let audit: Audit = MetricsFile::open(path).unwrap().audit().unwrap().clone();
        audit.segments[0].run_id.clone()
    };
    let ids: BTreeSet<_> = paths.iter().map(id).collect();
    assert_eq!(ids.len(), paths.len());
}

/// Holds every rename, which is how a checkpoint gets its name.
#[derive(Debug, Default)]
struct HoldsNames(Gate);

impl Watcher for HoldsNames {
    fn before(&self, step: &Step<'_>) -> Verdict {
        if matches!(step.operation, Operation::Rename | Operation::Link) {
            self.0.pass();
        }
        Verdict::Proceed
    }
}

fn model(number: u64) -> StateDict {
    let values: Vec<f32> = (0..50_000).map(|i| (number * 7 + i) as f32).collect();
    StateDict::from_iter([("w", Tensor::from_vec(values, [50_000]).unwrap())])
}

fn snapshot(number: u64) -> Snapshot {
    Snapshot::new(number).model(model(number))
}

fn all_below(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.insert(path.display().to_string());
    }
    found
}

/// Everything that a child can ask of a manager, ending with the drop.
fn use_manager_as_a_child(mut manager: CheckpointManager, ticket: SaveTicket) {
    assert!(matches!(manager.save(snapshot(9)), Err(SaveError::Forked)));
    assert!(matches!(manager.health().first_error, Some(SaveError::Forked)));
    assert!(matches!(ticket.wait(LONG), Err(SaveError::Forked)) && ticket.is_done());
    assert_eq!(manager.pending(), 0, "a loop that waits for the saves ends");
    assert!(!format!("{manager:?} {ticket:?}").is_empty());
    assert!(matches!(manager.close(LONG), Err(SaveError::Forked)));
    drop((manager, ticket));
}

#[test]
fn a_child_during_a_save_leaves_it_alone_reads_pins_and_saves_with_a_manager_of_its_own() {
    let mut cases = 0;
    for (fork, layout) in
        Fork::ALL.into_iter().flat_map(|f| [(f, Layout::SingleFile), (f, Layout::Directory)])
    {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("checkpoints");
        let settings = CheckpointSettings::default().layout(layout).keep_last(0).workers(2);
        let first = CheckpointManager::open(&dir, settings.clone()).unwrap();
        first.save(snapshot(1)).unwrap().wait(LONG).unwrap();
        drop(first);

        let watched = WatchedFs::over(Arc::new(LocalFs::new()), HoldsNames::default());
        let manager = CheckpointManager::open_in(watched.shared(), &dir, settings.clone()).unwrap();
        let ticket = manager.save(snapshot(2)).unwrap();
        watched.watcher().0.wait_for_somebody(); // written, and about to get its name
        let waiting = manager.save(snapshot(3)).unwrap();
        let before = all_below(&dir);
        let (mut manager, mut ticket) = (Some(manager), Some(ticket));
        in_child(fork, || {
            use_manager_as_a_child(manager.take().unwrap(), ticket.take().unwrap());
            assert_eq!(all_below(&dir), before, "the child has removed something");
            if fork == Fork::SystemCall {
                return;
            }
            let checkpoints = Checkpoints::open(&dir).unwrap();
            assert_eq!(checkpoints.load(1).unwrap().model(), Some(&model(1)));
        })
        .unwrap();
        watched.watcher().0.open();
        let mut manager = manager.unwrap();
        for (ticket, number) in [(ticket.unwrap(), 2), (waiting, 3)] {
            let saved = ticket.wait(LONG).unwrap();
            assert!(matches!(saved, Outcome::Saved(saved) if saved.number == number));
        }
        // With nothing under way, a child saves into the same directory.
        in_child(Fork::Library, || {
            manager.pin(1).unwrap();
            let mut own = CheckpointManager::open(&dir, settings.clone()).unwrap();
            own.save(snapshot(4)).unwrap().wait(LONG).unwrap();
            own.close(LONG).unwrap();
            assert_eq!(manager.list_checkpoints().unwrap(), [1, 2, 3, 4]);
            assert_eq!(manager.load(3).unwrap().model(), Some(&model(3)));
        })
        .unwrap();
        manager.save(snapshot(5)).unwrap().wait(LONG).unwrap();
        manager.close(LONG).unwrap();
        assert_eq!(manager.list_checkpoints().unwrap(), [1, 2, 3, 4, 5]);
        manager.verify(5).unwrap();
        cases += 1;
    }
    println!("{cases} cases");
}

/// The lock of the parent outlives its children, whatever they drop.
#[test]
fn no_child_releases_the_lock_of_a_file() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("metrics.parquet");
    let mut log = Some(MetricsLog::<Row>::open(&path, quiet()).unwrap());
    for fork in Fork::ALL {
        in_child(fork, || drop(log.take())).unwrap();
        assert!(MetricsLog::<Row>::open(&path, quiet()).is_err(), "{fork:?}");
        assert!(LocalFs.metadata(&tmp.path().join(".metrics.parquet.lock")).unwrap().is_some());
    }
    drop(log);
    assert!(MetricsLog::<Row>::open(&path, quiet()).is_ok());
}
