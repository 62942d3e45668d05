//! What holds on every file system that can be mounted here, not only on the one of the tests.

use qstore::buffer::Sink;
use qstore::parquet::{Compression, MetricsLog, Publishing, WriterSettings};
use qstore::schema::{Row, StateDict, Tensor};
use qstore::storage::{Exclusive, FileSystem, LocalFs, MemoryFs, Operation, conformance};
use qstore::zarr::export_safetensors;
use qstore::{CheckpointManager, CheckpointSettings, Layout, Locking, Snapshot};
use qstore_storage::testing::Watched;
use qstore_tests::{places, readers};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// The numbers of `EINVAL`, `ENOSYS`, `EOPNOTSUPP`, `ENOTTY`, `EPERM` on Linux.
#[cfg(target_os = "linux")]
const CANNOT: [i32; 5] = [22, 38, 95, 25, 1];
/// Those of `ENOSYS`, `ENOLCK`, `EOPNOTSUPP`, `EBADF`, `EINVAL`.
#[cfg(target_os = "linux")]
const NO_LOCKS: [i32; 5] = [38, 37, 95, 9, 22];

/// Two copies are kept from the first flush on, if ever, and space is reused at once.
fn settings() -> WriterSettings {
    WriterSettings::default()
        .twin_bytes_min(0)
        .reuse_after(Duration::ZERO)
        .compression(Compression::NONE)
        .plain_encoding(true)
}

fn open(path: &Path) -> MetricsLog<Row> {
    MetricsLog::open(path, settings()).unwrap()
}

fn flush(log: &mut MetricsLog<Row>, rows: i64) {
    for step in 0..rows {
        log.append(&Row::from([("step", step), ("other", -step)]), Instant::now());
    }
    log.flush().unwrap();
}

/// A program maps the file and closes it, as most readers do; several versions later its bytes are the same.
fn map(path: &Path) -> std::process::Child {
    let mut reader = readers::spawn("map.py", &[path]);
    let mut line = String::new();
    BufReader::new(reader.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "mapped\n");
    reader
}

#[test]
fn what_a_reader_has_mapped_never_changes_on_any_file_system() {
    places::on_each(
        "file_systems::what_a_reader_has_mapped_never_changes_on_any_file_system",
        |place| {
            let path = place.dir.join("metrics.parquet");
            let mut log = open(&path);
            flush(&mut log, 500);
            for _ in 0..3 {
                flush(&mut log, 100);
                // The reader may see the file where it lies, below the directory that is mounted.
                let below = place.below.as_ref().map(|dir| dir.join("metrics.parquet"));
                let mut mapped: Vec<_> = below.iter().map(|path| map(path)).collect();
                mapped.push(map(&path));
                for _ in 0..4 {
                    flush(&mut log, 100);
                }
                for reader in mapped {
                    readers::finish("map.py", reader);
                }
            }
            println!("{}: {:?}", place.name, Sink::stats(&log).publishing);
            log.close().unwrap();
        },
    );
}

#[test]
fn local_files_conform_on_every_file_system() {
    places::on_each("file_systems::local_files_conform_on_every_file_system", |place| {
        conformance::check(&LocalFs::new(), &place.dir);
        // A sync of all of it would reach no disk on FUSE, and not report every failure on overlayfs.
        let is_plain = place.below.is_none();
        let tree = LocalFs::new().sync_tree(&place.dir).unwrap();
        assert!(is_plain || tree.is_none(), "{}", place.name);
        // Nor does a lease there know of readers below.
        let file = LocalFs::new().create_new(&place.dir.join("file")).unwrap();
        let claim = file.claim().unwrap();
        assert!(is_plain || matches!(claim, Exclusive::Unknown), "{}: {claim:?}", place.name);
    });
}

fn state(value: f32) -> StateDict {
    StateDict::from_iter([("w", Tensor::scalar(value))])
}

fn save(manager: &CheckpointManager, epoch: u64, value: f32) {
    manager.save(Snapshot::new(epoch).model(state(value))).unwrap().wait(PATIENCE).unwrap();
    assert_eq!(manager.load(epoch).unwrap().model(), Some(&state(value)));
}

#[test]
fn a_checkpoint_is_replaced_and_removed_on_every_file_system() {
    places::on_each(
        "file_systems::a_checkpoint_is_replaced_and_removed_on_every_file_system",
        |place| {
            for layout in [Layout::SingleFile, Layout::Directory] {
                let dir = place.dir.join(format!("{layout:?}"));
                let settings = CheckpointSettings::default().layout(layout).keep_last(2);
                let mut manager = CheckpointManager::open(&dir, settings).unwrap();
                for (epoch, value) in [(1, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (3, 5.0)] {
                    save(&manager, epoch, value);
                }
                manager.close(PATIENCE).unwrap();
                let names = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name());
                let left: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
                let saved = left.iter().filter(|name| name.starts_with("epoch")).count();
                assert!(saved == 2 && !left.contains(&".staging".into()), "{layout:?}: {left:?}");
            }
        },
    );
}

