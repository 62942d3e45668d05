//! A directory of the machine's file system.
//!
//! It is held open, and paths begin at the open directory: it stays the same one when it gets another name,
//! or another directory gets its name.

use super::file::stamp_of;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::retry_on_intr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opening it this way needs no permission to list the directory.
#[cfg(target_os = "linux")]
pub(super) const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
#[cfg(not(target_os = "linux"))]
pub(super) const DIRECTORY: OFlags = OFlags::DIRECTORY;

/// An open directory, or the working directory of the process.
#[derive(Debug, Clone)]
pub(super) struct LocalDir {
    fd: Option<Arc<OwnedFd>>,
    /// The name under which it was opened, for messages.
    path: PathBuf,
}

impl LocalDir {
    /// The working directory, whichever it is at the moment.
    pub(super) const WORKING: Self = Self { fd: None, path: PathBuf::new() };

    /// The directory that was opened under this name.
    pub(super) fn of(opened: File, path: PathBuf) -> Self {
        Self { fd: Some(Arc::new(opened.into())), path }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().map_or(CWD, |fd| fd.as_fd())
    }

    /// The path as a person knows it.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        if path == Path::new(".") && self.fd.is_some() {
            return self.path.clone();
        }
        self.path.join(path)
    }

    pub(super) fn open_raw(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::openat(self.fd(), path, flags, mode))?;
        Ok(opened.into())
    }

    /// The same path for calls that take no open directory. It leads through the open one, and only where
    /// that is not possible through its name.
    pub(super) fn detour(&self, path: &Path) -> PathBuf {
        let Some(fd) = &self.fd else { return path.to_path_buf() };
        let opened = link_to(fd).filter(|link| link.exists());
        let dir = opened.or_else(|| self.present_name().ok()).unwrap_or_else(|| self.path.clone());
        dir.join(path)
    }

    /// The name that the directory has now; empty for the working directory, which needs none.
    pub(super) fn present_name(&self) -> io::Result<PathBuf> {
        let Some(fd) = &self.fd else { return Ok(PathBuf::new()) };
        let opened = stamp_of(&rustix::fs::fstat(fd)?);
        let reported = name_of(fd);
        // What the system reports may be out of date, and where it reports nothing the old name is tried.
        for name in reported.iter().chain([&self.path]) {
            if rustix::fs::stat(name).is_ok_and(|found| stamp_of(&found).is_same_file(&opened)) {
                return Ok(name.clone());
            }
        }
        Err(match reported {
            Some(_) => io::Error::new(io::ErrorKind::NotFound, "the directory was removed"),
            None => io::ErrorKind::Unsupported.into(),
        })
    }
}

/// A link that leads to an open directory, whatever its name.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn link_to(fd: &OwnedFd) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    Some(format!("/proc/self/fd/{}", fd.as_raw_fd()).into())
}

/// Other systems have none.
#[cfg(not(target_os = "linux"))]
fn link_to(_: &OwnedFd) -> Option<PathBuf> {
    None
}

/// The name of an open directory, as the system knows it.
#[cfg(target_os = "linux")]
fn name_of(fd: &OwnedFd) -> Option<PathBuf> {
    std::fs::read_link(link_to(fd)?).ok()
}

/// The name of an open directory, as the system knows it.
#[cfg(target_vendor = "apple")]
fn name_of(fd: &OwnedFd) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let name = rustix::fs::getpath(fd).ok()?;
    Some(std::ffi::OsStr::from_bytes(name.to_bytes()).into())
}

/// Other systems do not tell.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn name_of(_: &OwnedFd) -> Option<PathBuf> {
    None
}
