//! One sync for a whole tree, where the system can do it and report whether it succeeded.
//!
//! Syncing six hundred files one by one costs as many disk flushes; syncing the whole file system costs one
//! or two (docs/decisions/0033). The price is that the dirty pages of every other program on that file
//! system are written as well. Linux reports failures since 5.8, through a descriptor that was opened before
//! they happened; before that, and elsewhere, there is no such sync. Nor is there one on a file system that
//! is not [of this kernel](kind): FUSE answers without asking its program, SMB leaves the bytes to the
//! server, and overlayfs does not report what an earlier write below it ran into.

use crate::error::Result;
use crate::file_system::TreeSync;
#[cfg(target_os = "linux")]
use crate::kind;
use std::fs::File;
use std::io;
use std::path::Path;

/// Prepares to sync the tree below the directory that `open` opens, and whose path is `dir`.
#[cfg(target_os = "linux")]
pub(crate) fn begin(
    open: impl FnOnce() -> io::Result<File>,
    dir: &Path,
) -> Result<Option<Box<dyn TreeSync>>> {
    use crate::error::{Context, Operation};

    if !reports_failures() {
        return Ok(None);
    }
    let file = open().context(Operation::Open, dir)?;
    // mutant: tree_synced_where_nothing_is_reported
    if !kind::is_of_this_kernel(&file) {
        return Ok(None);
    }
    Ok(Some(Box::new(linux::WholeFileSystem { file, dir: dir.to_path_buf() })))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn begin(
    _: impl FnOnce() -> io::Result<File>,
    _: &Path,
) -> Result<Option<Box<dyn TreeSync>>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn reports_failures() -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 8)
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cannot::cannot;
    use crate::error::{Context, Operation, Result};
    use crate::file_system::TreeSync;
    use crate::sync_dir::sync_dir;
    use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags, openat, statat};
    use rustix::io::retry_on_intr;
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    /// Opened before anything is written, so that every failure is reported through it.
    #[derive(Debug)]
    pub(super) struct WholeFileSystem {
        pub(super) file: File,
        pub(super) dir: PathBuf,
    }

    impl TreeSync for WholeFileSystem {
        fn sync(&self) -> Result<()> {
            // mutant: local_tree_sync_does_nothing
            let synced = rustix::fs::syncfs(&self.file).map_err(io::Error::from);
            match synced {
                // The kernel can, but a sandbox does not let us.
                Err(error) if cannot(Operation::SyncDir, &error) || is_forbidden(&error) => {
                    one_by_one(&self.file, &self.dir)
                }
                synced => synced.context(Operation::Sync, &self.dir),
            }
        }
    }

    fn is_forbidden(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::PermissionDenied
    }

    /// Syncs every file and directory of the tree. What an earlier write to a file ran into is
    /// reported to the next handle of it, if it was reported to none before.
    fn one_by_one(dir: &File, path: &Path) -> Result<()> {
        for entry in Dir::read_from(dir).map_err(io::Error::from).context(Operation::List, path)? {
            let entry = entry.map_err(io::Error::from).context(Operation::List, path)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let path = path.join(name);
            match kind_of(dir, &entry).context(Operation::Inspect, &path)? {
                FileType::Directory => {
                    let opened = open_in(dir, name).context(Operation::Open, &path)?;
                    one_by_one(&opened, &path)?;
                }
                FileType::RegularFile => {
                    let synced = open_in(dir, name).and_then(|file| file.sync_all());
                    synced.context(Operation::Sync, &path)?;
                }
                _ => {}
            }
        }
        sync_dir(dir, path)
    }

    fn kind_of(dir: &File, entry: &DirEntry) -> io::Result<FileType> {
        match entry.file_type() {
            // Not every file system tells it here.
            FileType::Unknown => {
                let found = statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(FileType::from_raw_mode(found.st_mode))
            }
            known => Ok(known),
        }
    }

    fn open_in(dir: &File, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(retry_on_intr(|| openat(dir, name, flags, Mode::empty()))?.into())
    }
}
