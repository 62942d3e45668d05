//! T6: directories full of traps: links, pipes, loops, names that are not text, and names of ours that hold
//! something else.
//!
//! Whatever is there, opening, logging, saving, listing and loading end in time, with success or an error, and
//! nothing outside the directory is touched: a directory next to it holds a file whose bytes are compared at
//! the end.

use crate::trial::Trial;
use qstore::parquet::{MetricsFile, MetricsLog};
use qstore::schema::Row;
use qstore::{
    CheckpointManager, CheckpointSettings, Layout, Snapshot, StateDict, Tensor, WriterSettings,
};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &[u8] = b"this is outside and must not change";

/// What can be put under a name. The second path is the directory outside.
type Trap = fn(&Path, &Path);

/// Sets a trap in the first directory and runs into it.
type Lay = dyn Fn(&Path, &Path) + Sync;

const TRAPS: [(&str, Trap); 14] = [
    ("link-to-a-file-outside", |at, outside| symlink(outside.join("secret"), at).unwrap()),
    ("link-to-a-directory-outside", |at, outside| symlink(outside, at).unwrap()),
    ("link-to-nothing", |at, outside| symlink(outside.join("nothing"), at).unwrap()),
    ("link-to-itself", |at, _| symlink(at, at).unwrap()),
    ("link-to-the-root", |at, _| symlink("/", at).unwrap()),
    ("link-to-a-device", |at, _| symlink("/dev/zero", at).unwrap()),
    ("second-name-of-a-file-outside", |at, outside| {
        fs::hard_link(outside.join("secret"), at).unwrap();
    }),
    ("pipe", |at, _| assert!(Command::new("mkfifo").arg(at).status().unwrap().success())),
    ("socket", |at, _| drop(UnixListener::bind(at).unwrap())),
    ("empty-file", |at, _| fs::write(at, b"").unwrap()),
    ("text", |at, _| fs::write(at, b"notes of another program\n").unwrap()),
    ("empty-directory", |at, _| fs::create_dir(at).unwrap()),
    ("directory-with-a-link", |at, outside| {
        fs::create_dir(at).unwrap();
        symlink(outside, at.join("model")).unwrap();
        symlink(outside.join("secret"), at.join("zarr.json")).unwrap();
        symlink(outside.join("secret"), at.join("manifest.json")).unwrap();
    }),
    ("file-without-permissions", |at, _| {
        fs::write(at, b"no").unwrap();
        fs::set_permissions(at, fs::Permissions::from_mode(0o000)).unwrap();
    }),
];

/// Names in a checkpoint directory; most are used by Q-Store.
const CHECKPOINT_NAMES: [&str; 15] = [
    "epoch_0001",
    "epoch_0002",
    "epoch_0001.zarr.zip",
    "epoch_0002.zarr.zip",
    "epoch_0003.zarr.zip",
    "epoch_99999999999999999999.zarr.zip",
    "epoch_-001",
    "epoch_best",
    ".staging",
    ".qstore.lock",
    "zarr.json",
    ".trash",
    "epoch_0001.zarr.zip.tmp",
    "EPOCH_0001",
    "\u{202e}epoch_0001",
];

/// Names next to a metrics file.
const METRICS_NAMES: [&str; 4] = [
    "metrics.parquet",
    ".metrics.parquet.twin",
    ".metrics.parquet.lock",
    "metrics.parquet.corrupt-1",
];

