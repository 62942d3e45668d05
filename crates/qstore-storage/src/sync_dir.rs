//! Makes the names in a directory survive a power cut, by whatever the system has for that.

use crate::cannot::cannot;
use crate::error::{Context, Operation, Result};
use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs an open directory, whose path is `path`. Where the file system has no sync for a directory, all of it is synced instead; where it has none at all,
/// it decides by itself how durable a name is, and there is nothing to report.
pub(crate) fn sync_dir(dir: &File, path: &Path) -> Result<()> {
    // mutant: local_directory_sync_does_nothing
    match dir.sync_all().or_else(|error| sync_all_instead(dir, error)) {
        Err(error) if cannot(Operation::SyncDir, &error) => Ok(()),
        synced => synced.context(Operation::SyncDir, path),
    }
}

#[cfg(target_os = "linux")]
fn sync_all_instead(dir: &File, error: io::Error) -> io::Result<()> {
    if cannot(Operation::SyncDir, &error) { Ok(rustix::fs::syncfs(dir)?) } else { Err(error) }
}

#[cfg(not(target_os = "linux"))]
fn sync_all_instead(_: &File, error: io::Error) -> io::Result<()> {
    Err(error)
}
