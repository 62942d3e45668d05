//! A file that is replaced durably in the plainest way: what the rivals are given where they would
//! not sync by themselves, so that all are measured with the same promise.

use crate::Result;
use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Longer than a thread takes to delete a gigabyte behind an acknowledgement.
const DELETING: Duration = Duration::from_millis(200);

/// Waits until the disk has done what earlier turns have left it to do: pages that nobody synced, blocks
/// of deleted files to be given back. Whoever comes next would find that in its own sync.
pub(crate) fn rest(dir: &Path) -> Result {
    let dir = File::open(dir)?;
    rustix::fs::syncfs(&dir)?;
    // sleep: nobody tells when a deletion has reached the file system.
    thread::sleep(DELETING);
    Ok(rustix::fs::syncfs(&dir)?)
}

/// Writes `path` anew under a temporary name, syncs it, renames it into place and syncs the
/// directory.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&Path) -> Result) -> Result {
    let temporary = path.with_extension("tmp");
    write(&temporary)?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    Ok(File::open(dir)?.sync_all()?)
}
