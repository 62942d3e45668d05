//! One sync for a whole tree, where the system can do it and say whether it went well.
//!
//! A directory of six hundred files costs as many turns of the disk when each is synced by itself, and
//! one or two when the whole file system is. The price is that the pages of everybody else on that file
//! system are written down as well. Linux tells of failures since 5.8, through a descriptor that was
//! opened before they happened; before that, and elsewhere, there is no such sync.

use crate::error::Result;
use crate::file_system::TreeSync;
use std::path::Path;

#[cfg(target_os = "linux")]
pub(crate) fn begin(dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
    use crate::error::{Context, Operation};

    if !tells_of_failures() {
        return Ok(None);
    }
    let file = std::fs::File::open(dir).context(Operation::Open, dir)?;
    Ok(Some(Box::new(linux::FileSystem { file, dir: dir.to_path_buf() })))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn begin(_: &Path) -> Result<Option<Box<dyn TreeSync>>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn tells_of_failures() -> bool {
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

    /// Opened before anything is written, so that it hears of every failure.
    #[derive(Debug)]
    pub(super) struct FileSystem {
        pub(super) file: File,
        pub(super) dir: PathBuf,
    }

    impl TreeSync for FileSystem {
        fn sync(&self) -> Result<()> {
            // mutant: local_tree_sync_does_nothing
            let synced = rustix::fs::syncfs(&self.file).map_err(io::Error::from);
            synced.context(Operation::Sync, &self.dir)
        }
    }
}
