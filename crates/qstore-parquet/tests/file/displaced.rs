//! A writer whose file, lock or directory is taken away while it runs: it replaces nothing, says what is there,
//! keeps its rows, and goes on once its place is free. `cargo xtask torture --only T14` does this at every
//! operation.

use crate::{PATH, open, row};
use qstore_buffer::Sink;
use qstore_parquet::{
    DatasetSettings, MetricsFile, MetricsLog, Occupant, RankLog, WriteError, WriterSettings,
};
use qstore_schema::{Row, SmolStr};
use qstore_storage::testing::Watched;
use qstore_storage::{FileSystem, MemoryFs, Operation, read_all, remove_dir_all};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const NOTES: &[u8] = b"this belongs to someone else";

/// Puts something under a name.
type Deed = fn(&Path);

fn append(log: &mut MetricsLog<Row>, rows: std::ops::Range<i64>) {
    for n in rows {
        log.append(&row(n), Instant::now());
    }
}

fn rows(path: &Path) -> u64 {
    MetricsFile::open(path).unwrap().rows()
}

/// Small files, two copies, copies.
fn ways() -> [WriterSettings; 3] {
    let settings = WriterSettings::default();
    [
        settings.clone(),
        settings.clone().twin_bytes_min(0).reuse_after(Duration::ZERO),
        settings.publish_by_copy(true),
    ]
}

fn occupant(error: &WriteError) -> Option<Occupant> {
    match error {
        WriteError::Occupied { found, .. } => Some(*found),
        _ => None,
    }
}

/// Whether files that are open keep their directory from being removed, as on FUSE and NFS, which keep them under
/// hidden names in it.
fn keeps_open_files() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (below, file) = (dir.path().join("below"), dir.path().join("below/file"));
    fs::create_dir(&below).unwrap();
    let open = fs::File::create(file).unwrap();
    let is_kept = fs::remove_dir_all(&below).is_err();
    drop(open);
    is_kept
}

