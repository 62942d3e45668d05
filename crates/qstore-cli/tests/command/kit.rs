//! Calls the command in this process, on a copy of the fixture whose paths, times and bytes are always the same.

use qstore_cli::console::{Screen, Waiting, World};
use qstore_cli::{Exit, run};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time that counts as now: 2026-12-01T12:00:00Z.
pub(crate) const NOW: u64 = 1_796_126_400;
/// The metrics files were changed an hour before.
const CHANGED: u64 = NOW - 3_600;

/// Where the fixture lies, in every test of this program: the current directory is a copy of it.
static COPY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&package().join("tests/fixture"), copy.path());
    std::env::set_current_dir(copy.path()).unwrap();
    copy
});

/// The directory of this crate.
pub(crate) fn package() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Moves into the copy of the fixture, which no test changes.
pub(crate) fn enter() {
    LazyLock::force(&COPY);
}

/// A copy of the fixture that the test may change.
pub(crate) fn scratch() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&package().join("tests/fixture"), copy.path());
    copy
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
            let changed = UNIX_EPOCH + Duration::from_secs(CHANGED);
            File::options().write(true).open(&target).unwrap().set_modified(changed).unwrap();
        }
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
        now: now(),
        dir: "runs".into(),
        waiting: &mut Hook(wait),
    };
    let all = ["qstore"].into_iter().chain(arguments.iter().map(AsRef::as_ref));
    let exit = run(all, world);
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    Called { exit, out, err }
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}
