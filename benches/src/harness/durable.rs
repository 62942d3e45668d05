//! A file that is replaced durably in the plainest way: what the rivals are given where they would
//! not sync by themselves, so that all are measured with the same promise.

use crate::Result;
use std::fs::{self, File};
use std::path::Path;

/// Writes a new `path` under a temporary name, syncs it, renames it into place and syncs the
/// directory.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&Path) -> Result) -> Result {
    let temporary = path.with_extension("tmp");
    write(&temporary)?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    Ok(File::open(dir)?.sync_all()?)
}
