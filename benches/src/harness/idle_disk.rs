//! A disk that has nothing to do: where a contender begins that is not to pay for the one before.

use crate::Result;
use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Longer than a thread takes to delete a gigabyte behind an acknowledgement.
const DELETING: Duration = Duration::from_millis(200);

/// Waits until the disk has done what earlier turns have left it to do: pages that nobody synced, blocks
/// of deleted files to be given back. The next contender would pay for it in its own sync.
pub(crate) fn wait_for(dir: &Path) -> Result {
    let dir = File::open(dir)?;
    rustix::fs::syncfs(&dir)?;
    // sleep: nobody tells when a deletion has reached the file system.
    thread::sleep(DELETING);
    Ok(rustix::fs::syncfs(&dir)?)
}
