//! Linux file leases, which reveal whether a file is open elsewhere. On other systems nothing is known.
//!
//! `unsafe` for one system call that no safe wrapper offers.

#![allow(unsafe_code)]

use crate::in_place::{Claim, Exclusive};
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
        Ok(()) => Ok(Exclusive::Held(Box::new(Lease { file: Arc::clone(file) }))),
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
}

#[cfg(target_os = "linux")]
impl Claim for Lease {}

#[cfg(target_os = "linux")]
impl Drop for Lease {
    fn drop(&mut self) {
        // Closing the file would release it as well.
        let _ = fcntl(&self.file, libc::F_SETLEASE, libc::F_UNLCK);
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
}
