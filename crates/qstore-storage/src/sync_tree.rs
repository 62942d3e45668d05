//! One sync for a whole tree, where the system can do it and report whether it succeeded.
//!
//! Syncing six hundred files one by one costs as many disk flushes; syncing the whole file system costs one
//! or two (docs/decisions/0033). The price is that the dirty pages of every other program on that file
//! system are written as well. Linux reports failures since 5.8, through a descriptor that was opened before
//! they happened; before that, and elsewhere, there is no such sync.

use crate::error::Result;
use crate::file_system::TreeSync;
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
    use crate::error::{Context, Operation, Result};
    use crate::file_system::TreeSync;
    use std::fs::File;
    use std::io;
    use std::path::PathBuf;

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
            synced.context(Operation::Sync, &self.dir)
        }
    }
}
