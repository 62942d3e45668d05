//! A directory that is known by its name only, where a file system cannot hold one open.

use crate::error::Result;
use crate::file_system::{Entry, FileHandle, FileSystem, Lock, Metadata, TreeSync};
use crate::in_place::Stamp;
use crate::noted_lock::Probe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// This directory as a file system of its own: [`FileSystem::open_dir`] where the file system can hold a
/// directory open. Elsewhere every path goes through the name of the directory, so what is done there is done
/// to whichever directory has the name at the moment.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs, open_dir, read_all};
/// use std::{path::Path, sync::Arc};
///
/// let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
/// files.create_dir(Path::new("/run"))?;
/// let run = open_dir(&files, Path::new("/run"))?;
/// run.create_new(Path::new("log"))?.write_at(0, b"step 1")?;
/// assert_eq!(read_all(&*files, Path::new("/run/log"))?, b"step 1");
/// # Ok::<(), qstore_storage::Error>(())
/// ```
///
/// # Errors
/// When there is no such directory, or it cannot be opened.
pub fn open_dir(files: &Arc<dyn FileSystem>, dir: &Path) -> Result<Arc<dyn FileSystem>> {
    if let Some(opened) = files.open_dir(dir)? {
        return Ok(opened);
    }
    Ok(Arc::new(ByName { files: Arc::clone(files), dir: dir.to_path_buf() }))
}

#[derive(Debug)]
struct ByName {
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
}

impl ByName {
    fn at(&self, path: &Path) -> PathBuf {
        if path == Path::new(".") { self.dir.clone() } else { self.dir.join(path) }
    }
}

impl FileSystem for ByName {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.files.create_new(&self.at(path))
    }

    fn create_private(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.files.create_private(&self.at(path))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.files.open(&self.at(path))
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.files.open_writable(&self.at(path))
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        self.files.stamp(&self.at(path))
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        self.files.metadata(&self.at(path))
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.files.resolve(&self.at(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.files.list(&self.at(dir))
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        self.files.create_dir(&self.at(dir))
    }

    fn create_private_dir(&self, dir: &Path) -> Result<()> {
        self.files.create_private_dir(&self.at(dir))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.files.link(&self.at(from), &self.at(to))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.files.rename(&self.at(from), &self.at(to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.files.rename_new(&self.at(from), &self.at(to))
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        self.files.exchange(&self.at(one), &self.at(other))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.files.remove_file(&self.at(path))
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.files.remove_dir(&self.at(dir))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.files.sync_dir(&self.at(dir))
    }

    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        self.files.sync_tree(&self.at(dir))
    }

    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        self.files.available(&self.at(dir))
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        self.files.copy_mode(&self.at(from), &self.at(to))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        self.files.try_lock(&self.at(path))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.files.lock(&self.at(path))
    }

    fn try_lock_noted(&self, path: &Path, note: &[u8]) -> Result<Option<Box<dyn Lock>>> {
        self.files.try_lock_noted(&self.at(path), note)
    }

    fn probe_lock(&self, path: &Path) -> Result<Probe> {
        self.files.probe_lock(&self.at(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryFs;

    #[test]
    fn a_directory_by_its_name_conforms() {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        files.create_dir(Path::new("/run")).unwrap();
        let run = ByName { files, dir: "/run".into() };
        crate::conformance::check(&run, Path::new(""));
    }
}
