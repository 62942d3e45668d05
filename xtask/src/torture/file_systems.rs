//! Other file systems, each made and mounted for one command by `tests/places/run_on.sh`, in a mount
//! namespace that ends with it. That takes Linux, root and a few programs; where they are missing, the
//! reason is reported.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;
use crate::workspace::Workspace;

/// The file systems that `--file-systems` tries.
pub(super) const NAMES: &[&str] =
    &["xfs", "btrfs", "tmpfs", "overlay-on-ext4", "overlay-on-tmpfs", "fuse"];

/// A file system that can be mounted here.
pub(super) struct FileSystem {
    pub(super) name: &'static str,
    script: PathBuf,
    /// Where it is mounted. Short, because the path of a socket is; open to every user.
    dir: PathBuf,
}

impl FileSystem {
    /// Tries to mount it; the complaint is the reason why it cannot be.
    pub(super) fn new(workspace: &Workspace, name: &'static str) -> Result<Self, String> {
        let script = workspace.root().join("tests/places/run_on.sh");
        let dir = new_dir(name).map_err(|error| error.to_string())?;
        let place = Self { name, script, dir };
        let tried = place.run(&Command::new("true"));
        match process::output(&mut { tried }) {
            Ok(output) if output.status.success() => Ok(place),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(said.lines().last().unwrap_or("it cannot be mounted").to_owned())
            }
            Err(error) => Err(error.message().unwrap_or_default()),
        }
    }

    /// The same command with its temporary directory there.
    pub(super) fn run(&self, command: &Command) -> Command {
        // What an earlier command left below the mounted directory would be in its way.
        let _ = fs::remove_dir_all(&self.dir);
        let _ = fs::create_dir(&self.dir);
        let mut there = Command::new("sh");
        there.args([&self.script, Path::new(self.name), &self.dir]);
        process::within(there, command)
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A directory that no other run uses.
fn new_dir(name: &str) -> std::io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let dir = env::temp_dir().join(format!("qstore-{name}-{number}"));
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| dir),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_arguments_its_variables_and_its_home() {
        let place =
            FileSystem { name: "tmpfs", script: "run_on.sh".into(), dir: new_dir("test").unwrap() };
        let mut command = Command::new("integration");
        command.args(["a b", "c"]).env("QSTORE_SEED", "7").env_remove("X").current_dir("/");
        let there = place.run(&command);
        let arguments: Vec<_> = there.get_args().map(|one| one.to_string_lossy()).collect();
        assert_eq!(arguments[..2], ["run_on.sh", "tmpfs"]);
        assert_eq!(arguments[3..], ["integration", "a b", "c"]);
        assert_eq!(there.get_envs().count(), 2);
        assert_eq!(there.get_current_dir(), Some(Path::new("/")));
    }
}
