//! The Python package: laid out below `target/python` and tested by pytest.
//!
//! Nothing but the native module itself is compiled for it, because the step `build` has built the crates below,
//! and no tool of Python's packaging is needed. What the wheel has more is its metadata.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::tally::Tally;
use super::{count, judge};
use crate::error::{Error, Result};
use crate::process;
use crate::python::{self, cannot};
use crate::workspace::Workspace;

/// Where the crate is.
const HOME: &[&str] = &["crates", "qstore-python"];

/// Runs the tests of the package with this Python.
pub(super) fn check(workspace: &Workspace, target: &Path, python: &Path) -> Result<Tally> {
    // The step `build` builds tests and programs, and this is neither.
    process::run(workspace.cargo().args(["build", "--package", "qstore-python"]))?;
    let path = lay_out(workspace, target)?;
    let mut pytest = python::python(python.as_os_str());
    pytest.args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]);
    pytest.current_dir(home(workspace)).env("PYTHONPATH", path);
    // What a test leaves behind lies below `target`, as everything else does.
    pytest.env("PYTHONDONTWRITEBYTECODE", "1");
    let (status, tally) = count(&mut pytest, Tally::hear_pytest)?;
    judge(&pytest, status, tally)
}

/// Puts the package together, and returns the directory that Python is to look in.
fn lay_out(workspace: &Workspace, target: &Path) -> Result<PathBuf> {
    let path = target.join("python");
    let package = path.join("qstore");
    if package.exists() {
        fs::remove_dir_all(&package).map_err(|error| cannot("remove", &package, &error))?;
    }
    copy_tree(&home(workspace).join("python").join("qstore"), &package)?;
    let (built, name) = if cfg!(windows) {
        ("_native.dll", "_native.pyd")
    } else if cfg!(target_os = "macos") {
        ("lib_native.dylib", "_native.abi3.so")
    } else {
        ("lib_native.so", "_native.abi3.so")
    };
    copy(&target.join("debug").join(built), &package.join(name))?;
    Ok(path)
}

fn home(workspace: &Workspace) -> PathBuf {
    workspace.root().join(HOME.iter().collect::<PathBuf>())
}

/// Copies the sources, without what an interpreter has compiled from them.
fn copy_tree(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to).map_err(|error| cannot("create", to, &error))?;
    let entries = fs::read_dir(from).map_err(|error| cannot("read", from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot("read", from, &error))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == OsStr::new("__pycache__") {
            continue;
        }
        if from.is_dir() { copy_tree(&from, &to)? } else { copy(&from, &to)? }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result {
    fs::copy(from, to).map(drop).map_err(|error| {
        Error::Failed(format!("cannot copy {} to {}: {error}", from.display(), to.display()))
    })
}
