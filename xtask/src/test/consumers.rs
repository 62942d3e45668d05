//! Programs outside the workspace that take a single crate, as a stranger would.
//!
//! Each must build, run, and carry nothing it did not ask for. Before it is built each gets a copy
//! of the workspace's `Cargo.lock`: so it is tested with the versions the workspace was tested
//! with, and needs no network, because the workspace has downloaded every one of them. cargo then
//! strikes from the copy what the consumer does not use. The copies are ignored by git.

use std::fs;
use std::path::Path;

use super::tally::Tally;
use crate::error::{Error, Result};
use crate::process;
use crate::workspace::Workspace;

/// A consumer below `tests/consumers/`, and the beginnings of crate names that its dependency tree
/// must not show.
struct Consumer {
    directory: &'static str,
    without: &'static [&'static str],
}

const CONSUMERS: &[Consumer] = &[
    Consumer {
        directory: "buffer-only",
        without: &["parquet", "arrow", "zarrs", "blosc", "zstd", "qstore-schema", "qstore-storage"],
    },
    Consumer {
        directory: "checkpoint-only",
        without: &["parquet", "arrow", "qstore-parquet", "qstore-logger"],
    },
    Consumer { directory: "map-repository", without: &["parquet", "arrow", "qstore-parquet"] },
];

/// Builds, runs and inspects every consumer; each counts as one test.
pub(super) fn check(workspace: &Workspace, target: &Path) -> Tally {
    let mut tally = Tally::default();
    for consumer in CONSUMERS {
        eprintln!("--- {}", consumer.directory);
        match check_one(workspace, target, consumer) {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                eprintln!("{}", error.message().unwrap_or_default());
                tally.failed += 1;
            }
        }
    }
    tally
}

fn check_one(workspace: &Workspace, target: &Path, consumer: &Consumer) -> Result {
    let home = workspace.root().join("tests").join("consumers").join(consumer.directory);
    let manifest = home.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Error::Failed(format!("there is no {}", manifest.display())));
    }
    let (from, to) = (workspace.root().join("Cargo.lock"), home.join("Cargo.lock"));
    fs::copy(&from, &to).map_err(|error| {
        Error::Failed(format!("cannot copy {} to {}: {error}", from.display(), to.display()))
    })?;

    let mut run = workspace.cargo();
    run.args(["run", "--manifest-path"]).arg(&manifest);
    run.arg("--target-dir").arg(target.join("consumers"));
    process::run(&mut run)?;

    let mut tree = workspace.cargo();
    tree.args(["tree", "--prefix", "none", "--edges", "normal,build", "--manifest-path"]);
    let intruders = intruders(&process::read(tree.arg(&manifest))?, consumer.without);
    if intruders.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{} depends on {}; find the way with `cargo tree --invert {} --manifest-path {}`",
        consumer.directory,
        intruders.join(", "),
        intruders[0],
        manifest.display()
    )))
}

/// The crates of a `cargo tree --prefix none` listing whose name begins with a forbidden word.
fn intruders(tree: &str, without: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| without.iter().any(|word| name.starts_with(word)))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "buffer-only v0.1.0 (/q/tests/consumers/buffer-only)\n\
        qstore-buffer v0.1.0 (/q/crates/qstore-buffer)\n\
        crossbeam-queue v0.3.12\n";

    #[test]
    fn a_lean_tree_has_no_intruders() {
        assert!(intruders(TREE, CONSUMERS[0].without).is_empty());
    }

    #[test]
    fn an_intruder_is_named_once() {
        let tree = format!("{TREE}arrow-array v60.1.0\nbytes v1.0.0\narrow-array v60.1.0 (*)\n");
        assert_eq!(intruders(&tree, CONSUMERS[0].without), ["arrow-array"]);
    }
}
