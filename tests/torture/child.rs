//! The child process that is killed: this same program, started again.
//!
//! `torture --child SCENARIO/WAY DIR [AT]` runs a scenario in a directory on the real file system, records what
//! it was promised in `DIR/promised`, and sends itself `SIGKILL` before change number AT.

use qstore::storage::{FileSystem, LocalFs};
use qstore_storage::testing::{Step, Verdict, WatchedFs, Watcher};
use qstore_tests::promises::Promises;
use qstore_tests::{checkpoint_run, metrics_run};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Printed by a child that reached its end, followed by the number of its changes.
const ENDED: &str = "ended after ";

/// The directory in which a child works.
pub(crate) fn work(dir: &Path) -> PathBuf {
    dir.join("work")
}

/// The file in which it records what it was promised.
pub(crate) fn promised(dir: &Path) -> PathBuf {
    dir.join("promised")
}

/// All scenarios of a child.
pub(crate) fn scenarios() -> Vec<String> {
    let metrics = metrics_run::ways().map(|(name, _)| format!("metrics/{name}"));
    let checkpoints = checkpoint_run::WAYS.map(|way| format!("checkpoints/{}", way.name));
    metrics.into_iter().chain(checkpoints).collect()
}

/// The command that starts a child.
pub(crate) fn command(scenario: &str, dir: &Path, at: Option<usize>) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program knows its own path"));
    command.arg("--child").arg(scenario).arg(dir).args(at.map(|at| at.to_string()));
    command.stdin(Stdio::null());
    command
}

/// The number of changes that a child makes if it is not killed.
pub(crate) fn changes(scenario: &str, dir: &Path) -> usize {
    let output = command(scenario, dir, None).output().expect("a child can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let changes = said.trim().strip_prefix(ENDED).and_then(|changes| changes.parse().ok());
    changes.unwrap_or_else(|| panic!("{scenario} did not come to its end: {output:?}"))
}

/// Checks what a child left; `acknowledged` is what it had been promised.
pub(crate) fn check(scenario: &str, dir: &Path, acknowledged: i64) {
    let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
    match checkpoint_way(scenario) {
        Some(way) => checkpoint_run::check(&work(dir), &storage, way, acknowledged),
        None => metrics_run::check(&work(dir), &storage, acknowledged),
    }
}

/// Saves what the run of a checkpoint scenario will replace and remove.
pub(crate) fn prepare(scenario: &str, dir: &Path) {
    let way = checkpoint_way(scenario).expect("it is a scenario of checkpoints");
    let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
    checkpoint_run::prepare(&work(dir), &storage, way);
}

fn checkpoint_way(scenario: &str) -> Option<checkpoint_run::Way> {
    let name = scenario.strip_prefix("checkpoints/")?;
    checkpoint_run::WAYS.into_iter().find(|way| way.name == name)
}

/// Kills the whole process before one of its changes.
#[derive(Debug)]
struct Killer {
    at: Option<usize>,
    count: AtomicUsize,
}

impl Watcher for Killer {
    fn before(&self, step: &Step<'_>) -> Verdict {
        if step.is_change && Some(self.count.fetch_add(1, SeqCst)) == self.at {
            let id = std::process::id().to_string();
            let sent = Command::new("kill").args(["-9", &id]).status();
            // The signal has been delivered by now, unless there is no `kill`.
            panic!("still alive: {sent:?}");
        }
        Verdict::Proceed
    }
}

/// The main function of a child.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let [scenario, dir, at @ ..] = arguments else { return ExitCode::from(2) };
    let dir = Path::new(dir);
    let at = at.first().and_then(|at| at.parse().ok());
    let killer = Killer { at, count: AtomicUsize::new(0) };
    let storage = WatchedFs::over(Arc::new(LocalFs::new()), killer);
    let told = Promises::logged(&promised(dir));
    if let Some(way) = checkpoint_way(scenario) {
        if !way.syncs_trees {
            storage.sync_files_one_by_one();
        }
        checkpoint_run::run(&work(dir), &storage.shared(), way, &told);
    } else {
        let name = scenario.strip_prefix("metrics/");
        let way = metrics_run::ways().into_iter().find(|(way, _)| Some(*way) == name);
        let Some((_, settings)) = way else { return ExitCode::from(2) };
        metrics_run::run(&work(dir), &storage.shared(), &settings, &told);
    }
    println!("{ENDED}{}", storage.watcher().count.load(SeqCst));
    ExitCode::SUCCESS
}