#[test]
fn a_new_run_under_the_name_of_an_old_one_keeps_its_rows() {
    let can_remove = !keeps_open_files();
    if !can_remove {
        println!("not tested: a removed directory, where files that are open keep it");
    }
    for (settings, is_renamed) in
        ways().into_iter().flat_map(|way| [(way.clone(), true), (way, false)])
    {
        if !is_renamed && !can_remove {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let (run, kept) = (dir.path().join("run"), dir.path().join("kept"));
        let path = run.join("metrics.parquet");
        fs::create_dir(&run).unwrap();
        let mut old = MetricsLog::<Row>::open(&path, settings.clone()).unwrap();
        append(&mut old, 0..10);
        old.flush().unwrap();

        if is_renamed {
            fs::rename(&run, &kept).unwrap();
        } else {
            fs::remove_dir_all(&run).unwrap();
        }
        fs::create_dir(&run).unwrap();
        let mut new = MetricsLog::<Row>::open(&path, settings).expect("another directory");
        append(&mut new, 0..35);
        new.flush().unwrap();

        append(&mut old, 10..20);
        let flushed = old.flush();
        if is_renamed {
            flushed.unwrap();
            old.close().unwrap();
            let kept = fs::canonicalize(kept).unwrap().join("metrics.parquet");
            assert_eq!(*Sink::stats(&old).output_path, *kept, "the statistics say where it is");
            assert_eq!(rows(&kept), 20);
        } else {
            let error = flushed.unwrap_err();
            let WriteError::DirectoryRemoved { is_replaced: true, waiting: 10, .. } = error else {
                panic!("{error:?}")
            };
            assert!(error.to_string().contains("another one has its name"), "{error}");
            assert_eq!(old.save_as(dir.path().join("all.parquet")).unwrap(), 20);
            assert_eq!(old.save_pending_as(dir.path().join("new.parquet")).unwrap(), 10);
        }
        new.close().unwrap();
        drop(old);
        assert_eq!(rows(&path), 35, "the rows of the new run");
    }
}

#[test]
fn what_is_put_under_the_name_is_reported_and_left_alone_and_writing_resumes() {
    let deeds: [(&str, Occupant, Deed); 5] = [
        ("another file", Occupant::File, |path| {
            fs::write(path.with_extension("tmp"), NOTES).unwrap();
            fs::rename(path.with_extension("tmp"), path).unwrap();
        }),
        ("a copy of it", Occupant::File, |path| {
            fs::copy(path, path.with_extension("tmp")).unwrap();
            fs::rename(path.with_extension("tmp"), path).unwrap();
        }),
        ("a link to it", Occupant::Special, |path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
            std::os::unix::fs::symlink(path.with_extension("moved"), path).unwrap();
        }),
        ("a directory", Occupant::Dir, |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a pipe", Occupant::Special, |path| {
            fs::remove_file(path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
    ];
    for settings in ways() {
        for (what, expected, deed) in deeds {
            let dir = tempfile::tempdir().unwrap();
            let (path, aside) = (dir.path().join("metrics.parquet"), dir.path().join("aside"));
            let mut log = MetricsLog::<Row>::open(&path, settings.clone()).unwrap();
            append(&mut log, 0..10);
            log.flush().unwrap();
            deed(&path);
            let left = fs::symlink_metadata(&path).unwrap();
            append(&mut log, 10..15);
            for _ in 0..3 {
                let error = log.flush().unwrap_err();
                assert_eq!(occupant(&error), Some(expected), "{what}: {error}");
                assert!(error.to_string().contains("5 rows"), "{error}");
            }
            let found = fs::symlink_metadata(&path).unwrap();
            assert_eq!((found.len(), found.file_type()), (left.len(), left.file_type()), "{what}");
            let saved = dir.path().join("saved.parquet");
            assert_eq!(log.save_as(&saved).unwrap(), 15);
            assert!(log.save_as(&saved).is_err(), "a file that exists is not replaced");
            assert!(MetricsFile::open(&saved).unwrap().validate().unwrap().is_whole());

            fs::rename(&path, &aside).unwrap();
            log.flush().expect("its name is free again");
            log.close().unwrap();
            assert_eq!(rows(&path), 15, "{what}");
        }
    }
}

/// Jobs that keep files from a clean-up do that, and backups.
#[test]
fn a_file_that_was_only_touched_linked_or_removed_is_still_the_writers() {
    let deeds: [fn(&Path); 4] = [
        |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(9)).unwrap();
        },
        |path| fs::hard_link(path, path.with_extension("backup")).unwrap(),
        |path| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for settings in ways() {
        for deed in deeds {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("metrics.parquet");
            let mut log = MetricsLog::<Row>::open(&path, settings.clone()).unwrap();
            for n in 0..12 {
                append(&mut log, n..n + 1);
                log.flush().unwrap();
                if n % 4 == 1 {
                    deed(&path);
                    let _ = fs::remove_file(path.with_extension("earlier"));
                    let _ =
                        fs::rename(path.with_extension("backup"), path.with_extension("earlier"));
                }
            }
            log.close().unwrap();
            let file = MetricsFile::open(&path).unwrap();
            assert!(file.rows() == 12 && file.validate().unwrap().is_whole());
        }
    }
}

#[test]
fn a_file_that_another_program_has_written_to_is_not_replaced() {
    for settings in ways() {
        let memory = MemoryFs::new();
        // Sealed rows are in the file only; the others are in memory, too.
        let mut log = open(&memory, settings.row_group_rows_max(5));
        append(&mut log, 0..10);
        log.flush().unwrap();
        let file = memory.open_writable(Path::new(PATH)).unwrap();
        file.write_at(20, NOTES).unwrap();
        drop(file);
        let changed = read_all(&memory, Path::new(PATH)).unwrap();
        append(&mut log, 10..15);
        let error = log.flush().unwrap_err();
        assert_eq!(occupant(&error), Some(Occupant::Changed), "{error}");
        assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), changed);
        let error = log.save_as("/all.parquet").unwrap_err();
        assert!(matches!(error, WriteError::Damaged { .. }), "they are not its rows: {error}");
        assert_eq!(log.save_pending_as("/new.parquet").unwrap(), 5);
        assert_eq!(
            memory
                .list(Path::new("/"))
                .unwrap()
                .iter()
                .filter(|entry| entry.name == "all.parquet")
                .count(),
            0
        );
    }
}

