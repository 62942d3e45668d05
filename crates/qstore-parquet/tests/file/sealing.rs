//! A part is sealed: renamed once, in one step, and never touched again, whatever happens meanwhile.

use crate::ranks::{RANK, names, numbers, open, row, rows};
use qstore_buffer::{Progress, Sink};
use qstore_parquet::{DatasetSettings, Occupant, RankLog, WriteError, WriterSettings};
use qstore_schema::Row;
use qstore_storage::testing::{CrashFs, Failure, Fault, FaultFs, Watched, cuts};
use qstore_storage::{FileSystem, MemoryFs, Operation, read_all};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const NOTES: &[u8] = b"this belongs to someone else";

/// Parts of a few flushes that do not rest.
fn settings() -> DatasetSettings {
    DatasetSettings::default()
        .part_bytes_max(2_000)
        .writer(|writer| writer.reuse_after(Duration::ZERO).twin_bytes_min(0))
}

fn ways() -> [DatasetSettings; 4] {
    let with = |change: fn(WriterSettings) -> WriterSettings| settings().writer(change);
    [
        settings(),
        with(|writer| writer.twin_bytes_min(1 << 20)),
        with(|writer| writer.publish_by_copy(true)),
        // Parts that rest until there are too many, or until the end.
        with(|writer| writer.reuse_after(Duration::from_secs(1_000))),
    ]
}

fn path(name: &str) -> PathBuf {
    Path::new(RANK).join(name)
}

fn put(files: &dyn FileSystem, name: &str) {
    let file = files.create_new(&path(name)).unwrap();
    file.write_at(0, NOTES).unwrap();
    file.sync().unwrap();
    files.sync_dir(Path::new(RANK)).unwrap();
}

fn append(log: &mut RankLog<Row>, rows: std::ops::Range<i64>) {
    for n in rows {
        log.append(&row(n), Instant::now());
    }
}

/// Does what has become due at that time.
fn tick(log: &mut RankLog<Row>, now: Instant) -> Result<(), WriteError> {
    while Sink::tick(log, now)?.run()? {}
    Ok(())
}

#[test]
fn what_is_sealed_is_never_touched_again() {
    for settings in ways() {
        let memory = MemoryFs::new();
        let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let mut sealed: Vec<(String, Vec<u8>, _)> = Vec::new();
        let mut next = 0;
        for _ in 0..3 {
            let mut log = open(Arc::clone(&files), &settings).unwrap();
            for _ in 0..30 {
                append(&mut log, next..next + 5);
                next += 5;
                log.flush().unwrap();
                for name in names(&memory).into_iter().filter(|name| name.starts_with("part-")) {
                    let bytes = read_all(&memory, &path(&name)).unwrap();
                    let stamp = memory.stamp(&path(&name)).unwrap().unwrap();
                    match sealed.iter().find(|(known, ..)| *known == name) {
                        Some((_, known, was)) => {
                            assert!(*known == bytes && stamp.is_same_file(was), "{name} changed");
                        }
                        None => sealed.push((name, bytes, stamp)),
                    }
                }
            }
            log.close().unwrap();
        }
        assert!(sealed.len() > 3);
        assert_eq!(rows(&files), (0..next).collect::<Vec<_>>());
    }
}

#[test]
fn a_part_rests_before_it_is_sealed_and_rows_go_into_the_next_one_meanwhile() {
    let memory = MemoryFs::new();
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let minute = Duration::from_secs(60);
    let settings = DatasetSettings::default().part_age_max(10 * minute);
    let mut log = open(Arc::clone(&files), &settings).unwrap();
    let start = Instant::now();
    log.append(&row(0), start);
    log.flush().unwrap();
    tick(&mut log, start + 9 * minute).unwrap();
    assert_eq!(names(&memory), ["_part-00000.parquet"]);
    // By its age alone.
    tick(&mut log, start + 10 * minute).unwrap();
    log.append(&row(1), start + 10 * minute);
    log.flush().unwrap();
    assert_eq!(names(&memory), ["_part-00000.parquet", "_part-00001.parquet"]);
    tick(&mut log, start + 10 * minute + minute / 2).unwrap();
    assert_eq!(names(&memory), ["_part-00000.parquet", "_part-00001.parquet"]);
    tick(&mut log, start + 11 * minute).unwrap();
    assert_eq!(names(&memory), ["_part-00001.parquet", "part-00000.parquet"]);
    // A part without rows is neither sealed nor there.
    for later in 1..9 {
        tick(&mut log, start + later * 30 * minute).unwrap();
    }
    assert_eq!(names(&memory), ["part-00000.parquet", "part-00001.parquet"]);
    log.close().unwrap();
    assert_eq!(names(&memory), ["part-00000.parquet", "part-00001.parquet"]);
    assert_eq!(rows(&files), [0, 1]);
}

