//! Linux file leases, which tell whether a file is open elsewhere.
//!
//! The only module of this crate with `unsafe`: two system calls that no safe wrapper offers. On
//! other systems nothing can be told.

#![allow(unsafe_code)]

use crate::in_place::{Claim, Exclusive};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// `F_SETSIG` of `asm-generic/fcntl.h`, which the `libc` crate leaves out.
#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

/// Asks for a write lease. The system grants it only if this is the one open file of its inode;
/// mappings count, since each holds the file it was made from.
#[cfg(target_os = "linux")]
pub(crate) fn claim(file: &Arc<File>) -> io::Result<Exclusive> {
    // An open while the lease is held signals this process. The default signal would end it; this one
    // is ignored unless somebody handles it.
    let asked = fcntl(file, F_SETSIG, libc::SIGURG)
        .and_then(|()| fcntl(file, libc::F_SETLEASE, libc::F_WRLCK));
    match asked {
        Ok(()) => Ok(Exclusive::Held(Box::new(Lease { file: Arc::clone(file) }))),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(Exclusive::Busy),
            // Another owner's file, a file system without leases, a kernel without them.
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

/// Nothing is known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn claim(_: &Arc<File>) -> io::Result<Exclusive> {
    Ok(Exclusive::Unknown)
}

/// A write lease; whoever opens the file waits for its end.
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
        // Closing the file would release it, too.
        let _ = fcntl(&self.file, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

#[cfg(target_os = "linux")]
fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and both commands used here take
    // one integer and touch no memory of ours.
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
    fn who_opens_a_claimed_file_waits_for_the_end_of_the_claim() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = LocalFs.create_new(&path).unwrap();
        let Exclusive::Held(claim) = file.claim().unwrap() else {
            return; // this file system has no leases; the fallback is tested elsewhere
        };
        let (sender, opened) = mpsc::channel();
        let reader = thread::spawn(move || {
            let opened = File::open(path).unwrap();
            sender.send(()).unwrap();
            opened
        });
        file.write_at(0, b"whole").unwrap();
        assert!(opened.try_recv().is_err(), "it is not let in while the claim is held");
        drop(claim);
        let reader = reader.join().unwrap();
        assert!(matches!(file.claim().unwrap(), Exclusive::Busy));
        drop(reader);
        assert!(matches!(file.claim().unwrap(), Exclusive::Held(_)));
    }
}
