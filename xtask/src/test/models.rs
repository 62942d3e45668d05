//! The ring and its wake-up under the model checkers: the crate built once more for each.
//!
//! A model checker replaces the atomics, so it needs a build of its own, in a target directory of its
//! own; only the ring's crate and the checker are in it. How many random orders shuttle runs can be
//! set with `QSTORE_SCHEDULES`; without it the tests choose.

use std::env;
use std::path::Path;
use std::process::Command;

use super::tally::Tally;
use super::{count, judge};
use crate::error::Result;
use crate::workspace::Workspace;

/// What is checked, and the word its tests have in their names.
const PACKAGE: &str = "qstore-buffer";
const TESTS: &str = "models::";

const CHECKERS: [&str; 2] = ["loom", "shuttle"];

/// Runs the models under every checker.
pub(super) fn check(workspace: &Workspace, target: &Path) -> Result<Tally> {
    CHECKERS.iter().try_fold(Tally::default(), |sum, checker| {
        eprintln!("--- {checker}");
        let mut cargo = command(workspace, target, checker);
        let (status, tally) = count(&mut cargo, Tally::hear_libtest)?;
        Ok(sum + judge(&cargo, status, tally)?)
    })
}

/// A command for each checker.
pub(super) fn commands(workspace: &Workspace, target: &Path) -> Vec<Command> {
    CHECKERS.iter().map(|checker| command(workspace, target, checker)).collect()
}

fn command(workspace: &Workspace, target: &Path, checker: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--package", PACKAGE, "--lib", "--target-dir"]);
    cargo.arg(target.join("models").join(checker)).arg(TESTS);
    // What the person has set stays; a variable of cargo's own would make it ignore ours.
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    cargo.env("RUSTFLAGS", format!("{flags} --cfg {checker}"));
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}