#[test]
fn rows_are_received_while_a_part_is_being_closed() {
    let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let mut log = open(Arc::clone(&files), &settings().part_bytes_max(1)).unwrap();
    append(&mut log, 0..3);
    while Sink::flush(&mut log).unwrap().run().unwrap() {}
    append(&mut log, 3..6);
    // The part is closed by this work, which is under way.
    let Progress::Work(work) = Sink::tick(&mut log, Instant::now()).unwrap() else {
        panic!("the part is large enough");
    };
    assert!(Sink::capacity(&log) > 100_000);
    append(&mut log, 6..9);
    work().unwrap();
    log.close().unwrap();
    assert_eq!(rows(&files), (0..9).collect::<Vec<_>>());
}

/// A killed session leaves an open part, perhaps several; the last one is continued, and a sealed one never.
#[test]
fn a_restarted_rank_continues_its_open_part_and_seals_older_ones() {
    let memory = MemoryFs::new();
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let resting = settings().writer(|writer| writer.reuse_after(Duration::from_secs(1_000)));
    let mut log = open(Arc::clone(&files), &resting).unwrap();
    for n in 0..40 {
        append(&mut log, n..n + 1);
        log.flush().unwrap();
    }
    let before = names(&memory);
    assert!(before.iter().filter(|name| name.starts_with('_')).count() > 2, "{before:?}");
    drop(log);
    for name in ["._part-00000.parquet.twin", "._part-99999.parquet.twin"] {
        put(&memory, name);
    }
    let mut log = open(Arc::clone(&files), &settings()).unwrap();
    append(&mut log, 40..41);
    log.flush().unwrap();
    let open_parts = names(&memory).iter().filter(|name| name.starts_with('_')).count();
    assert!(open_parts <= 1, "{:?}", names(&memory));
    log.close().unwrap();
    drop(log);
    let left = names(&memory);
    assert!(left.iter().all(|name| name.starts_with("part-")), "{left:?}");
    assert_eq!(rows(&files), (0..41).collect::<Vec<_>>());
    let last = left.last().unwrap().clone();
    let bytes = read_all(&memory, &path(&last)).unwrap();
    let mut log = open(Arc::clone(&files), &settings()).unwrap();
    append(&mut log, 41..42);
    log.close().unwrap();
    assert_eq!(read_all(&memory, &path(&last)).unwrap(), bytes, "a sealed part is not continued");
    assert_eq!(rows(&files), (0..42).collect::<Vec<_>>());
}

fn occupied(error: &WriteError) -> Option<(String, Occupant)> {
    match error {
        WriteError::Occupied { path, found, .. } => {
            Some((path.file_name().unwrap().to_str().unwrap().to_owned(), *found))
        }
        _ => None,
    }
}

#[test]
fn what_has_the_name_of_a_sealed_part_stays_and_later_parts_are_not_held_up() {
    for settings in ways() {
        let memory = MemoryFs::new();
        let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let mut log = open(Arc::clone(&files), &settings).unwrap();
        append(&mut log, 0..5);
        log.flush().unwrap();
        put(&memory, "part-00000.parquet");
        let mut next = 5;
        for _ in 0..60 {
            append(&mut log, next..next + 5);
            next += 5;
            if let Err(error) = log.flush() {
                let taken = Some(("part-00000.parquet".to_owned(), Occupant::File));
                assert_eq!(occupied(&error), taken, "{error}");
            }
        }
        let error = log.close().unwrap_err();
        assert!(occupied(&error).is_some(), "{error}");
        assert_eq!(read_all(&memory, &path("part-00000.parquet")).unwrap(), NOTES);
        let left = names(&memory);
        assert!(left.contains(&"_part-00000.parquet".into()), "its rows can be read: {left:?}");
        assert_eq!(left.iter().filter(|name| name.starts_with("_part")).count(), 1, "{left:?}");
        memory.remove_file(&path("part-00000.parquet")).unwrap();
        log.close().expect("the name is free");
        assert_eq!(rows(&files), (0..next).collect::<Vec<_>>());
    }
}

