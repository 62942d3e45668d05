//! What a directory without a manifest is: a tree that is being removed [in place](super::in_place), nothing
//! at all, or somebody else's.

use crate::repository::Result;
use crate::seal::MANIFEST;
use qstore_storage::FileSystem;
use std::path::Path;

/// The name of a retired tree's manifest.
pub(super) const RETIRED: &str = ".qstore.retired";

/// Whether a tree has been retired and is being removed.
pub(super) fn is_retired(fs: &dyn FileSystem, tree: &Path) -> Result<bool> {
    let has = |name: &str| Ok::<_, qstore_storage::Error>(fs.metadata(&tree.join(name))?.is_some());
    Ok(!has(MANIFEST)? && has(RETIRED)?)
}

/// Whether a directory is retired, or has nothing in it, as at the end of a removal. Nobody loses anything
/// if a tree takes its place.
pub(super) fn is_vacant(fs: &dyn FileSystem, tree: &Path) -> Result<bool> {
    if fs.metadata(&tree.join(MANIFEST))?.is_some() {
        return Ok(false);
    }
    match fs.list(tree) {
        Ok(entries) => Ok(entries.is_empty() || entries.iter().any(|entry| entry.name == *RETIRED)),
        Err(error) if error.is_not_found() => Ok(true), // removed in the meantime
        Err(error) => Err(error.into()),
    }
}
