//! A verb that reads leaves every byte and every time as it was, and needs no right to write.

use super::kit::{call, scratch};
use qstore_cli::Exit;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Everything but the time of the last access.
type Facts = BTreeMap<PathBuf, (u32, i64, i64, i64, Vec<u8>)>;

fn look(dir: &Path, facts: &mut Facts) {
    let metadata = fs::symlink_metadata(dir).unwrap();
    let bytes = if metadata.is_file() { fs::read(dir).unwrap() } else { Vec::new() };
    let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime_nsec());
    facts.insert(dir.into(), (metadata.mode(), times.0, times.1, times.2, bytes));
    if metadata.is_dir() {
        for entry in fs::read_dir(dir).unwrap() {
            look(&entry.unwrap().path(), facts);
        }
    }
}

fn set_mode(dir: &Path, is_writable: bool) {
    let metadata = fs::symlink_metadata(dir).unwrap();
    let mode = if is_writable { metadata.mode() | 0o200 } else { metadata.mode() & !0o222 };
    if metadata.is_dir() {
        for entry in fs::read_dir(dir).unwrap() {
            set_mode(&entry.unwrap().path(), is_writable);
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn reading_verbs_change_nothing() {
    let copy = scratch();
    let dir = copy.path();
    set_mode(dir, false);
    let mut before = Facts::new();
    look(dir, &mut before);
    let at = |path: &str| dir.join(path).display().to_string();
    let (runs, run, crashed) = (at("runs"), at("runs/run_003"), at("runs/run_004"));
    let checkpoint = at("runs/run_003/checkpoints/epoch_0002.zarr.zip");
    let other = at("runs/run_003/checkpoints/epoch_0003.zarr.zip");
    // What is exported is written elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = |name: &str| elsewhere.path().join(name).display().to_string();
    let (csv, svg) = (elsewhere("x.csv"), elsewhere("x.svg"));
    let tensors = elsewhere("x.safetensors");
    let calls: &[(&[&str], Exit)] = &[
        (&["verify", &runs], Exit::Done),
        (&["verify", "--quick", &runs], Exit::Done),
        (&["verify", &at("damaged")], Exit::Damaged),
        (&["show", &run], Exit::Done),
        (&["show", &crashed], Exit::Done),
        (&["show", &checkpoint, "--stats"], Exit::Done),
        (&["show", &at("runs/run_003/checkpoints")], Exit::Done),
        (&["ls", &runs], Exit::Done),
        (&["ls", &runs, "-m", "train_loss:max", "--sort", "best"], Exit::Done),
        (&["show", &at("runs/run_002")], Exit::Done),
        (&["ls", "--deep", &runs], Exit::Done),
        (&["jobs", &at("jobs")], Exit::Done),
        (&["plot", &run, "-y", "train_loss", "--svg", &svg], Exit::Done),
        (&["export", &run, "-o", &tensors, "--force"], Exit::Done),
        (&["export", &checkpoint, "-o", &tensors, "--force"], Exit::Done),
        (&["plot", &run, "-y", "train_loss"], Exit::Done),
        (&["report", &run, &crashed, "--force", "-o", &elsewhere("x.html")], Exit::Done),
        (&["compare", &run, &crashed], Exit::Done),
        (&["compare", &runs, "--all"], Exit::Done),
        (&["tag", &run], Exit::Done),
        (&["note", &run], Exit::Done),
        (&["recover", &run], Exit::Done),
        (&["recover", &at("damaged/longer.parquet")], Exit::Damaged),
        (&["export", &run, "-o", &csv, "--force"], Exit::Done),
        (&["export", &runs, "--all", "-o", &csv, "--force"], Exit::Done),
        (&["tail", &run], Exit::Done),
        (&["tail", &run, "-f"], Exit::Done),
        (&["tail", &crashed, "--epochs"], Exit::Done),
        (&["diff", &checkpoint, &other], Exit::Done),
        (&["explain", &run], Exit::Done),
        (&["explain", &run, "--keep-last", "1"], Exit::Done),
        (&["prune", &run, "--keep-last", "1"], Exit::Done),
    ];
    for (arguments, exit) in calls {
        for json in [None, Some("--json")] {
            if json.is_some() && arguments.contains(&"-f") {
                continue;
            }
            let (verb, rest) = arguments.split_first().unwrap();
            let all: Vec<&str> =
                [*verb].into_iter().chain(json).chain(rest.iter().copied()).collect();
            let called = call(&all);
            assert_eq!(called.exit, *exit, "{all:?}: {}", called.err);
            let mut after = Facts::new();
            look(dir, &mut after);
            assert!(before == after, "{all:?} has changed something");
        }
    }
    set_mode(dir, true);
}
