//! Test programs, and where cargo has put them.
//!
//! They are run as they are: `cargo test` for one package at a time would rebuild much of the workspace,
//! because fewer packages ask for fewer features.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::process;
use crate::workspace::Workspace;

/// The programs of one build.
pub(crate) struct TestPrograms(Vec<TestProgram>);

struct TestProgram {
    target: String,
    path: PathBuf,
    /// Where cargo would run it.
    home: PathBuf,
}

impl TestPrograms {
    /// Builds what these arguments of `cargo test` select.
    pub(crate) fn build(workspace: &Workspace, selection: &[String]) -> Result<Self> {
        let mut cargo = workspace.cargo();
        cargo.arg("test").args(selection).args(["--no-run", "--quiet"]);
        let built = process::read(cargo.args(["--message-format", "json-render-diagnostics"]))?;
        Ok(Self(built.lines().filter_map(TestProgram::read).collect()))
    }

    /// The tests of a crate's own, or of one of its test targets.
    pub(crate) fn command(&self, target: &str) -> Result<Command> {
        let found = self.0.iter().find(|test| test.target == target);
        let Some(TestProgram { path, home, .. }) = found else {
            return Err(Error::Failed(format!("cargo has built no tests named `{target}`")));
        };
        let mut command = Command::new(path);
        command.current_dir(home);
        Ok(command)
    }
}

impl TestProgram {
    /// Reads one of cargo's messages.
    fn read(message: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(message).ok()?;
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            return None;
        }
        let path = PathBuf::from(message["executable"].as_str()?);
        let target = message["target"]["name"].as_str()?.to_owned();
        let home = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
        Some(Self { target, path, home })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_found_in_what_cargo_says() {
        let text = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml",
            "target":{"kind":["test"],"name":"integration"},"profile":{"test":true},
            "executable":"/w/target/debug/deps/integration-0"}"#;
        let found = TestProgram::read(text).unwrap();
        assert_eq!((&*found.target, &*found.home), ("integration", Path::new("/w/tests")));
        assert!(TestProgram::read(&text.replace("true", "false")).is_none());
        assert!(TestProgram::read("{\"reason\":\"build-finished\"}").is_none());
    }
}
