//! A lock that can be asked for without taking it, and the note that its holder leaves.
//!
//! A reader that wants to know whether a writer lives must not take the writer's lock, not even for an instant:
//! a writer that starts in that instant would be refused. `F_OFD_GETLK` asks the kernel for a lock that would
//! conflict, and takes nothing. It answers for the file itself, so it works from another container on the same
//! machine and whatever numbers the file system reports for its devices, where `/proc/locks` does not.
//!
//! The holder tries itself whether it is seen. Where it is not (another system, a file system without such
//! locks), that is known and no probe is believed.
//!
//! `unsafe` for one system call that no safe wrapper offers.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;

/// Tells files apart that exist at the same time on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The number of the file system.
    pub device: u64,
    /// The number of the file in it.
    pub number: u64,
}

/// What [`FileSystem::probe_lock`](crate::FileSystem::probe_lock) has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// There is no file of that name: the lock was never held here, or the file was removed by hand.
    Missing,
    /// Nobody holds the lock.
    Free {
        /// The file.
        file: FileId,
    },
    /// Somebody holds the lock.
    Held {
        /// The file.
        file: FileId,
        /// What the holder has written, at most [`NOTE_BYTES_MAX`] bytes; empty if it could not.
        note: Vec<u8>,
    },
}

/// The most bytes of a note that are read.
pub const NOTE_BYTES_MAX: usize = 4096;

/// Takes the lock on the first byte of an open file.
#[cfg(target_os = "linux")]
pub(crate) fn hold(file: &File) -> io::Result<()> {
    ask(file, libc::F_OFD_SETLK, libc::F_WRLCK).map(drop)
}

/// Gives it back, also for the children of a fork, which share the open file.
#[cfg(target_os = "linux")]
pub(crate) fn release(file: &File) {
    let _ = ask(file, libc::F_OFD_SETLK, libc::F_UNLCK);
}

/// Whether another open file of the same inode holds the lock.
#[cfg(target_os = "linux")]
pub(crate) fn is_held(file: &File) -> io::Result<bool> {
    // mutant: probe_believes_that_every_lock_is_free
    Ok(ask(file, libc::F_OFD_GETLK, libc::F_RDLCK)? != libc::F_UNLCK)
}

/// Returns the kind of lock that would conflict, for a question.
#[cfg(target_os = "linux")]
fn ask(file: &File, command: libc::c_int, kind: libc::c_int) -> io::Result<libc::c_int> {
    use std::os::fd::AsRawFd;
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 1,
        l_pid: 0, // as the system demands
    };
    loop {
        // SAFETY: the descriptor is open as long as `file` is borrowed, and the system reads and writes
        // nothing but the struct, which lives until the call returns.
        let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
        if answer != -1 {
            return Ok(libc::c_int::from(lock.l_type));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Other systems have no such lock.
#[cfg(not(target_os = "linux"))]
pub(crate) fn hold(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn release(_: &File) {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_held(_: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::{FileSystem, LocalFs};
    use qstore_os::testing::{Fork, in_child};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    fn is_held_at(path: &Path) -> bool {
        matches!(LocalFs.probe_lock(path).unwrap(), Probe::Held { .. })
    }

    #[test]
    fn the_note_and_the_file_of_a_held_lock_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(LocalFs.probe_lock(&path).unwrap(), Probe::Missing);
        let lock = LocalFs.try_lock_noted(&path, b"who holds it").unwrap().unwrap();
        let file = lock.seen_as().expect("this file system has the lock");
        let held = Probe::Held { file, note: b"who holds it".to_vec() };
        assert_eq!(LocalFs.probe_lock(&path).unwrap(), held);
        assert!(LocalFs.try_lock_noted(&path, b"another").unwrap().is_none());
        assert_eq!(LocalFs.probe_lock(&path).unwrap(), held, "a refused holder changes nothing");
        drop(lock);
        assert_eq!(LocalFs.probe_lock(&path).unwrap(), Probe::Free { file });
        let lock = LocalFs.try_lock_noted(&path, b"x").unwrap().unwrap();
        assert_eq!(LocalFs.probe_lock(&path).unwrap(), Probe::Held { file, note: b"x".to_vec() });
        drop(lock);
    }

    #[test]
    fn a_file_that_was_removed_by_hand_is_seen_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = LocalFs.try_lock_noted(&path, b"").unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!lock.is_named().unwrap());
        assert_eq!(LocalFs.probe_lock(&path).unwrap(), Probe::Missing);
    }

    #[test]
    fn a_child_holds_the_lock_of_its_parent_until_the_parent_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        for fork in Fork::ALL {
            let mut lock = LocalFs.try_lock_noted(&path, b"parent").unwrap();
            in_child(fork, || drop(lock.take())).unwrap();
            assert!(is_held_at(&path), "{fork:?}: a child has released it");
            in_child(fork, || assert!(is_held_at(&path))).unwrap();
            drop(lock);
            assert!(!is_held_at(&path), "{fork:?}");
        }
    }

    /// What a reader of the status does meanwhile must not refuse a writer.
    #[test]
    fn a_thousand_writers_start_while_eight_readers_probe() {
        let dir = tempfile::tempdir().unwrap();
        let path = &dir.path().join("lock");
        let is_done = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(move || {
                        let mut probes = 0_u64;
                        while !is_done.load(SeqCst) {
                            LocalFs.probe_lock(path).unwrap();
                            probes += 1;
                        }
                        probes
                    })
                })
                .collect();
            let refused = (0..1_000).filter(|_| {
                let lock = LocalFs.try_lock_noted(path, b"writer").unwrap();
                assert!(lock.is_none() || is_held_at(path), "a writer is not seen");
                lock.is_none()
            });
            let refused = refused.count();
            is_done.store(true, SeqCst);
            assert_eq!(refused, 0);
            assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
        });
    }
}
