//! What a reader must know of a run to believe its figures: machine, versions, commit, how it was called.

use super::date;
use super::machine::Machine;
use crate::run::Run;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// The lock file this program was built from.
const LOCK: &str = include_str!("../../../Cargo.lock");

const COMMAND: &str = "cargo xtask bench";

/// Stands between the words of two runs.
const NEXT: &str = ";";

/// The crates whose versions are reported: the peers and our own dependencies.
const CRATES: [&str; 9] = [
    "crossbeam-channel",
    "crossbeam-queue",
    "parquet",
    "rusqlite",
    "safetensors",
    "tracing-appender",
    "zarrs",
    "blosc-src",
    "zstd",
];

/// Where, when and of what a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    /// Compiler, crates and Python packages.
    pub(crate) versions: BTreeMap<String, String>,
    /// The words behind `cargo xtask bench`; of several runs, one command after the other.
    pub(crate) words: Vec<String>,
    pub(crate) seconds: f64,
}

impl About {
    /// Of the run that has just ended.
    pub(crate) fn of_this_run(run: &Run<'_>, words: &[String], took: Duration) -> Self {
        let rustc = line_of(Command::new("rustc").arg("--version")).unwrap_or_default();
        let rustc = rustc.trim_start_matches("rustc ").to_owned();
        let mut versions = BTreeMap::from([("rustc".to_owned(), rustc)]);
        for name in CRATES {
            if let Some(version) = locked(LOCK, name) {
                versions.insert(format!("{name} (crate)"), version.to_owned());
            }
        }
        let mut words = words.to_vec();
        for (name, version) in run.peers.versions().chain(run.torch.versions()) {
            versions.insert(format!("{name} (Python)"), version.to_owned());
        }
        if run.peers.versions().next().is_some() {
            words.push("--peers".into());
        }
        Self {
            date: date::today(),
            commit: commit().unwrap_or_else(|| "unknown".into()),
            machine: Machine::here(run.scratch),
            versions,
            words,
            seconds: took.as_secs_f64(),
        }
    }

    /// Of two runs that make one report.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.words.push(NEXT.to_owned());
        self.words.extend(other.words);
        self.versions.extend(other.versions);
        self.seconds += other.seconds;
        self
    }

    /// The command that makes such a run, or the commands.
    pub(crate) fn command(&self) -> String {
        let mut command = COMMAND.to_owned();
        for word in &self.words {
            if word == NEXT {
                command.push_str("; ");
                command.push_str(COMMAND);
            } else {
                command.push(' ');
                command.push_str(word);
            }
        }
        command
    }

    /// One for tests.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        Self {
            date: "2026-02-28".into(),
            commit: "0123456789ab".into(),
            machine: Machine {
                processor: "A processor".into(),
                cores: 2,
                memory_gb: 24.0,
                kernel: "Linux 6.1".into(),
                file_system: "ext4".into(),
                is_virtual: false,
            },
            versions: BTreeMap::from([("rustc".into(), "1.91.0".into())]),
            words: vec!["--long".into()],
            seconds: 754.0,
        }
    }
}

/// The commit that is checked out, and whether something was changed since.
fn commit() -> Option<String> {
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        line_of(git.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(words))
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    Some(if is_changed { commit + " with changes" } else { commit })
}

/// The first line that a program prints.
fn line_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// The version of a crate in a lock file.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    behind.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_crates_are_in_the_lock_file() {
        for name in CRATES {
            let version = locked(LOCK, name).unwrap_or_else(|| panic!("{name} is not locked"));
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name} {version}");
        }
        assert_eq!(locked(LOCK, "no-such-crate"), None);
    }

    #[test]
    fn the_command_is_as_it_was_typed() {
        assert_eq!(About::example().command(), "cargo xtask bench --long");
    }
}
