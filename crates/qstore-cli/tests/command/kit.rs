//! Calls the command in this process, on a copy of the fixture whose paths, times and bytes are always the same.

use qstore_cli::console::{Screen, Waiting, World};
use qstore_cli::{Exit, run};
use qstore_run::{ProcessMark, RunPlace, Surroundings, ThisMachine};
use qstore_storage::LocalFs;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time that counts as now: 2026-12-01T12:00:00Z.
pub(crate) const NOW: u64 = 1_796_126_400;
/// The machine.
pub(crate) const HOST: &str = "lab-3";
pub(crate) const BOOT_ID: &str = "8f6c2d1e";

/// How long ago a file was changed.
fn age_of(path: &Path) -> u64 {
    let is_of = |run: &str| path.components().any(|part| part.as_os_str() == run);
    match () {
        () if is_of("run_001") => 3 * 86_400,
        () if is_of("run_002") => 86_400,
        () if is_of("run_004") => 300,
        () => 7_200,
    }
}

/// A machine on which nothing else lives.
#[derive(Debug)]
struct Lab;

impl Surroundings for Lab {
    fn host(&self) -> Option<String> {
        Some(HOST.into())
    }

    fn boot_id(&self) -> Option<String> {
        Some(BOOT_ID.into())
    }

    fn process(&self) -> ProcessMark {
        ThisMachine.process()
    }

    fn is_alive(&self, process: &ProcessMark) -> Option<bool> {
        ThisMachine.is_alive(process)
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }
}

/// Where the fixture lies, in every test of this program: the current directory is a copy of it.
static COPY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&package().join("tests/fixture"), copy.path());
    crash(&copy.path().join("runs/run_002"));
    std::env::set_current_dir(copy.path()).unwrap();
    copy
});

/// The directory of this crate.
pub(crate) fn package() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// The machine and its files.
pub(crate) fn place() -> RunPlace {
    RunPlace::new(Arc::new(LocalFs::new()), Arc::new(Lab))
}

/// Moves into the copy of the fixture, which no test changes.
pub(crate) fn enter() {
    LazyLock::force(&COPY);
}

/// A copy of the fixture that the test may change.
pub(crate) fn scratch() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&package().join("tests/fixture"), copy.path());
    crash(&copy.path().join("runs/run_002"));
    copy
}

/// Leaves the lock file that a killed writer leaves, and its number in the description of the run.
fn crash(run: &Path) {
    let lock = File::create(run.join(".run.lock")).unwrap().metadata().unwrap();
    let path = run.join("run.json");
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["attempts"][0]["lock"] = serde_json::json!([lock.dev(), lock.ino()]);
    fs::write(&path, file.to_string()).unwrap();
    set_time(&path);
}

fn set_time(path: &Path) {
    let changed = UNIX_EPOCH + Duration::from_secs(NOW - age_of(path));
    File::open(path).unwrap().set_modified(changed).unwrap();
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
        // Of a directory as well, after what lies in it: its time is else that of this call.
        set_time(&target);
    }
}

/// What a call printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Waits no time at all; a hook is called instead.
pub(crate) struct Hook<'a>(pub(crate) &'a mut dyn FnMut() -> bool);

impl Waiting for Hook<'_> {
    fn handle_interrupts(&mut self) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn wait(&mut self, _: Duration) {
        assert!((self.0)(), "the verb waits although nothing more will come");
    }
}

/// Calls a verb without a terminal.
pub(crate) fn call<S: AsRef<str>>(arguments: &[S]) -> Called {
    call_on(Screen::default(), arguments, &mut || false)
}

/// Calls a verb on that screen; `wait` is called whenever it waits.
pub(crate) fn call_on<S: AsRef<str>>(
    screen: Screen,
    arguments: &[S],
    wait: &mut dyn FnMut() -> bool,
) -> Called {
    enter();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let world = World {
        out: &mut out,
        err: &mut err,
        screen,
        place: place(),
        dir: "runs".into(),
        waiting: &mut Hook(wait),
    };
    let all = ["qstore"].into_iter().chain(arguments.iter().map(AsRef::as_ref));
    let exit = run(all, world);
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    Called { exit, out, err }
}
