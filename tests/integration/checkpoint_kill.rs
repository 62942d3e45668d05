//! `kill -9` in the middle of saving, overwriting and removing checkpoints, in both layouts.
//!
//! This test program is started again as the one that saves. It records in a journal what it has started and what
//! was reported as durable, and is killed at a random moment. Whatever is in the directory is then compared here
//! immediately, and by zarr-python from a copy.

use qstore::{
    CheckpointManager, CheckpointSettings, Checkpoints, Layout, Snapshot, StateDict, Tensor,
};
use qstore_tests::readers;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The variable that names the directory, in the program that is killed.
const DIR: &str = "QSTORE_KILL_DIR";
const LAYOUT: &str = "QSTORE_KILL_LAYOUT";
/// The variable for the number of kills per layout.
const KILLS: &str = "QSTORE_KILLS";
const KILLS_DEFAULT: usize = 20;

/// Saves of seed `n` go to one of these epochs, so that most overwrite one.
const EPOCHS: u64 = 4;
const KEEP_LAST: usize = 3;
const LONG: Duration = Duration::from_mins(1);

fn epoch_of(seed: u64) -> u64 {
    seed * 7 % EPOCHS
}

fn values(seed: u64, tensor: u64) -> Vec<u32> {
    (0..500).map(|i| (seed as u32).wrapping_mul(2_654_435_761) ^ (i * 31 + tensor as u32)).collect()
}

fn model(seed: u64) -> StateDict {
    let tensor = |name: u64| Tensor::from_vec(values(seed, name), [25, 20]).unwrap();
    let mut model: StateDict = (0..5).map(|name| (format!("w{name}"), tensor(name))).collect();
    model.insert("seed", Tensor::scalar(seed));
    model
}

fn settings(layout: Layout) -> CheckpointSettings {
    CheckpointSettings::default().keep_last(KEEP_LAST).chunk_bytes(512).layout(layout)
}

/// The program that is killed; in an ordinary run of the tests it does nothing.
#[test]
fn the_one_that_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let layout = match std::env::var(LAYOUT).as_deref() {
        Ok("directory") => Layout::Directory,
        _ => Layout::SingleFile,
    };
    let dir = PathBuf::from(dir);
    let mut journal =
        OpenOptions::new().append(true).create(true).open(dir.join("journal")).unwrap();
    let manager = CheckpointManager::open(dir.join("checkpoints"), settings(layout)).unwrap();
    let first = Journal::read(&dir).begun + 1;
    for seed in first.. {
        // One write each: a kill must not leave half a line that the next program continues.
        journal.write_all(format!("begin {seed}\n").as_bytes()).unwrap();
        manager.save(Snapshot::new(epoch_of(seed)).model(model(seed))).unwrap().wait(LONG).unwrap();
        journal.write_all(format!("durable {seed}\n").as_bytes()).unwrap();
    }
}

#[derive(Default)]
struct Journal {
    begun: u64,
    durable: u64,
}

impl Journal {
    fn read(dir: &Path) -> Self {
        let mut journal = Self::default();
        let text = fs::read_to_string(dir.join("journal")).unwrap_or_default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            match line.trim_end().split_once(' ') {
                Some(("begin", seed)) => journal.begun = seed.parse().unwrap(),
                Some(("durable", seed)) => journal.durable = seed.parse().unwrap(),
                _ => panic!("{line}"),
            }
        }
        journal
    }
}

