//! Trying a mutant: its tests are built, run, and watched by the clock.
//!
//! Building and running are two steps, so that a mutant which does not compile is not taken for one that
//! was noticed, and the test program is a child of ours, which can be ended when a mutant makes it hang.

use super::copy::Copy;
use super::mutant::{Mutant, Tests};
use crate::error::{Error, Result};
use crate::process;
use crate::workspace::cargo_here;
use serde_json::Value;
use std::env;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any of the tests takes on a busy machine. A test that hangs has noticed something.
const PATIENCE: Duration = Duration::from_secs(300);

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Caught,
    Survived,
    /// It could not be tried.
    Broken {
        reason: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Caught => "caught",
            Self::Survived => "SURVIVED",
            Self::Broken { .. } => "BROKEN",
        })
    }
}

/// How some tests ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// A test failed, or hung.
    Failed,
    /// They do not compile, or there are none; in words.
    NotRun(String),
}

/// Tries one mutant after the other.
pub(super) struct Trial<'c> {
    copy: &'c Copy,
    /// Tests that were seen to pass without any change.
    sound: Vec<Tests>,
}

impl<'c> Trial<'c> {
    pub(super) fn new(copy: &'c Copy) -> Self {
        Self { copy, sound: Vec::new() }
    }

    /// What becomes of a mutant.
    pub(super) fn of(&mut self, mutant: &Mutant) -> Result<Verdict> {
        for tests in mutant.tests {
            // A test that fails anyway would notice everything.
            if !self.sound.contains(tests) {
                match self.run(tests)? {
                    Outcome::Passed => self.sound.push(*tests),
                    Outcome::Failed => return Ok(broken(tests, "fails without any change")),
                    Outcome::NotRun(reason) => return Ok(broken(tests, &reason)),
                }
            }
            match self.copy.with(mutant, || self.run(tests))? {
                Outcome::Passed => {}
                Outcome::Failed => return Ok(Verdict::Caught),
                Outcome::NotRun(reason) => return Ok(broken(tests, &reason)),
            }
        }
        Ok(Verdict::Survived)
    }

    fn run(&self, tests: &Tests) -> Result<Outcome> {
        let program = match self.build(tests)? {
            Ok(program) => program,
            Err(reason) => return Ok(Outcome::NotRun(reason)),
        };
        let said = self.copy.target("said.txt");
        let cannot = |error| Error::Failed(format!("cannot run {}: {error}", program.display()));
        let out = File::create(&said).map_err(cannot)?;
        let mut command = Command::new(&program);
        command.arg(tests.filter).current_dir(self.copy.root());
        command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null());
        let mut child = command.spawn().map_err(cannot)?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(cannot)? {
                break status;
            }
            if started.elapsed() > PATIENCE {
                child.kill().and_then(|()| child.wait()).map_err(cannot)?;
                return Ok(Outcome::Failed);
            }
            thread::sleep(Duration::from_millis(20));
        };
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        Ok(judge(status.success(), &said))
    }

    /// Builds the tests; the program, or why there is none.
    fn build(&self, tests: &Tests) -> Result<std::result::Result<PathBuf, String>> {
        let Tests { package, target, loom, .. } = tests;
        let mut cargo = cargo_here();
        cargo.current_dir(self.copy.root());
        cargo.args(["test", "--no-run", "--message-format", "json", "--package", package]);
        match target {
            Some(name) => cargo.args(["--test", name]),
            None => cargo.arg("--lib"),
        };
        cargo.env_remove("CARGO_TARGET_DIR").arg("--target-dir");
        cargo.arg(self.copy.target(if *loom { "loom" } else { "plain" }));
        if *loom {
            let flags = env::var("RUSTFLAGS").unwrap_or_default();
            cargo.env("RUSTFLAGS", format!("{flags} --cfg loom"));
            cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
        }
        let output = process::output(&mut cargo)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = messages(&said).filter_map(|message| {
                let error = message["message"]["level"] == "error";
                error.then(|| message["message"]["rendered"].as_str().map(str::to_owned))?
            });
            let errors: Vec<_> = errors.collect();
            let rest = String::from_utf8_lossy(&output.stderr).into_owned();
            return Ok(Err(if errors.is_empty() { rest } else { errors.concat() }));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let program = messages(&said).filter_map(|message| {
            let is_test = message["profile"]["test"] == true;
            is_test.then(|| message["executable"].as_str().map(PathBuf::from))?
        });
        Ok(program.last().ok_or_else(|| "cargo names no test program".into()))
    }
}

fn messages(said: &str) -> impl Iterator<Item = Value> + '_ {
    said.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn broken(tests: &Tests, reason: &str) -> Verdict {
    let Tests { package, filter, .. } = tests;
    Verdict::Broken { reason: format!("`{filter}` of {package}: {reason}") }
}

/// What a test program's own closing line means.
fn judge(succeeded: bool, said: &str) -> Outcome {
    if !succeeded {
        return Outcome::Failed;
    }
    let passed = said.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    let passed = passed.filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    match passed.sum::<usize>() {
        0 => Outcome::NotRun("there is no such test".into()),
        _ => Outcome::Passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_finds_nothing_is_not_a_pass() {
        let none = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored\n";
        assert!(matches!(judge(true, none), Outcome::NotRun(_)));
        let some = "test result: ok. 3 passed; 0 failed; 0 ignored\n";
        assert_eq!(judge(true, some), Outcome::Passed);
        assert_eq!(judge(false, some), Outcome::Failed);
    }

    #[test]
    fn verdicts_stand_in_a_column() {
        assert_eq!(format!("{:9}|", Verdict::Caught), "caught   |");
    }
}