pub(crate) fn run(trial: &Arc<Trial>) {
    let mut cases: Vec<(String, Box<Lay>)> = Vec::new();
    for (trap_name, trap) in TRAPS {
        for name in METRICS_NAMES {
            let lay = move |work: &Path, outside: &Path| {
                trap(&work.join(name), outside);
                metrics(work);
            };
            cases.push((format!("metrics/{name}/{trap_name}"), Box::new(lay)));
        }
        for name in CHECKPOINT_NAMES {
            for layout in [Layout::SingleFile, Layout::Directory] {
                let lay = move |work: &Path, outside: &Path| {
                    trap(&work.join(name), outside);
                    checkpoints(work, layout);
                };
                let form = if layout == Layout::Directory { "directory" } else { "file" };
                cases.push((format!("{form}/{name}/{trap_name}"), Box::new(lay)));
            }
        }
    }
    let raw: [&[u8]; 3] = [b"epoch_\xff\xfe", b"epoch_0001\n", b"\x80"];
    for (number, name) in raw.into_iter().enumerate() {
        let lay = move |work: &Path, _: &Path| {
            fs::write(work.join(OsStr::from_bytes(name)), b"no text").unwrap();
            checkpoints(work, Layout::SingleFile);
            metrics(work);
        };
        cases.push((format!("names-that-are-no-text/{number}"), Box::new(lay)));
    }
    trial.plan(cases.len());
    trial.side_by_side(&cases, |(name, lay)| trial.case(name, || contained(&**lay)));
}

/// Runs one trap in a separate directory, within a time limit, and checks the directory outside afterwards.
fn contained(lay: &Lay) {
    let dir = tempfile::tempdir().unwrap();
    let (work, outside) = (dir.path().join("work"), dir.path().join("outside"));
    fs::create_dir(&work).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), SECRET).unwrap();
    thread::scope(|scope| {
        let (done, waits) = mpsc::channel();
        let (work, outside) = (&work, &outside);
        scope.spawn(move || {
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lay(work, outside)));
            let _ = done.send(outcome.is_ok());
        });
        // A thread that hangs cannot be ended, so the whole program fails.
        let Ok(is_fine) = waits.recv_timeout(PATIENCE) else {
            eprintln!("it hangs");
            std::process::exit(3);
        };
        assert!(is_fine, "it panicked");
    });
    // A link in place of a metrics file is followed, as by any program, so a new file may appear at its target.
    // Nothing else may appear.
    let mut names: Vec<_> =
        fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let is_named = fs::read_link(work.join("metrics.parquet"))
        .is_ok_and(|leads_to| leads_to == outside.join("nothing"));
    names.retain(|name| !(is_named && name == "nothing"));
    assert_eq!(names, ["secret"], "something was written outside");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), SECRET, "the file outside was changed");
}

/// Logs to a file there; this may fail.
fn metrics(work: &Path) {
    let path = work.join("metrics.parquet");
    let _ = MetricsFile::open(&path).and_then(|file| file.validate());
    if let Ok(mut log) = MetricsLog::<Row>::open(&path, WriterSettings::default().twin_bytes_min(0))
    {
        for n in 0..3_i64 {
            log.append(&Row::from([("n", n)]), Instant::now());
            let _ = log.flush();
        }
        if log.close().is_ok() {
            let file = MetricsFile::open(&path).expect("what was closed can be opened");
            assert!(file.rows() >= 3, "{} rows", file.rows());
        }
    }
}

fn checkpoints(work: &Path, layout: Layout) {
    let settings = CheckpointSettings::default().layout(layout).keep_last(1).workers(1);
    let Ok(mut manager) = CheckpointManager::open(work, settings) else { return };
    let model = |seed: i64| StateDict::from_iter([("w", Tensor::scalar(seed))]);
    let _ = manager.list_checkpoints();
    let _ = manager.load_latest();
    for epoch in [1, 2, 3] {
        let _ = manager.load(epoch);
        let saved = manager
            .save(Snapshot::new(epoch).model(model(epoch as i64)))
            .and_then(|ticket| ticket.wait(PATIENCE));
        if saved.is_ok() {
            let loaded = manager.load(epoch).expect("what was saved can be loaded");
            assert_eq!(loaded.model(), Some(&model(epoch as i64)));
        }
    }
    let _ = manager.list_checkpoints();
    let _ = manager.close(PATIENCE);
}
