//! The Python package: laid out below `target/python`, where a Python finds it, and packed into a wheel.
//!
//! Nothing but the native module itself is compiled for the layout, and no tool of Python's packaging is needed.
//! What the wheel has more is its metadata, and the optimizations of its own profile.

pub(crate) mod session;
pub(crate) mod wheel;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process;
use crate::python::cannot;
use crate::workspace::Workspace;

/// Where the crate is.
const HOME: &[&str] = &["crates", "qstore-python"];

/// Builds the native module, puts the package together, and returns the directory that Python is to look in.
pub(crate) fn build(workspace: &Workspace, target: &Path, is_release: bool) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--package", "qstore-python"]);
    if is_release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)?;
    lay_out(workspace, target, if is_release { "release" } else { "debug" })
}

fn lay_out(workspace: &Workspace, target: &Path, profile: &str) -> Result<PathBuf> {
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
    copy(&target.join(profile).join(built), &package.join(name))?;
    Ok(path)
}

/// The directory of the crate.
pub(crate) fn home(workspace: &Workspace) -> PathBuf {
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
