//! The tests of the Python package, by pytest.

use std::path::Path;

use super::tally::Tally;
use super::{count, judge};
use crate::error::Result;
use crate::package;
use crate::python;
use crate::workspace::Workspace;

/// All tests.
pub(super) const ALL: &[&str] = &[];

/// Those that need what the environment of the readers does not have.
pub(super) const OF_FRAMEWORKS: &[&str] = &[
    "tests/test_frameworks.py",
    "tests/test_integrations.py",
    "tests/test_checkpoints.py::test_awaited_in_trio",
];

/// Runs tests of the package with this Python.
pub(super) fn check(
    workspace: &Workspace,
    target: &Path,
    python: &Path,
    tests: &[&str],
) -> Result<Tally> {
    // The step `build` builds tests and programs, and the native module is neither.
    let path = package::build(workspace, target, false)?;
    let mut pytest = python::python(python.as_os_str());
    pytest.args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]).args(tests);
    pytest.current_dir(package::home(workspace)).env("PYTHONPATH", path);
    // What a test leaves behind lies below `target`, as everything else does.
    pytest.env("PYTHONDONTWRITEBYTECODE", "1");
    let (status, tally) = count(&mut pytest, Tally::hear_pytest)?;
    judge(&pytest, status, tally)
}
