//! `cargo xtask bench`: measures ours, our peers and the hardware's limit side by side.
//!
//! The sets live in the package `qstore-bench`, which keeps the rivals' dependencies out of every
//! library; this file builds it, optimized, and starts it. With `--peers` it makes the environments of
//! the Python peers first, those that the sets want.

mod peers;

use crate::error::Result;
use crate::package;
use crate::process;
use crate::python::{CANDIDATES, Interpreter};
use crate::workspace::{Workspace, cargo_here};
use std::ffi::OsString;

use peers::GROUPS;

pub(crate) const ARGUMENTS: &str = "[SET…] [--long] [--peers] [--baseline FILE] [--write-docs] …";
pub(crate) const ABOUT: &str = "measure: buffer, logger, parquet, checkpoint, ledger, end_to_end, python, view, live, command, scaling, instructions (no SET: all)";

/// The sets, as [`ABOUT`] has them.
const SETS: [&str; 12] = [
    "buffer",
    "logger",
    "parquet",
    "checkpoint",
    "ledger",
    "end_to_end",
    "python",
    "view",
    "live",
    "command",
    "scaling",
    "instructions",
];

const PACKAGE: [&str; 5] = ["--release", "--package", "qstore-bench", "--features", "peers"];

/// Runs the bench program with everything that was typed, but for `--peers`, which is done here.
pub(crate) fn run(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    let (with_peers, words) = without_peers(arguments.raw_args()?);
    let mut cargo = cargo_here();
    cargo.arg("run").args(PACKAGE).arg("--").args(&words);
    for group in GROUPS {
        let is_wanted = group.only_for.iter().any(|set| is_asked_for(set, &words));
        if with_peers && (group.only_for.is_empty() || is_wanted) {
            match group.prepare(workspace.root(), &workspace.target()?) {
                Ok(home) => cargo.env(group.variable, home),
                // The others can be measured without it; the program names what it misses.
                Err(error) if !group.only_for.is_empty() => {
                    eprintln!("{}", error.message().unwrap_or_default());
                    cargo.env_remove(group.variable)
                }
                Err(error) => return Err(error),
            };
        } else {
            cargo.env_remove(group.variable);
        }
    }
    if is_asked_for("python", &words) {
        let interpreter = Interpreter::find(None, CANDIDATES)?;
        let package = package::build(workspace, &workspace.target()?, true)?;
        cargo.env("QSTORE_PACKAGE", package).env("QSTORE_PACKAGE_PYTHON", interpreter.program);
    }
    // The program counts with another one, which has an allocator of its own.
    let mut build = cargo_here();
    process::run(build.arg("build").args(PACKAGE).args(["--examples", "--bins"]))?;
    process::run_in_our_place(&mut cargo)
}

fn without_peers(words: impl Iterator<Item = OsString>) -> (bool, Vec<OsString>) {
    let words: Vec<_> = words.collect();
    let rest: Vec<_> = words.iter().filter(|word| *word != "--peers").cloned().collect();
    (rest.len() < words.len(), rest)
}

/// Whether the words name this set, or none, which means all.
fn is_asked_for(set: &str, words: &[OsString]) -> bool {
    let mut named = words.iter().filter(|word| SETS.iter().any(|set| word == set)).peekable();
    named.peek().is_none() || named.any(|word| word == set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_peers_are_ours_to_see_to() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let (with_peers, rest) = without_peers(words("buffer --peers --long").into_iter());
        assert!(with_peers);
        assert_eq!(rest, words("buffer --long"));
        assert!(!without_peers(words("buffer").into_iter()).0);
    }

    #[test]
    fn no_set_is_every_set() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for line in ["--long", "checkpoint", "buffer --long checkpoint"] {
            assert!(is_asked_for("checkpoint", &words(line)), "{line}");
        }
        assert!(!is_asked_for("checkpoint", &words("buffer --long")));
        assert!(ABOUT.contains(&SETS.join(", ")));
    }
}