#[test]
fn what_has_the_name_of_the_next_part_is_neither_continued_nor_replaced() {
    for name in ["_part-00001.parquet", "part-00001.parquet", "_part-00007.parquet"] {
        let memory = MemoryFs::new();
        let mut log = open(Arc::new(memory.clone()), &settings().part_bytes_max(1)).unwrap();
        put(&memory, name);
        for n in 0..4 {
            append(&mut log, n..n + 1);
            log.flush().unwrap();
        }
        log.close().unwrap();
        assert_eq!(read_all(&memory, &path(name)).unwrap(), NOTES);
        memory.remove_file(&path(name)).unwrap();
        assert_eq!(rows(&(Arc::new(memory) as Arc<dyn FileSystem>)), [0, 1, 2, 3]);
    }
}

/// Between the last look and the rename: what is moved then is not the part, and is moved back.
#[test]
fn a_file_that_appears_under_the_open_name_at_the_last_moment_gets_its_name_back() {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    let mut log = open(watched.shared(), &settings()).unwrap();
    append(&mut log, 0..5);
    log.flush().unwrap();
    let below = memory.clone();
    let count = AtomicI64::new(0);
    watched.set(move |_, operation, _| {
        if operation == Operation::RenameNew && count.fetch_add(1, SeqCst) == 0 {
            below.remove_file(&path("_part-00000.parquet")).unwrap();
            put(&below, "_part-00000.parquet");
        }
        Ok(())
    });
    let error = log.close().unwrap_err();
    let taken = Some(("_part-00000.parquet".to_owned(), Occupant::File));
    assert_eq!(occupied(&error), taken, "{error}");
    assert_eq!(read_all(&memory, &path("_part-00000.parquet")).unwrap(), NOTES);
    assert!(memory.metadata(&path("part-00000.parquet")).unwrap().is_none());
    assert_eq!(log.save_as("/saved.parquet").unwrap(), 5);
}

#[test]
fn an_open_part_that_was_removed_is_published_again_and_sealed() {
    let memory = MemoryFs::new();
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let mut log = open(Arc::clone(&files), &settings().part_bytes_max(1 << 20)).unwrap();
    append(&mut log, 0..5);
    log.flush().unwrap();
    memory.remove_file(&path("_part-00000.parquet")).unwrap();
    append(&mut log, 5..6);
    log.close().unwrap();
    assert_eq!(numbers(&files, &path("part-00000.parquet")), (0..6).collect::<Vec<_>>());
    drop(log);
    // While it rests.
    let mut log = resting(&files, 6);
    memory.remove_file(&path("_part-00001.parquet")).unwrap();
    assert!(log.close().is_err(), "the file is missing");
    log.close().unwrap();
    assert_eq!(rows(&files), (0..8).collect::<Vec<_>>());
}

/// A rank with a part that is closed and rests, after the rows before `first`.
fn resting(files: &Arc<dyn FileSystem>, first: i64) -> RankLog<Row> {
    let settings = settings()
        .part_bytes_max(1)
        .writer(|writer| writer.reuse_after(Duration::from_secs(1_000)));
    let mut log = open(Arc::clone(files), &settings).unwrap();
    append(&mut log, first..first + 1);
    log.flush().unwrap();
    append(&mut log, first + 1..first + 2);
    Sink::flush(&mut log).unwrap().run().unwrap();
    log
}

#[test]
fn a_part_that_another_program_has_changed_is_not_sealed() {
    let memory = MemoryFs::new();
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let mut log = resting(&files, 0);
    let changed = memory.open_writable(&path("_part-00000.parquet")).unwrap();
    changed.write_at(0, NOTES).unwrap();
    let error = log.close().unwrap_err();
    let taken = Some(("_part-00000.parquet".to_owned(), Occupant::Changed));
    assert_eq!(occupied(&error), taken, "{error}");
    assert!(memory.metadata(&path("part-00000.parquet")).unwrap().is_none());
    // The next part is sealed all the same.
    let _ = log.close();
    assert_eq!(numbers(&files, &path("part-00001.parquet")), [1]);
}