#[test]
fn a_lock_that_was_removed_is_taken_again_unless_another_writer_has_it() {
    let lock = Path::new("/.metrics.parquet.lock");
    for settings in ways() {
        let memory = MemoryFs::new();
        let mut log = open(&memory, settings);
        append(&mut log, 0..1);
        log.flush().unwrap();
        memory.remove_file(lock).unwrap();
        append(&mut log, 1..2);
        log.flush().expect("nobody else has taken it");
        assert!(memory.try_lock(lock).unwrap().is_none(), "the lock is held again");

        memory.remove_file(lock).unwrap();
        let other = memory.try_lock(lock).unwrap();
        append(&mut log, 2..3);
        let error = log.flush().unwrap_err();
        assert_eq!(occupant(&error), Some(Occupant::Writer), "{error}");
        drop(other);
        log.flush().expect("the other writer has ended and left the file as it was");
        log.close().unwrap();
        assert_eq!(MetricsFile::open_in(Arc::new(memory), PATH).unwrap().rows(), 3);
    }
}

/// The moment between the last look and the exchange. Then the names are given back; if that fails, it is done
/// before anything else, and neither file is removed until then.
#[test]
fn what_appears_at_the_last_moment_gets_its_name_back() {
    for (settings, fails) in ways().into_iter().flat_map(|way| [(way.clone(), false), (way, true)])
    {
        let memory = MemoryFs::new();
        let watched = Watched::new(&memory);
        let mut log = MetricsLog::<Row>::open_in(watched.shared(), PATH, settings).unwrap();
        append(&mut log, 0..10);
        log.flush().unwrap();
        let below = memory.clone();
        let exchanges = std::sync::atomic::AtomicUsize::new(0);
        watched.set(move |_, operation, _| {
            if operation == Operation::Exchange {
                match exchanges.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                    0 => {
                        below.remove_file(Path::new(PATH)).unwrap();
                        let notes = below.create_new(Path::new(PATH)).unwrap();
                        notes.write_at(0, NOTES).unwrap();
                        notes.sync().unwrap();
                        below.sync_dir(Path::new("/")).unwrap();
                    }
                    1 if fails => return Err(ErrorKind::Other.into()),
                    _ => {}
                }
            }
            Ok(())
        });
        append(&mut log, 10..15);
        let error = log.flush().unwrap_err();
        assert_eq!(occupant(&error), Some(Occupant::File).filter(|_| !fails), "{error}");
        let error = log.flush().unwrap_err();
        assert_eq!(occupant(&error), Some(Occupant::File), "{error}");
        assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), NOTES);
        assert_eq!(read_all(&memory.power_cut(), Path::new(PATH)).unwrap(), NOTES);
        assert_eq!(log.save_as("/saved.parquet").unwrap(), 15);
        drop(log);
        assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), NOTES);
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 2, "nothing is left behind");
    }
}

/// A file system that cannot hold a directory open: the name is compared instead.
#[test]
fn a_directory_known_by_its_name_only_is_not_taken_for_the_one_that_was_opened() {
    #[derive(Debug)]
    struct Names(MemoryFs);
    macro_rules! forward {
        ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
            impl FileSystem for Names {
                $(fn $name(&self, $($arg: $type),*) -> qstore_storage::Result<$result> {
                    self.0.$name($($arg),*)
                })*
            }
        };
    }
    forward! {
        create_new(path: &Path) -> Box<dyn qstore_storage::FileHandle>;
        open(path: &Path) -> Box<dyn qstore_storage::FileHandle>;
        open_writable(path: &Path) -> Box<dyn qstore_storage::FileHandle>;
        stamp(path: &Path) -> Option<qstore_storage::Stamp>;
        metadata(path: &Path) -> Option<qstore_storage::Metadata>;
        resolve(path: &Path) -> std::path::PathBuf;
        list(dir: &Path) -> Vec<qstore_storage::Entry>;
        create_dir(dir: &Path) -> ();
        link(from: &Path, to: &Path) -> ();
        rename(from: &Path, to: &Path) -> ();
        exchange(one: &Path, other: &Path) -> ();
        remove_file(path: &Path) -> ();
        remove_dir(dir: &Path) -> ();
        sync_dir(dir: &Path) -> ();
        copy_mode(from: &Path, to: &Path) -> ();
        try_lock(path: &Path) -> Option<Box<dyn qstore_storage::Lock>>;
        lock(path: &Path) -> Box<dyn qstore_storage::Lock>;
    }
    let (memory, run) = (MemoryFs::new(), Path::new("/run"));
    memory.create_dir(run).unwrap();
    let path = run.join("metrics.parquet");
    let files = Arc::new(Names(memory.clone()));
    let mut log = MetricsLog::<Row>::open_in(files, &path, WriterSettings::default()).unwrap();
    append(&mut log, 0..5);
    log.flush().unwrap();
    remove_dir_all(&memory, run).unwrap();
    memory.create_dir(run).unwrap();
    append(&mut log, 5..10);
    let error = log.flush().unwrap_err();
    assert!(matches!(error, WriteError::DirectoryRemoved { is_replaced: true, .. }), "{error}");
    assert!(memory.list(run).unwrap().is_empty());
    assert_eq!(log.save_as("/saved.parquet").unwrap(), 10);
}

