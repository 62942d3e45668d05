//! Everything the rows run, built at once.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Result;
use crate::process;
use crate::test_programs::TestPrograms;
use crate::workspace::Workspace;

/// The programs.
pub(super) struct Binaries {
    tests: TestPrograms,
    torture: PathBuf,
}

impl Binaries {
    /// Builds the tests, the examples and the program `torture`.
    pub(super) fn build(workspace: &Workspace, target: &Path) -> Result<Self> {
        let tests = TestPrograms::build(workspace, &["--workspace".into()])?;
        let examples = ["build", "--workspace", "--examples", "--bins", "--quiet"];
        process::run(workspace.cargo().args(examples))?;
        Ok(Self { tests, torture: target.join("debug").join("torture") })
    }

    /// The program in `tests/torture/`.
    pub(super) fn torture(&self) -> Command {
        Command::new(&self.torture)
    }

    /// The tests of a crate's own, or of one of its test targets.
    pub(super) fn tests(&self, target: &str) -> Result<Command> {
        self.tests.command(target)
    }
}