#[test]
fn a_file_system_that_cannot_rename_to_a_free_name_seals_all_the_same() {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    watched.set(|_, operation, _| match operation {
        Operation::RenameNew => Err(ErrorKind::Unsupported.into()),
        _ => Ok(()),
    });
    let mut log = open(watched.shared(), &settings()).unwrap();
    append(&mut log, 0..5);
    log.flush().unwrap();
    put(&memory, "part-00000.parquet");
    assert!(occupied(&log.close().unwrap_err()).is_some());
    assert_eq!(read_all(&memory, &path("part-00000.parquet")).unwrap(), NOTES);
    memory.remove_file(&path("part-00000.parquet")).unwrap();
    log.close().unwrap();
    assert_eq!(names(&memory).iter().filter(|name| !name.starts_with('.')).count(), 1);
    assert_eq!(rows(&(Arc::new(memory) as Arc<dyn FileSystem>)), (0..5).collect::<Vec<_>>());
}

/// Two sessions with several parts. What fails is tried again.
fn run(storage: &Arc<dyn FileSystem>, settings: &DatasetSettings, acknowledged: &AtomicI64) {
    for _ in 0..2 {
        let Some(mut log) = (0..3).find_map(|_| open(Arc::clone(storage), settings).ok()) else {
            return;
        };
        let mut n = acknowledged.load(SeqCst);
        for _ in 0..7 {
            append(&mut log, n..n + 4);
            n += 4;
            if (0..3).any(|_| log.flush().is_ok()) {
                acknowledged.store(n, SeqCst);
            }
        }
        if (0..8).any(|_| log.close().is_ok()) {
            acknowledged.store(n, SeqCst);
        }
    }
}

/// At least the acknowledged rows are left, each once; a new session writes at once and leaves only sealed parts.
fn check(left: &MemoryFs, acknowledged: i64, what: &str) {
    let files: Arc<dyn FileSystem> = Arc::new(left.clone());
    if left.metadata(Path::new(RANK)).unwrap().is_none() {
        assert_eq!(acknowledged, 0, "{what}");
        return;
    }
    let found = rows(&files);
    assert!(found.len() as i64 >= acknowledged, "{what}: {} of {acknowledged}", found.len());
    assert!(found.iter().copied().eq(0..found.len() as i64), "{what}: {found:?}");
    let mut log = open(Arc::clone(&files), &settings()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let next = found.len() as i64;
    append(&mut log, next..next + 1);
    log.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    drop(log);
    assert_eq!(rows(&files), (0..=next).collect::<Vec<_>>(), "{what}");
    let names = names(left);
    assert!(names.iter().all(|name| name.starts_with("part-")), "{what}: {names:?}");
}

#[test]
fn a_kill_or_a_power_cut_before_any_change_loses_and_doubles_no_row() {
    let mut states = 0;
    for settings in ways() {
        let memory = MemoryFs::new();
        let acknowledged = Arc::new(AtomicI64::new(0));
        let told = Arc::clone(&acknowledged);
        let storage = CrashFs::new(&memory, move |moment| {
            let number = moment.number;
            let acknowledged = told.load(SeqCst);
            for cut in cuts(7, number, 1) {
                let what = format!("change {number}, {cut}");
                check(&moment.memory.power_cut_by(cut), acknowledged, &what);
            }
            let what = format!("killed before change {number}");
            check(&moment.memory.process_kill(), acknowledged, &what);
        });
        run(&storage.shared(), &settings, &acknowledged);
        assert_eq!(acknowledged.load(SeqCst), 56);
        check(&memory.power_cut(), 56, "the end");
        states += storage.changes() * 11;
    }
    println!("{states} cases");
}

#[test]
fn a_failure_at_any_operation_loses_and_doubles_no_row() {
    let mut cases = 0;
    for settings in ways() {
        let count = || {
            let storage =
                FaultFs::failing_any(Arc::new(MemoryFs::new()), Fault::Never, Failure::Io);
            run(&storage.shared(), &settings, &AtomicI64::new(0));
            storage.asked()
        };
        for (at, operation) in count().into_iter().enumerate() {
            let failures = Failure::of(operation);
            // Another one of the errors at each operation, and the special ways.
            let special = failures.iter().skip(Failure::ERRORS.len()).cloned();
            let chosen = std::iter::once(failures[at % Failure::ERRORS.len()].clone());
            for failure in chosen.chain(special) {
                let (memory, acknowledged) = (MemoryFs::new(), AtomicI64::new(0));
                let what = format!("{failure} at operation {at}, {operation}");
                let files = Arc::new(memory.clone());
                let storage = FaultFs::failing_any(files, Fault::Once(at), failure);
                run(&storage.shared(), &settings, &acknowledged);
                assert_eq!(acknowledged.load(SeqCst), 56, "{what}");
                check(&memory.process_kill(), 56, &what);
                check(&memory.power_cut(), 56, &what);
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}