/// The whole log is more than one file's last version: earlier sessions, full groups, late columns.
#[test]
fn a_saved_log_has_every_row_bit_for_bit() {
    let memory = MemoryFs::new();
    let settings = WriterSettings::default().row_group_rows_max(9).twin_bytes_min(0);
    crate::write(&memory, settings.clone(), 0, 40, true);
    let mut log = open(&memory, settings);
    append(&mut log, 40..65);
    log.flush().unwrap();
    for n in 65..80 {
        let mut late = row(n);
        late.set("late", n as f64);
        log.append(&late, Instant::now());
    }
    assert_eq!(log.save_as("/saved.parquet").unwrap(), 80);
    log.close().unwrap();
    let bits = |path: &str| -> Vec<String> {
        let file = MetricsFile::open_in(Arc::new(memory.clone()), path).unwrap();
        assert!(file.validate().unwrap().is_whole());
        let columns: Vec<_> = file.fields().iter().map(|field| field.name.clone()).collect();
        let names: Vec<_> = columns.iter().map(SmolStr::as_str).collect();
        let table = file.read(&names, 0..80).unwrap();
        names.iter().map(|name| format!("{:?}", table.column(name))).collect()
    };
    assert_eq!(bits("/saved.parquet"), bits(PATH));
}

/// Parts are opened one after the other, each in the directory that the rank opened.
#[test]
fn a_rank_whose_directory_was_renamed_begins_its_next_parts_in_it() {
    let memory = MemoryFs::new();
    let files = || Arc::new(memory.clone());
    let settings = || DatasetSettings::default().part_bytes_max(50);
    let open = |dir: &str| RankLog::<Row>::open_in(files(), dir, 0, settings());
    memory.create_dir(Path::new("/run")).unwrap();
    let mut old = open("/run").unwrap();
    let log = |log: &mut RankLog<Row>, n: i64| {
        log.append(&row(n), Instant::now());
        log.flush()
    };
    log(&mut old, 0).unwrap();
    memory.rename(Path::new("/run"), Path::new("/kept")).unwrap();
    let mut new = open("/run").expect("another directory");
    for n in 1..4 {
        log(&mut old, n).unwrap();
        log(&mut new, n).unwrap();
    }
    old.close().unwrap();
    new.close().unwrap();
    let parts = |dir: &str| {
        let names = memory.list(&Path::new(dir).join("rank=0")).unwrap();
        let is_part = |name: &str| name.starts_with("part-");
        names.iter().filter(|entry| entry.name.to_str().is_some_and(is_part)).count()
    };
    assert_eq!((parts("/kept"), parts("/run")), (4, 3), "a part for each flush");
    drop((old, new));

    let mut lost = open("/gone").unwrap();
    log(&mut lost, 0).unwrap();
    remove_dir_all(&memory, Path::new("/gone")).unwrap();
    let error = log(&mut lost, 1).unwrap_err();
    assert!(matches!(error, WriteError::DirectoryRemoved { .. }), "{error}");
    assert_eq!(lost.save_pending_as("/saved.parquet").unwrap(), 1);
}
