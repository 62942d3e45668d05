//! `cargo xtask python`: a Python that has the package, and numpy, pandas, polars and the other readers.

use std::ffi::OsString;

use crate::error::Result;
use crate::package;
use crate::process;
use crate::python;
use crate::readers;
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[--debug] [SCRIPT.py ARGUMENT… | -c CODE | -m MODULE]";
pub(crate) const ABOUT: &str =
    "build the Python package and start a Python that has it, from the environment of the tests";

/// Builds the package, then starts Python with everything that was typed.
pub(crate) fn run(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    let mut typed: Vec<OsString> = arguments.raw_args()?.collect();
    let is_debug = typed.first().is_some_and(|first| first == "--debug");
    if is_debug {
        typed.remove(0);
    }
    let target = workspace.target()?;
    let interpreter = readers::prepare(workspace.root(), &target, None)?;
    let path = package::build(workspace, &target, !is_debug)?;
    let mut python = python::python(interpreter.as_os_str());
    python.env("PYTHONPATH", path).args(typed);
    process::run_in_our_place(&mut python)
}
