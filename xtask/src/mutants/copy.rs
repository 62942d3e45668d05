//! A copy of the workspace to be changed: only files that git knows, written only where they differ, so
//! that the next build has little to do.

use super::mutant::Mutant;
use super::sources::Sources;
use crate::error::{Error, Result};
use crate::process;
use crate::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it is.
pub(super) struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Brings the copy up to date with the workspace as it is, changes that are not committed included.
    pub(super) fn make(workspace: &Workspace) -> Result<Self> {
        let home = workspace.target()?.join("mutants");
        let copy = Self { root: home.join("workspace"), target: home.join("build") };
        let mut git = Command::new("git");
        git.current_dir(workspace.root());
        git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let listed = process::read(&mut git)?;
        let files: Vec<_> = listed.split('\0').filter(|file| !file.is_empty()).collect();
        for file in &files {
            let from = workspace.root().join(file);
            // One that was deleted and not committed.
            if from.is_file() {
                let bytes = fs::read(&from).map_err(|error| cannot("read", &from, &error))?;
                copy.put(file, &bytes)?;
            }
        }
        copy.forget_others(&copy.root, &files)?;
        Ok(copy)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What is built goes there, a directory for each way to build.
    pub(super) fn target(&self, way: &str) -> PathBuf {
        self.target.join(way)
    }

    /// Runs something on the mutant; the files are as they were afterwards.
    pub(super) fn with<T>(&self, mutant: &Mutant, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let changed = Sources::read(&self.root)?.mutated(mutant).map_err(Error::Failed)?;
        let mut before = Vec::new();
        for (file, text) in &changed {
            let path = self.root.join(file);
            before.push(fs::read(&path).map_err(|error| cannot("read", &path, &error))?);
            self.put(file, text.as_bytes())?;
        }
        let done = run();
        for ((file, _), bytes) in changed.iter().zip(&before) {
            self.put(file, bytes)?;
        }
        done
    }

    fn put(&self, file: &str, bytes: &[u8]) -> Result {
        let to = self.root.join(file);
        if fs::read(&to).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        let dir = to.parent().unwrap_or(&to);
        fs::create_dir_all(dir).map_err(|error| cannot("make", dir, &error))?;
        fs::write(&to, bytes).map_err(|error| cannot("write", &to, &error))
    }

    /// Removes files of an earlier copy that the workspace has no longer.
    fn forget_others(&self, dir: &Path, files: &[&str]) -> Result {
        let entries = fs::read_dir(dir).map_err(|error| cannot("list", dir, &error))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                self.forget_others(&path, files)?;
            } else {
                let name = path.strip_prefix(&self.root).unwrap_or(&path);
                if !files.iter().any(|file| Path::new(file) == name) {
                    fs::remove_file(&path).map_err(|error| cannot("remove", &path, &error))?;
                }
            }
        }
        Ok(())
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("cannot {what} {}: {error}", path.display()))
}
