//! `cargo xtask bench`: measures ours, our peers and the hardware's limit side by side.
//!
//! The sets live in the package `qstore-bench`, which keeps the rivals' dependencies out of every
//! library; this file builds it, optimised, and starts it. With `--peers` it makes the environment of
//! the Python peers first.

mod peers;

use crate::error::Result;
use crate::process;
use crate::workspace::{Workspace, cargo_here};
use std::ffi::OsString;

pub(crate) const ARGUMENTS: &str = "[SET…] [--long] [--peers] [--baseline FILE] [--write-docs] …";
pub(crate) const ABOUT: &str =
    "measure: buffer, logger, parquet, checkpoint, end_to_end, scaling, instructions (no SET: all)";

/// Tells the bench program where the Python peers are.
const PEERS: &str = "QSTORE_PEERS";

const PACKAGE: [&str; 5] = ["--release", "--package", "qstore-bench", "--features", "peers"];

/// Runs the bench program with everything that was typed, but for `--peers`, which is done here.
pub(crate) fn run(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    let (with_peers, words) = without_peers(arguments.raw_args()?);
    let mut cargo = cargo_here();
    cargo.arg("run").args(PACKAGE).arg("--").args(words);
    if with_peers {
        cargo.env(PEERS, peers::prepare(workspace.root(), &workspace.target()?)?);
    } else {
        cargo.env_remove(PEERS);
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
}
