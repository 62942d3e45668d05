//! Linux file leases, which reveal whether a file is open elsewhere. On other systems nothing is known.
//!
//! `unsafe` for one system call that no safe wrapper offers.

#![allow(unsafe_code)]

use crate::in_place::{Claim, Exclusive};
use qstore_os::ForkCheck;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// `F_SETSIG` of `asm-generic/fcntl.h`, which the `libc` crate does not have.
#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

/// Requests a write lease. The system grants it only if this is the only open file of its inode; a mapping
/// counts, since it keeps its file open.
#[cfg(target_os = "linux")]
pub(crate) fn claim(file: &Arc<File>) -> io::Result<Exclusive> {
    // Opening the file while the lease is held sends this process a signal. The default one would end it;
    // this one is ignored unless it is handled.
    let asked = fcntl(file, F_SETSIG, libc::SIGURG)
        .and_then(|()| fcntl(file, libc::F_SETLEASE, libc::F_WRLCK));
    match asked {
        Ok(()) => {
            let lease = Lease { file: Arc::clone(file), home: ForkCheck::new() };
            Ok(Exclusive::Held(Box::new(lease)))
        }
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(Exclusive::Busy),
            // A file of another owner, or a file system or kernel without leases.
            Some(
                libc::EACCES
                | libc::EPERM
                | libc::EINVAL
                | libc::ENOLCK
                | libc::EOPNOTSUPP
                | libc::ENOSYS,
            ) => Ok(Exclusive::Unknown),
            _ => Err(error),
        },
    }
}

/// Other systems have no leases.
#[cfg(not(target_os = "linux"))]
pub(crate) fn claim(_: &Arc<File>) -> io::Result<Exclusive> {
    Ok(Exclusive::Unknown)
}

/// A write lease; opening the file waits until it ends.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Lease {
    file: Arc<File>,
    home: ForkCheck,
}

#[cfg(target_os = "linux")]
impl Claim for Lease {}

#[cfg(target_os = "linux")]
impl Drop for Lease {
    fn drop(&mut self) {
        // A forked child shares the open file with its parent, so this would end the lease of the parent.
        // mutant: lease_ended_in_a_forked_child
        if !self.home.is_forked() {
            // Closing the file would release it as well.
            let _ = fcntl(&self.file, libc::F_SETLEASE, libc::F_UNLCK);
        }
    }
}

#[cfg(target_os = "linux")]
fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and both commands used here take
    // one integer and access no memory of this process.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::{Exclusive, FileSystem, LocalFs};
    use qstore_os::testing::{Fork, in_child};
    use std::fs::File;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn opening_a_claimed_file_waits_until_the_claim_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = LocalFs.create_new(&path).unwrap();
        let Exclusive::Held(claim) = file.claim().unwrap() else {
            return; // a file system without leases; the fallback has its own tests
        };
        let (sender, opened) = mpsc::channel();
        let reader = thread::spawn(move || {
            let opened = File::open(path).unwrap();
            sender.send(()).unwrap();
            opened
        });
        file.write_at(0, b"whole").unwrap();
        assert!(opened.try_recv().is_err(), "the file was opened while it was claimed");
        drop(claim);
        let reader = reader.join().unwrap();
        assert!(matches!(file.claim().unwrap(), Exclusive::Busy));
        drop(reader);
        assert!(matches!(file.claim().unwrap(), Exclusive::Held(_)));
    }

    /// The file would be opened while its writer believes that nobody can.
    #[test]
    fn a_claim_that_a_forked_child_drops_is_still_held_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = LocalFs.create_new(&path).unwrap();
        for fork in Fork::ALL {
            let Exclusive::Held(claim) = file.claim().unwrap() else {
                return; // a file system without leases
            };
            let mut claim = Some(claim);
            in_child(fork, || drop(claim.take())).unwrap();
            let (sender, opened) = mpsc::channel();
            let reader = thread::spawn({
                let path = path.clone();
                move || {
                    let opened = File::open(path).unwrap();
                    sender.send(()).unwrap();
                    opened
                }
            });
            // The system has told us that somebody waits to open the file: it is held.
            while lease_of(&path) != Some(true) {
                assert!(opened.try_recv().is_err(), "{fork:?}: the file could be opened");
                thread::yield_now();
            }
            drop(claim);
            drop(reader.join().unwrap());
        }
    }

    /// Whether the lease on a file is being broken; `None` if there is no lease.
    fn lease_of(path: &std::path::Path) -> Option<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let inode = format!(":{} ", std::fs::metadata(path).unwrap().ino());
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let lease = locks.lines().find(|line| line.contains("LEASE") && line.contains(&inode))?;
        Some(lease.contains("BREAKING"))
    }
}
