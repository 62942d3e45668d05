//! A small file system of its own, so that a disk can really be full: an ext4 in a file, mounted for as
//! long as it is needed. That takes root and loop devices; where they are missing, the reason is reported.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

const BYTES: u64 = 16 << 20;

/// A mounted file system; dropping it unmounts it.
pub(super) struct SmallDisk {
    dir: PathBuf,
    image: PathBuf,
}

impl SmallDisk {
    pub(super) fn mount(target: &Path) -> Result<Self, String> {
        let dir = target.join("torture").join("small-disk");
        let image = dir.with_extension("img");
        let say = |error: std::io::Error| error.to_string();
        fs::create_dir_all(&dir).map_err(say)?;
        File::create(&image).and_then(|file| file.set_len(BYTES)).map_err(say)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&dir))?;
        Ok(Self { dir, image })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(&self.dir));
        let _ = fs::remove_file(&self.image);
    }
}

/// Runs a program quietly; its complaint is the reason.
fn run(command: &mut Command) -> Result<(), String> {
    process::read(command).map(drop).map_err(|error| error.message().unwrap_or_default())
}
