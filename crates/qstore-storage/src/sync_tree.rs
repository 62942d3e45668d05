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
use std::path::Path;

#[cfg(target_os = "linux")]
pub(crate) fn begin(dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
    use crate::error::{Context, Operation};

    if !reports_failures() {
        return Ok(None);
    }
    let file = std::fs::File::open(dir).context(Operation::Open, dir)?;
    // mutant: tree_synced_where_nothing_is_reported
    if !kind::is_of_this_kernel(&file) {
        return Ok(None);
    }
    Ok(Some(Box::new(linux::WholeFileSystem { file, dir: dir.to_path_buf() })))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn begin(_: &Path) -> Result<Option<Box<dyn TreeSync>>> {
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
    use std::fs::{self, File};
    use std::io;
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
                    one_by_one(&self.dir)
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
    fn one_by_one(dir: &Path) -> Result<()> {
        for entry in fs::read_dir(dir).context(Operation::List, dir)? {
            let entry = entry.context(Operation::List, dir)?;
            let (path, kind) = (entry.path(), entry.file_type());
            let kind = kind.context(Operation::Inspect, &path)?;
            if kind.is_dir() {
                one_by_one(&path)?;
            } else if kind.is_file() {
                let synced = File::open(&path).and_then(|file| file.sync_all());
                synced.context(Operation::Sync, &path)?;
            }
        }
        crate::sync_dir::sync_dir(dir)
    }
}
