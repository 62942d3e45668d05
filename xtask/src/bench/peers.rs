//! The Python environments with the peers of the benches.
//!
//! Each is made once under `target/` from a list in `benches/python`, one package after the other: one
//! that cannot be installed does not keep the others away. `installed.json` in it tells which package
//! has which version, or why it is missing. torch has an environment of its own: it is larger than
//! all others together, one set only wants it, and if it fails, all that it left is removed.

use serde_json::{Map, json};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::process;
use crate::python::{self, Environment, Interpreter, cannot};

/// Peers that are installed together.
pub(super) struct Group {
    /// The name of the environment below `target/`.
    name: &'static str,
    /// Its packages, below `benches/python`.
    list: &'static str,
    /// Tells the bench program where the environment is.
    pub(super) variable: &'static str,
    /// The sets that are measured with them; empty: all.
    pub(super) only_for: &'static [&'static str],
}

/// All of them.
pub(super) const GROUPS: [Group; 2] = [
    Group { name: "peers-venv", list: "peers.txt", variable: "QSTORE_PEERS", only_for: &[] },
    Group {
        name: "torch-venv",
        list: "torch.txt",
        variable: "QSTORE_TORCH",
        only_for: &["checkpoint", "python"],
    },
];

/// The original has a wheel for 3.11 only, so that comes first.
const CANDIDATES: &[&str] = &["python3.11", "python3", "python3.12", "python3.13", "python"];

impl Group {
    /// Makes the environment or finds the one made before, and returns where it is.
    pub(super) fn prepare(&self, root: &Path, target: &Path) -> Result<PathBuf> {
        let list_path = root.join("benches").join("python").join(self.list);
        let list =
            fs::read_to_string(&list_path).map_err(|error| cannot("read", &list_path, &error))?;
        let interpreter = Interpreter::find(None, CANDIDATES)?;
        let environment = Environment { home: target.join(self.name) };
        let stamp = format!("{}\n{list}", interpreter.identity);

        let _turn = python::wait_for_turn(target, self.name)?;
        if environment.is_ready(&stamp) {
            eprintln!("reusing {}", environment.home.display());
            return Ok(environment.home);
        }
        eprintln!("installing Python peers into {} (once)", environment.home.display());
        environment.create(&interpreter)?;
        let mut installed = Map::new();
        let mut is_empty = true;
        for words in packages(&list) {
            let (name, version) = words[0].split_once("==").unwrap_or((words[0], ""));
            let mut pip = environment.pip_install();
            let output = process::output(pip.args(&words))?;
            let outcome = if output.status.success() {
                is_empty = false;
                json!({ "version": version })
            } else {
                let reason = reason(&String::from_utf8_lossy(&output.stderr));
                eprintln!("  {name} cannot be installed: {reason}");
                json!({ "reason": reason })
            };
            installed.insert(name.to_owned(), outcome);
        }
        if is_empty {
            // Half of an installation can be gigabytes, and a full disk the reason why it is half.
            environment.create(&interpreter)?;
        }
        let path = environment.home.join("installed.json");
        let text = serde_json::to_string_pretty(&installed).unwrap_or_default();
        fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
        environment.declare_ready(&stamp)?;
        Ok(environment.home)
    }
}

/// The words of each line that is not a comment: a package with its version, and options for pip.
fn packages(list: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|words| !words.is_empty())
}

/// The last error that pip names.
fn reason(said: &str) -> String {
    let line = said.lines().rev().find_map(|line| line.trim().strip_prefix("ERROR: "));
    line.unwrap_or("pip failed without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_package_with_options() {
        let list = "# peers\nzarr==3.1.6\n\nq-store==4.1.1 --no-deps # the original\n";
        let packages: Vec<_> = packages(list).collect();
        assert_eq!(packages, [vec!["zarr==3.1.6"], vec!["q-store==4.1.1", "--no-deps"]]);
    }

    #[test]
    fn the_reason_is_the_last_error() {
        let said =
            "ERROR: could not find a version\nERROR: no matching distribution\nnotice: pip\n";
        assert_eq!(reason(said), "no matching distribution");
    }
}
