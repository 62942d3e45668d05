//! Locks: an `flock` on a file that appears with the lock and disappears with it.

use super::dir::LocalDir;
use super::file::stamp_of;
use crate::cannot::cannot;
use crate::error::{Context, Error, Operation, Result};
use crate::file_system::Lock;
use crate::noted_lock::{self, FileId, NOTE_BYTES_MAX, Probe};
use qstore_os::ForkCheck;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

#[derive(Debug)]
struct LocalLock {
    dir: LocalDir,
    path: PathBuf,
    /// The open file holds the lock; it is closed after the name is removed.
    file: File,
    /// A forked child has a copy of this struct, but the lock belongs to its parent: closing the child's copy
    /// of the file does not release it. Two processes may have the same number, each in a namespace of its own.
    home: ForkCheck,
}

impl Lock for LocalLock {
    fn is_named(&self) -> Result<bool> {
        let shown = self.dir.shown(&self.path);
        is_named(&self.dir, &self.path, &self.file).context(Operation::Inspect, &shown)
    }
}

impl Drop for LocalLock {
    fn drop(&mut self) {
        // The lock is still held here, so no other process can take it for its own: one that opened this
        // very file finds, once it gets the lock, that the name no longer leads to it. If the name does not
        // lead to it even now, the file was removed by hand, and the name belongs to another holder.
        // mutant: lock_removed_in_a_forked_child
        let is_ours = !self.home.is_forked();
        // mutant: lock_of_somebody_else_removed
        if is_ours && is_named(&self.dir, &self.path, &self.file).unwrap_or(false) {
            let _ = rustix::fs::unlinkat(self.dir.fd(), &self.path, AtFlags::empty());
        }
    }
}

/// A lock with a note, whose file stays: it identifies the lock to those who ask for it.
#[derive(Debug)]
struct NotedLock {
    dir: LocalDir,
    path: PathBuf,
    file: File,
    seen_as: Option<FileId>,
    /// As above.
    home: ForkCheck,
}

impl Lock for NotedLock {
    fn is_named(&self) -> Result<bool> {
        let shown = self.dir.shown(&self.path);
        is_named(&self.dir, &self.path, &self.file).context(Operation::Inspect, &shown)
    }

    fn seen_as(&self) -> Option<FileId> {
        self.seen_as
    }
}

impl Drop for NotedLock {
    fn drop(&mut self) {
        // Not by closing the file alone: the children of a fork have it open, too.
        // mutant: noted_lock_released_in_a_forked_child
        if !self.home.is_forked() {
            noted_lock::release(&self.file);
            let _ = self.file.unlock();
        }
    }
}

/// Acquires the lock with a note, unless it is held.
pub(super) fn try_lock_noted(
    dir: &LocalDir,
    path: &Path,
    note: &[u8],
) -> Result<Option<Box<dyn Lock>>> {
    let shown = dir.shown(path);
    loop {
        let (file, is_new) = open_lock_file(dir, path).context(Operation::Create, &shown)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                if is_new && cannot(Operation::Lock, &error) {
                    let _ = rustix::fs::unlinkat(dir.fd(), path, AtFlags::empty());
                }
                return Err(Error::new(Operation::Lock, &shown, error));
            }
        }
        // Removed by hand between the two calls.
        if is_named(dir, path, &file).context(Operation::Lock, &shown)? {
            // The note comes before the lock is seen, so a lock that is seen has the note of its holder.
            write_note(&file, note);
            // mutant: noted_lock_taken_unseen
            let is_held = noted_lock::hold(&file).is_ok();
            let seen_as = if is_held { is_seen(dir, path, &file) } else { None };
            let (dir, path, home) = (dir.clone(), path.to_path_buf(), ForkCheck::new());
            return Ok(Some(Box::new(NotedLock { dir, path, file, seen_as, home })));
        }
    }
}

