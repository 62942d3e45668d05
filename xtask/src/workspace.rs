//! Where the workspace is, and how to call `cargo` on it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::process;

/// The workspace this xtask belongs to.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the workspace: the parent of the package that `cargo run` has just started.
    ///
    /// The variable is read when we run, not only when we are compiled, because two clones that
    /// share a target directory also share this binary.
    pub(crate) fn locate() -> Self {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().map(Path::to_path_buf).unwrap_or(package);
        Self { root }
    }

    /// The directory that holds the top-level `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The `cargo` that started us, run at the top of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = cargo_here();
        cargo.current_dir(&self.root);
        cargo
    }

    /// `git`, run at the top of the workspace.
    pub(crate) fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.root);
        git
    }

    /// What `cargo metadata` says with these extra arguments.
    pub(crate) fn metadata(&self, arguments: &[&str]) -> Result<Value> {
        let mut cargo = self.cargo();
        cargo.args(["metadata", "--format-version", "1"]).args(arguments);
        let text = process::read(&mut cargo)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Failed(format!("cannot parse `cargo metadata`: {error}")))
    }

    /// The directory cargo builds into: `target/`, unless the person has moved it.
    pub(crate) fn target(&self) -> Result<PathBuf> {
        let metadata = self.metadata(&["--no-deps"])?;
        let target = metadata["target_directory"].as_str().ok_or_else(|| {
            Error::Failed("`cargo metadata` names no target directory; is cargo too old?".into())
        })?;
        Ok(PathBuf::from(target))
    }
}

/// The `cargo` that started us, run where the caller stands: for programs that take paths.
pub(crate) fn cargo_here() -> Command {
    // cargo sets CARGO to itself, which keeps the toolchain of `cargo +1.91 xtask …`.
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
