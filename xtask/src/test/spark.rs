//! Python environments with Spark, one for each version that datasets are held up to, where there is a Java.
//!
//! They are made once under `target/spark-VERSION-venv`. What cannot be made is not an error: the tests that
//! need it say that they were skipped, and so does this step.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::python::{self, CANDIDATES, Environment, Interpreter, cannot};

/// The versions; `tests/readers/spark-VERSION.txt` pins each.
const VERSIONS: [&str; 2] = ["3.5", "4"];

/// Imported once before an environment is declared good.
const PROBE: &str = "from pyspark.sql import SparkSession";

/// Makes what can be made; returns the number of versions that are missing.
pub(super) fn prepare(root: &Path, target: &Path, chosen: Option<&OsStr>) -> usize {
    let mut missing = 0;
    for version in VERSIONS {
        if let Err(error) = prepare_one(root, target, chosen, version) {
            let reason = error.message().unwrap_or_else(|| "see above".into());
            eprintln!("skipped: Spark {version}: {reason}");
            missing += 1;
        }
    }
    missing
}

fn prepare_one(root: &Path, target: &Path, chosen: Option<&OsStr>, version: &str) -> Result {
    process::output(Command::new("java").arg("-version"))
        .ok()
        .filter(|output| output.status.success())
        .ok_or_else(|| Error::Failed("there is no `java`".into()))?;
    let name = format!("spark-{version}-venv");
    let path = root.join("tests").join("readers").join(format!("spark-{version}.txt"));
    let requirements = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
    let interpreter = Interpreter::find(chosen, CANDIDATES)?;
    let environment = Environment { home: target.join(&name) };
    let stamp = format!("{}\n{requirements}", interpreter.identity);
    let _turn = python::wait_for_turn(target, &name)?;
    if environment.is_ready(&stamp) {
        return Ok(());
    }
    eprintln!(
        "installing Spark {version} into {} (about 450 MB, once)",
        environment.home.display()
    );
    environment.create(&interpreter)?;
    // Spark is published without wheels; there is nothing in it to compile.
    let mut pip = environment.pip_install();
    process::run(pip.args(["--no-binary", "pyspark", "--requirement"]).arg(&path))
        .map_err(|_| Error::Failed("pip could not install it, see above".into()))?;
    let mut probe = python::python(environment.python().as_os_str());
    process::run(probe.args(["-c", PROBE])).map_err(|_| {
        Error::Failed(format!("it does not load in Python {}", interpreter.identity))
    })?;
    environment.declare_ready(&stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn every_version_is_pinned() {
        let readers = Workspace::locate().root().join("tests").join("readers");
        for version in VERSIONS {
            let pinned = fs::read_to_string(readers.join(format!("spark-{version}.txt"))).unwrap();
            assert!(pinned.contains(&format!("pyspark=={version}.")), "{pinned}");
        }
    }
}
