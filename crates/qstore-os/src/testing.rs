//! Forks and terminals for tests: runs a closure in a child process and reports how that ended; [`Pty`] is a terminal
//! that a test types at. Feature `testing`.
//!
//! The child is a copy of the test with one thread. It may allocate and start threads, and must not rely on a
//! lock that another thread of the test may have held.

mod pty;

pub use pty::{Pty, PtySettings};

use std::any::Any;
use std::fmt;
use std::io::{PipeReader, Read as _, Write as _, pipe};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A child that has not ended by then counts as hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// How a child is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The function `fork` of the C library, which Python's `os.fork` and `multiprocessing` use.
    Library,
    /// The system call alone, without the library's handlers. Linux only; elsewhere it is `Library`.
    SystemCall,
}

impl Fork {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Library, Self::SystemCall];
}

/// Why a child did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildFailure {
    /// It panicked, with this message.
    Panicked(String),
    /// It did not end and was killed.
    Hung,
    /// It ended before the closure did: a signal, or another call of `exit`.
    Ended,
}

impl fmt::Display for ChildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "the child panicked: {message}"),
            Self::Hung => write!(f, "the child did not end within {LIMIT:?}"),
            Self::Ended => f.write_str("the child ended before its closure did"),
        }
    }
}

/// Forks, runs `child` in the child, and waits until it has ended. What `child` captured by value is dropped in
/// the child; no other destructor runs there.
///
/// # Errors
/// A [`ChildFailure`] if the closure panicked, did not end, or took the process with it.
///
/// # Panics
/// If the system cannot fork.
pub fn in_child(fork: Fork, child: impl FnOnce()) -> Result<(), ChildFailure> {
    let (reader, mut writer) = pipe().expect("the system has pipes");
    let pid = call(fork);
    assert!(pid >= 0, "the system could not fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        drop(reader);
        let ended = catch_unwind(AssertUnwindSafe(child));
        let message = ended.map_or_else(|panic| text_of(&*panic), |()| DONE.into());
        let _ = writer.write_all(message.as_bytes());
        leave();
    }
    drop(writer);
    let message = read_within(reader);
    if message.is_none() {
        kill(pid);
    }
    wait_for(pid);
    match message.as_deref() {
        None => Err(ChildFailure::Hung),
        Some(DONE) => Ok(()),
        Some("") => Err(ChildFailure::Ended),
        Some(panic) => Err(ChildFailure::Panicked(panic.into())),
    }
}

/// Forks, and both processes go on. The parent waits for nothing.
///
/// # Panics
/// If the system cannot fork.
pub fn fork_and_go_on(fork: Fork) {
    assert!(call(fork) >= 0, "the system could not fork: {}", std::io::Error::last_os_error());
}

const DONE: &str = "\0done";

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// Everything up to the end of the pipe; `None` if that takes too long.
fn read_within(mut reader: PipeReader) -> Option<String> {
    let (end, mut bytes) = (Instant::now() + LIMIT, Vec::new());
    loop {
        if !is_readable_before(&reader, end) {
            return None;
        }
        let mut part = [0; 4096];
        match reader.read(&mut part) {
            Ok(0) => return Some(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("a pipe could not be read: {error}"),
        }
    }
}

#[allow(unsafe_code)]
fn is_readable_before(reader: &impl AsRawFd, end: Instant) -> bool {
    let mut entry = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        let left = end.saturating_duration_since(Instant::now()).as_millis() as libc::c_int;
        // SAFETY: one entry, whose descriptor is open.
        match unsafe { libc::poll(&raw mut entry, 1, left) } {
            0 => return false,
            1 => return true,
            _ => {} // interrupted
        }
    }
}

#[allow(unsafe_code)]
fn call(fork: Fork) -> libc::pid_t {
    #[cfg(target_os = "linux")]
    if fork == Fork::SystemCall {
        let flags = libc::c_long::from(libc::SIGCHLD);
        // SAFETY: no flag but the signal of the end, so this is what `fork` does, without its handlers.
        return unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } as libc::pid_t;
    }
    let _ = fork;
    // SAFETY: the child runs a closure of a test, which knows that it is alone, and ends by `_exit`.
    unsafe { libc::fork() }
}

#[allow(unsafe_code)]
fn leave() -> ! {
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(0) }
}

#[allow(unsafe_code)]
fn kill(pid: libc::pid_t) {
    // SAFETY: the process is our child, which was not waited for yet.
    let _ = unsafe { libc::kill(pid, libc::SIGKILL) };
}

#[allow(unsafe_code)]
fn wait_for(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the process is our child, and the status lives until the call is over.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1
        && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reports_its_panic_and_its_end() {
        for fork in Fork::ALL {
            assert_eq!(in_child(fork, || {}), Ok(()));
            let panicked = in_child(fork, || panic!("on purpose"));
            assert_eq!(panicked, Err(ChildFailure::Panicked("on purpose".into())));
            assert_eq!(in_child(fork, || leave()), Err(ChildFailure::Ended));
        }
    }
}