#[test]
fn kills_at_random_leave_whole_checkpoints_and_the_last_one_that_was_acknowledged() {
    let asked = std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok());
    let kills: usize = asked.unwrap_or(KILLS_DEFAULT);
    let seed = std::env::var("QSTORE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (name, layout) in [("file", Layout::SingleFile), ("directory", Layout::Directory)] {
        let tmp = tempfile::tempdir().unwrap();
        let (mut expected, mut saves, mut unacknowledged) = (Vec::new(), 0, 0);
        for kill in 0..kills {
            kill_one(tmp.path(), name, &mut random);
            let journal = Journal::read(tmp.path());
            saves = journal.begun;
            unacknowledged += usize::from(journal.begun > journal.durable);
            let copy = tmp.path().join(format!("copy-{kill}"));
            expected.extend(check(&tmp.path().join("checkpoints"), &copy, &journal, layout));
        }
        let count = expected.len();
        let expected = readers::expect(tmp.path(), &json!(expected));
        let said = readers::run("checkpoint.py", &[&expected]);
        println!(
            "{kills} cases: {name}, in {saves} saves, {unacknowledged} of them under way; {count} looks: {said}"
        );
        // The run can be continued.
        let manager = CheckpointManager::open(tmp.path().join("checkpoints"), settings(layout));
        let mut manager = manager.unwrap();
        manager.save(Snapshot::new(99).model(model(99))).unwrap().wait(LONG).unwrap();
        assert_eq!(manager.latest_checkpoint().unwrap(), Some(99));
        // What a save has replaced is removed after the acknowledgement.
        manager.close(LONG).unwrap();
        assert!(!tmp.path().join("checkpoints/.staging").exists(), "leftovers are collected");
    }
}

/// Starts the program that saves, and kills it a moment after a random number of saves.
fn kill_one(dir: &Path, layout: &str, random: &mut fastrand::Rng) {
    let before = Journal::read(dir).durable;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "checkpoint_kill::the_one_that_is_killed", "--nocapture"])
        .env(DIR, dir)
        .env(LAYOUT, layout)
        .stdout(Stdio::null())
        .stderr(File::create(dir.join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let wanted = before + random.u64(0..4);
    let deadline = Instant::now() + LONG;
    while Journal::read(dir).durable < wanted.max(1) {
        let said = || fs::read_to_string(dir.join("stderr")).unwrap_or_default();
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself: {}", said());
        assert!(Instant::now() < deadline, "it saves nothing");
        std::thread::yield_now();
    }
    // Somewhere within the next save or two; nothing depends on its duration.
    let moment = Instant::now() + Duration::from_micros(random.u64(0..12_000));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Compares everything listed with what was saved. Returns what other readers must find in a copy.
fn check(dir: &Path, copy: &Path, journal: &Journal, layout: Layout) -> Vec<Value> {
    // Read first without a writer, as another program would.
    let checkpoints = Checkpoints::open(dir).unwrap();
    let listed = checkpoints.list_checkpoints().unwrap();
    let latest = checkpoints.load_latest().unwrap().expect("one save was acknowledged at least");
    assert!(latest.skipped.is_empty(), "{:?}", latest.skipped);
    let newest = seed_of(latest.checkpoint.model().unwrap());
    assert!((journal.durable..=journal.begun).contains(&newest), "{newest}");
    assert!(listed.len() <= KEEP_LAST + 1, "{listed:?}");
    copy_tree(dir, copy);
    let mut expected = Vec::new();
    let mut members = Vec::new();
    for epoch in listed {
        checkpoints.verify(epoch).unwrap();
        let seed = seed_of(checkpoints.load(epoch).unwrap().model().unwrap());
        assert_eq!(epoch_of(seed), epoch);
        let mut name = format!("epoch_{epoch:04}");
        members.push(name.clone());
        if layout == Layout::SingleFile {
            name += ".zarr.zip";
        }
        let array = |tensor: u64| {
            let hex: String = values(seed, tensor).iter().map(|v| hex(&v.to_le_bytes())).collect();
            (format!("model/w{tensor}"), json!({"dtype": "uint32", "shape": [25, 20], "hex": hex}))
        };
        let mut arrays: serde_json::Map<String, Value> = (0..5).map(array).collect();
        let scalar = json!({"dtype": "uint64", "shape": [], "hex": hex(&seed.to_le_bytes())});
        arrays.insert("model/seed".into(), scalar);
        let attributes = json!({ "epoch": epoch });
        let path = copy.join(name);
        expected.push(json!({ "path": path, "attributes": attributes, "arrays": arrays }));
    }
    if layout == Layout::Directory {
        expected.push(json!({ "path": copy, "members": members }));
    }
    expected
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
        text
    })
}

/// The seed of an intact model.
fn seed_of(state: &StateDict) -> u64 {
    let seed = state.tensor("seed").unwrap().to_vec::<u64>().unwrap()[0];
    assert_eq!(*state, model(seed), "a mixture");
    seed
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