#[cfg(target_os = "linux")]
#[test]
fn whatever_says_that_names_cannot_be_exchanged_is_understood_by_everything() {
    for errno in CANNOT {
        let memory = MemoryFs::new();
        let watched = Watched::new(&memory);
        watched.set(move |_, operation, _| match operation {
            Operation::Exchange => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        });
        let mut log =
            MetricsLog::<Row>::open_in(watched.shared(), "/metrics.parquet", settings()).unwrap();
        for _ in 0..4 {
            flush(&mut log, 100);
        }
        let publishing = Sink::stats(&log).publishing;
        assert!(matches!(publishing, Publishing::Copies { .. }), "{errno}: {publishing:?}");
        assert_eq!(Sink::stats(&log).file_rows, 400, "{errno}");

        let settings = CheckpointSettings::default().layout(Layout::Directory);
        let manager = CheckpointManager::open_in(watched.shared(), "/c", settings).unwrap();
        for value in [1.0, 2.0, 3.0] {
            save(&manager, 1, value);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_locks_writers_refuse_with_an_advice_or_go_on_when_told_to() {
    for errno in NO_LOCKS {
        let watched = Watched::new(&MemoryFs::new());
        watched.set(move |_, operation, _| match operation {
            Operation::Lock => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        });
        let open_log =
            |settings| MetricsLog::<Row>::open_in(watched.shared(), "/metrics.parquet", settings);
        let open_manager = |settings| CheckpointManager::open_in(watched.shared(), "/c", settings);
        let errors = [
            open_log(settings()).unwrap_err().to_string(),
            open_manager(CheckpointSettings::default()).unwrap_err().to_string(),
        ];
        for error in errors {
            assert!(error.contains("Locking::IfSupported"), "{errno}: {error}");
        }

        let mut log = open_log(settings().locking(Locking::IfSupported)).unwrap();
        flush(&mut log, 10);
        let second = open_log(settings().locking(Locking::IfSupported));
        assert!(second.is_err(), "{errno}: two writers in one process");
        drop(log);
        drop(open_log(settings().locking(Locking::IfSupported)).unwrap());

        let settings = CheckpointSettings::default().locking(Locking::IfSupported);
        let managers = [open_manager(settings.clone()).unwrap(), open_manager(settings).unwrap()];
        for (epoch, manager) in managers.iter().enumerate() {
            save(manager, epoch as u64, 1.0);
        }
    }
}

/// Who may do what with a file.
fn rights(path: &Path) -> (u32, u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

#[test]
fn a_metrics_file_keeps_its_rights_in_every_version() {
    places::on_each("file_systems::a_metrics_file_keeps_its_rights_in_every_version", |place| {
        let path = place.dir.join("metrics.parquet");
        let mut log = open(&path);
        flush(&mut log, 100);
        for mode in [0o660, 0o600, 0o640] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            // Only root may; the rest holds for anyone.
            let _ = std::os::unix::fs::chown(&path, None, Some(2000));
            let wanted = rights(&path);
            for _ in 0..3 {
                flush(&mut log, 100);
                assert_eq!(rights(&path), wanted, "{}: {mode:o}", place.name);
            }
        }
        log.close().unwrap();
        assert_eq!(rights(&path).2, 0o640);
    });
}

#[test]
fn an_export_keeps_the_rights_of_what_it_replaces_and_follows_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real.safetensors"), dir.path().join("link.safetensors"));
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real.safetensors", &link).unwrap();
    export_safetensors(&link, &state(1.0)).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link was replaced");
    assert!(fs::read(&real).unwrap().len() > 3);
    assert_eq!(rights(&real).2, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn a_checkpoint_that_is_saved_again_stays_as_private_as_it_was() {
    for layout in [Layout::SingleFile, Layout::Directory] {
        let dir = tempfile::tempdir().unwrap();
        let settings = CheckpointSettings::default().layout(layout);
        let manager = CheckpointManager::open(dir.path(), settings).unwrap();
        save(&manager, 1, 1.0);
        let stored = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let mode = if layout == Layout::Directory { 0o700 } else { 0o600 };
        fs::set_permissions(&stored, fs::Permissions::from_mode(mode)).unwrap();
        save(&manager, 1, 2.0);
        assert_eq!(rights(&stored).2, mode, "{layout:?}");
    }
}

#[test]
fn an_empty_private_file_stays_private_when_it_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    flush(&mut open(&path), 10);
    assert_eq!(rights(&path).2, 0o600);
}

#[test]
fn what_is_new_in_a_set_gid_directory_belongs_to_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    fs::create_dir(&shared).unwrap();
    if std::os::unix::fs::chown(&shared, None, Some(2000)).is_err() {
        println!("not tested: takes root");
        return;
    }
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o2775)).unwrap();
    let path = shared.join("metrics.parquet");
    flush(&mut open(&path), 10);
    assert_eq!(rights(&path).1, 2000);
    for layout in [Layout::SingleFile, Layout::Directory] {
        let settings = CheckpointSettings::default().layout(layout);
        let manager = CheckpointManager::open(&shared, settings).unwrap();
        save(&manager, layout as u64, 1.0);
        drop(manager);
    }
    for entry in fs::read_dir(&shared).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(rights(&path).1, 2000, "{}", path.display());
    }
    export_safetensors(shared.join("w.safetensors"), &state(1.0)).unwrap();
    assert_eq!(rights(&shared.join("w.safetensors")).1, 2000);
}

#[test]
fn a_metrics_file_of_a_lower_layer_is_continued_while_it_is_mapped() {
    let lower = |dir: &Path| {
        let mut log = open(&dir.join("metrics.parquet"));
        flush(&mut log, 500);
        log.close().unwrap();
    };
    places::on(
        &["overlay-on-ext4", "overlay-on-tmpfs"],
        Some(&lower),
        "file_systems::a_metrics_file_of_a_lower_layer_is_continued_while_it_is_mapped",
        |place| {
            let path = place.dir.join("metrics.parquet");
            let mapped = map(&path);
            let mut log = open(&path);
            for _ in 0..4 {
                flush(&mut log, 100);
            }
            assert_eq!(Sink::stats(&log).file_rows, 900, "{}", place.name);
            drop(readers::finish("map.py", mapped));
            log.close().unwrap();
        },
    );
}
