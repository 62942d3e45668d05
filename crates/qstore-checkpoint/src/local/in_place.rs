//! Removing and replacing a tree whose directory cannot be renamed.
//!
//! On overlayfs, the file system of containers, a directory of a lower layer (whatever the image or a
//! snapshot brought) can be neither renamed nor exchanged: `EXDEV`, for as long as it exists. The files in
//! it can be. So the tree is *retired*: its manifest is renamed within it, which takes the checkpoint away
//! in one step, and the rest is removed where it is, the renamed manifest last. A tree that a crash leaves
//! half removed is recognized by that file; it is not listed, and the next manager removes it.
//!
//! A replacement is published aside first, in the place of a tree that was moved aside, and is the
//! checkpoint from the moment at which the old one is retired. So there is always one of the two.
//!
//! The caller excludes other writers: otherwise one could put a new tree where another one is removing.

use super::directory::Directory;
use super::retired::{RETIRED, is_retired, is_vacant};
use crate::repository::{RepositoryError, Result};
use crate::seal::{MANIFEST, check_seal};
use qstore_storage::{EntryKind, FileSystem, StagedDir, read_up_to, remove_dir_all};
use std::path::{Path, PathBuf};

/// The longest manifest that is read; a reader refuses a longer one.
const MANIFEST_MAX: u64 = 1 << 30;

/// Where the tree with this name is: in its own place, or aside while the old one is being removed.
pub(super) fn root_of(directory: &Directory, name: &str) -> Result<Option<PathBuf>> {
    let (public, aside) = (Directory::path_of(name), Directory::tombstone_of(name));
    // It may be moved back between the first two looks.
    for root in [&public, &aside, &public] {
        let found = directory.fs.metadata(root)?;
        let is_tree = found.is_some_and(|found| found.kind == EntryKind::Dir);
        if is_tree && !is_vacant(&*directory.fs, root)? {
            return Ok(Some(root.clone()));
        }
    }
    Ok(None)
}

/// Removes a tree. After `Ok` it is not a checkpoint, not even after a power cut; what could not be deleted
/// is left to the next manager.
pub(super) fn remove(directory: &Directory, tree: &Path) -> Result<()> {
    retire(directory, tree)?;
    let _ = delete(&*directory.fs, tree);
    Ok(())
}

/// Publishes a staged tree in the place of one that can only be removed in place.
///
/// # Errors
/// After an error the checkpoint is the old tree or the new one.
pub(super) fn replace(directory: &Directory, staged: StagedDir, name: &str) -> Result<()> {
    let (public, aside) = (Directory::path_of(name), Directory::tombstone_of(name));
    // The directory of the new tree may be new itself; it must not be lost with the tree in it.
    directory.sync()?;
    drop(staged.commit(&aside, &aside)?);
    if let Err(error) = retire(directory, &public) {
        if !is_retired(&*directory.fs, &public).unwrap_or(true) {
            let _ = remove_dir_all(&*directory.fs, &aside);
        }
        return Err(error);
    }
    // The new tree is durable where it is; the next manager moves it if that fails now.
    let _ = settle(directory, name);
    Ok(())
}

/// Ends what a crash or an error has interrupted: removes a retired tree, and moves a tree that was moved
/// aside to its own place, or removes it if a whole tree has replaced it.
pub(super) fn settle(directory: &Directory, name: &str) -> Result<()> {
    let (fs, public) = (&*directory.fs, Directory::path_of(name));
    let aside = Directory::tombstone_of(name);
    let has_aside = fs.metadata(&aside)?.is_some();
    let is_there = fs.metadata(&public)?.is_some();
    let is_over = is_retired(fs, &public)? || (has_aside && is_vacant(fs, &public)?);
    if is_there && is_over {
        delete(fs, &public)?;
    }
    if !has_aside {
        return Ok(());
    }
    if !is_there || is_over {
        fs.rename(&aside, &public)?;
    } else {
        let manifest = read_up_to(fs, &public.join(MANIFEST), MANIFEST_MAX)?;
        check_seal(&manifest).map_err(|error| RepositoryError::other(name, error))?;
        remove_dir_all(fs, &aside)?;
    }
    directory.sync()
}

/// From here on the tree is not a checkpoint, also after a power cut. Retiring it again changes nothing.
fn retire(directory: &Directory, tree: &Path) -> Result<()> {
    let fs = &*directory.fs;
    match fs.rename(&tree.join(MANIFEST), &tree.join(RETIRED)) {
        // It was retired before, or has nothing in it.
        Err(error) if error.is_not_found() => {}
        renamed => renamed?,
    }
    // mutant: retired_tree_deleted_before_that_is_durable
    fs.sync_dir(tree)?;
    Ok(())
}

/// Deletes a retired tree, the file that says so last.
fn delete(fs: &dyn FileSystem, tree: &Path) -> qstore_storage::Result<()> {
    for entry in fs.list(tree)?.iter().filter(|entry| entry.name != *RETIRED) {
        let path = tree.join(&entry.name);
        match entry.kind {
            EntryKind::Dir => remove_dir_all(fs, &path)?,
            EntryKind::File | EntryKind::Other => fs.remove_file(&path)?,
        }
    }
    // A power cut must not bring anything back without the file that tells whose it is.
    // mutant: retired_tree_loses_its_mark_before_its_files
    fs.sync_dir(tree)?;
    match fs.remove_file(&tree.join(RETIRED)) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    fs.remove_dir(tree)
}