/// Best effort: without a note the lock is seen all the same, and on a full disk there is none.
fn write_note(file: &File, note: &[u8]) {
    let written = file.set_len(0).and_then(|()| file.write_all_at(note, 0));
    if written.is_err() {
        let _ = file.set_len(0);
    }
}

/// The file, if a probe sees that it is locked.
fn is_seen(dir: &LocalDir, path: &Path, file: &File) -> Option<FileId> {
    match probe(dir, path) {
        Ok(Probe::Held { file: seen, .. }) => {
            let own = id_of(file).ok()?;
            (own == seen).then_some(own)
        }
        _ => None,
    }
}

/// Whether the lock with a note is held.
pub(super) fn probe(dir: &LocalDir, path: &Path) -> Result<Probe> {
    let shown = dir.shown(path);
    let probed = || -> io::Result<Probe> {
        // A pipe of that name would make the call wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = match dir.open_raw(path, flags, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Probe::Missing),
            opened => opened?,
        };
        let file = id_of(&opened)?;
        if !noted_lock::is_held(&opened)? {
            return Ok(Probe::Free { file });
        }
        let mut note = vec![0; NOTE_BYTES_MAX];
        let len = opened.read_at(&mut note, 0)?;
        note.truncate(len);
        Ok(Probe::Held { file, note })
    };
    probed().context(Operation::Lock, &shown)
}

fn id_of(file: &File) -> io::Result<FileId> {
    let (device, number) = stamp_of(&rustix::fs::fstat(file)?).identity;
    Ok(FileId { device, number })
}

/// Acquires the lock unless it is held.
pub(super) fn try_lock(dir: &LocalDir, path: &Path) -> Result<Option<Box<dyn Lock>>> {
    acquire(dir, path, |file| match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    })
}

/// Waits for the lock.
pub(super) fn lock(dir: &LocalDir, path: &Path) -> Result<Box<dyn Lock>> {
    let held = acquire(dir, path, |file| file.lock().map(|()| true))?;
    Ok(held.expect("waiting for a lock ends with holding it"))
}

/// Opens and locks the file of that name, again and again until the name leads to the file that was locked:
/// the previous holder removes the file when it releases the lock.
fn acquire(
    dir: &LocalDir,
    path: &Path,
    lock: impl Fn(&File) -> io::Result<bool>,
) -> Result<Option<Box<dyn Lock>>> {
    let shown = dir.shown(path);
    loop {
        let (file, is_new) = open_lock_file(dir, path).context(Operation::Create, &shown)?;
        match lock(&file) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                // Where there are no locks, nobody else can hold this file, which only we have made.
                // mutant: lock_file_left_where_there_are_no_locks
                if is_new && cannot(Operation::Lock, &error) {
                    let _ = rustix::fs::unlinkat(dir.fd(), path, AtFlags::empty());
                }
                return Err(Error::new(Operation::Lock, &shown, error));
            }
        }
        // mutant: lock_of_a_name_that_is_gone
        if is_named(dir, path, &file).context(Operation::Lock, &shown)? {
            let (dir, path, home) = (dir.clone(), path.to_path_buf(), ForkCheck::new());
            return Ok(Some(Box::new(LocalLock { dir, path, file, home })));
        }
    }
}

/// Opens the file of that name, and tells whether it is new. A link would lead elsewhere, so it is refused.
fn open_lock_file(dir: &LocalDir, path: &Path) -> io::Result<(File, bool)> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW;
    let new = OFlags::CREATE | OFlags::EXCL;
    loop {
        match dir.open_raw(path, flags | new, Mode::from_raw_mode(0o666)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, true)),
        }
        match dir.open_raw(path, flags, Mode::empty()) {
            // Its holder has released the lock in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return Ok((opened?, false)),
        }
    }
}

/// Whether the name leads to this file.
fn is_named(dir: &LocalDir, path: &Path, file: &File) -> io::Result<bool> {
    let opened = stamp_of(&rustix::fs::fstat(file)?);
    match rustix::fs::statat(dir.fd(), path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok(stamp_of(&named).is_same_file(&opened)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
