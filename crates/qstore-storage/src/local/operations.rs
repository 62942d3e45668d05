//! Every operation below a directory, by the system calls that take an open one.

use super::dir::{DIRECTORY, LocalDir};
use super::file::{LocalFile, stamp_of};
use super::lock;
use crate::attributes::{self, Name};
use crate::cannot::cannot;
use crate::error::{Context, Error, Operation, Result};
use crate::file_system::{Entry, EntryKind, FileHandle, FileSystem, Lock, Metadata, TreeSync};
use crate::in_place::Stamp;
use crate::noted_lock::Probe;
use crate::tree::parent_of;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl LocalDir {
    fn reported<T>(
        &self,
        operation: Operation,
        path: &Path,
        outcome: std::result::Result<T, impl Into<io::Error>>,
    ) -> Result<T> {
        outcome.map_err(|error| Error::new(operation, &self.shown(path), error.into()))
    }

    fn create_file(&self, path: &Path, mode: RawMode) -> Result<Box<dyn FileHandle>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let created = self.open_raw(path, flags, Mode::from_raw_mode(mode));
        Ok(LocalFile::boxed(self.reported(Operation::Create, path, created)?, self.shown(path)))
    }

    fn make_dir(&self, dir: &Path, mode: RawMode) -> Result<()> {
        let outcome = rustix::fs::mkdirat(self.fd(), dir, Mode::from_raw_mode(mode));
        self.reported(Operation::CreateDir, dir, outcome)
    }

    fn open_file(&self, path: &Path, flags: OFlags) -> Result<Box<dyn FileHandle>> {
        // Inspected first: opening a pipe would wait for a writer.
        let found = rustix::fs::statat(self.fd(), path, AtFlags::empty());
        let found = self.reported(Operation::Open, path, found)?;
        let refusal = match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => None,
            FileType::Directory => Some(io::ErrorKind::IsADirectory.into()),
            _ => Some(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        };
        let opened = match refusal {
            Some(reason) => Err(reason),
            None => self.open_raw(path, flags, Mode::empty()),
        };
        Ok(LocalFile::boxed(self.reported(Operation::Open, path, opened)?, self.shown(path)))
    }

    /// What has that name, without following a link.
    fn look(&self, path: &Path) -> Result<Option<Stat>> {
        match rustix::fs::statat(self.fd(), path, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => self.reported(Operation::Inspect, path, found).map(Some),
        }
    }
}

impl FileSystem for LocalDir {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.create_file(path, 0o666)
    }

    fn create_private(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        // mutant: private_file_open_at_first
        self.create_file(path, 0o600)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.open_file(path, OFlags::RDONLY)
    }

    fn open_writable(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.open_file(path, OFlags::RDWR)
    }

    fn open_dir(&self, dir: &Path) -> Result<Option<Arc<dyn FileSystem>>> {
        let opened = self.open_raw(dir, DIRECTORY, Mode::empty());
        let opened = self.reported(Operation::Open, dir, opened)?;
        Ok(Some(Arc::new(Self::of(opened, self.shown(dir)))))
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>> {
        Ok(self.look(path)?.map(|found| stamp_of(&found)))
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        Ok(self.look(path)?.map(|found| {
            let kind = kind_of(FileType::from_raw_mode(found.st_mode));
            Metadata::new(kind, stamp_of(&found).len)
        }))
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        // As many links in a row as Linux itself follows.
        const LINKS_MAX: usize = 40;
        let mut path = if path.is_absolute() {
            path.to_path_buf()
        } else {
            let here = self.present_name();
            here.context(Operation::Inspect, &self.shown(Path::new(".")))?.join(path)
        };
        for _ in 0..LINKS_MAX {
            match fs::canonicalize(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                resolved => return resolved.context(Operation::Inspect, &path),
            }
            let Ok(target) = fs::read_link(&path) else {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput.into());
                let name = name.context(Operation::Inspect, &path)?;
                let dir = fs::canonicalize(parent_of(&path)).context(Operation::Inspect, &path)?;
                return Ok(dir.join(name));
            };
            path = parent_of(&path).join(target);
        }
        Err(Error::new(Operation::Inspect, &path, io::Error::other("too many links in a row")))
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let list = || -> io::Result<Vec<Entry>> {
            let opened = self.open_raw(dir, OFlags::DIRECTORY, Mode::empty())?;
            let mut entries = Vec::new();
            for entry in Dir::new(opened)? {
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                let kind = match entry.file_type() {
                    // Not every file system tells it here.
                    FileType::Unknown => match self.metadata(&dir.join(name)) {
                        Ok(Some(found)) => found.kind,
                        Ok(None) => continue, // removed in the meantime
                        Err(error) => return Err(error.source),
                    },
                    known => kind_of(known),
                };
                entries.push(Entry { name: name.to_os_string(), kind });
            }
            Ok(entries)
        };
        self.reported(Operation::List, dir, list())
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        self.make_dir(dir, 0o777)
    }

    fn create_private_dir(&self, dir: &Path) -> Result<()> {
        self.make_dir(dir, 0o700)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let linked = rustix::fs::linkat(self.fd(), from, self.fd(), to, AtFlags::empty());
        self.reported(Operation::Link, to, linked)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.reported(Operation::Rename, to, rustix::fs::renameat(self.fd(), from, self.fd(), to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.reported(Operation::RenameNew, to, rename_new(self.fd(), from, to))
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        self.reported(Operation::Exchange, other, exchange(self.fd(), one, other))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let removed = rustix::fs::unlinkat(self.fd(), path, AtFlags::empty());
        self.reported(Operation::Remove, path, removed)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        let removed = rustix::fs::unlinkat(self.fd(), dir, AtFlags::REMOVEDIR);
        self.reported(Operation::Remove, dir, removed)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let opened = self.open_raw(dir, OFlags::DIRECTORY, Mode::empty());
        let opened = self.reported(Operation::SyncDir, dir, opened)?;
        crate::sync_dir::sync_dir(&opened, &self.shown(dir))
    }

    fn sync_tree(&self, dir: &Path) -> Result<Option<Box<dyn TreeSync>>> {
        let open = || self.open_raw(dir, OFlags::DIRECTORY, Mode::empty());
        crate::sync_tree::begin(open, &self.shown(dir))
    }

    fn available(&self, dir: &Path) -> Result<Option<u64>> {
        let opened = self.open_raw(dir, DIRECTORY, Mode::empty());
        match opened.and_then(|dir| Ok(rustix::fs::fstatvfs(dir)?)) {
            Ok(found) => Ok(Some(found.f_bavail.saturating_mul(found.f_frsize))),
            Err(error) if cannot(Operation::Inspect, &error) => Ok(None),
            failed => self.reported(Operation::Inspect, dir, failed.map(|_| None)),
        }
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        let name = |path| Name { dir: self.fd(), path, detour: self.detour(path) };
        self.reported(Operation::SetMode, to, attributes::carry(&name(from), &name(to)))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        lock::try_lock(self, path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        lock::lock(self, path)
    }

    fn try_lock_noted(&self, path: &Path, note: &[u8]) -> Result<Option<Box<dyn Lock>>> {
        lock::try_lock_noted(self, path, note)
    }

    fn probe_lock(&self, path: &Path) -> Result<Probe> {
        lock::probe(self, path)
    }
}

fn kind_of(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Dir,
        _ => EntryKind::Other,
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_new(dir: BorrowedFd<'_>, from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    Ok(renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn rename_new(_: BorrowedFd<'_>, _: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn exchange(dir: BorrowedFd<'_>, one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    Ok(renameat_with(dir, one, dir, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn exchange(_: BorrowedFd<'_>, _: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
