//! The terminal of a program that draws a whole screen: keys that arrive one by one, and the way back.
//!
//! Invariant: what [`take_terminal`] changed, [`give_back_terminal`] restores, for the one that calls it first: the program,
//! or its panic hook. What the screen shows is not known here; nothing is printed.

use std::io;
use std::time::Duration;

/// From now on the keys of the terminal that is the standard input arrive one by one, are not printed, and send no
/// signals: Ctrl-C is the byte 3. Nothing changes if it was taken before.
///
/// # Errors
/// If the standard input is not a terminal, or the system does not change it.
pub fn take_terminal() -> io::Result<()> {
    system::take()
}

/// Gives the terminal its settings back. Does nothing if it is not taken, and can be called by a panic hook.
pub fn give_back_terminal() {
    system::give_back();
}

/// Waits until something is typed, at most that time, and adds what there is to `typed`. A signal ends the wait.
/// Returns whether more can come: `false` once the terminal is gone.
///
/// # Errors
/// If the standard input cannot be read.
pub fn read_terminal(typed: &mut Vec<u8>, wait: Duration) -> io::Result<bool> {
    system::read(typed, wait)
}

/// Stops this process, as Ctrl-Z does, until the shell lets it go on. The terminal must have been given back.
pub fn suspend_process() {
    system::suspend();
}

#[cfg(unix)]
#[allow(unsafe_code)]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    const INPUT: libc::c_int = libc::STDIN_FILENO;

    /// The settings to go back to, while the terminal is taken.
    static SAVED: Mutex<Option<libc::termios>> = Mutex::new(None);

    fn saved() -> MutexGuard<'static, Option<libc::termios>> {
        // Settings are copied in whole or not at all.
        SAVED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take() -> io::Result<()> {
        let mut saved = saved();
        if saved.is_some() {
            return Ok(());
        }
        let mut settings = MaybeUninit::uninit();
        // SAFETY: the settings are written to memory of their type.
        if unsafe { libc::tcgetattr(INPUT, settings.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has succeeded, so they are there.
        let before: libc::termios = unsafe { settings.assume_init() };
        let mut raw = before;
        // SAFETY: the settings are valid and live until the call is over.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        // SAFETY: as above.
        if unsafe { libc::tcsetattr(INPUT, libc::TCSADRAIN, &raw const raw) } != 0 {
            return Err(io::Error::last_os_error());
        }
        *saved = Some(before);
        Ok(())
    }

    pub(super) fn give_back() {
        if let Some(settings) = saved().take() {
            // What was typed ahead is not meant for the shell.
            // SAFETY: the settings are those that the system had given.
            let _ = unsafe { libc::tcsetattr(INPUT, libc::TCSAFLUSH, &raw const settings) };
        }
    }

    pub(super) fn read(typed: &mut Vec<u8>, wait: Duration) -> io::Result<bool> {
        let mut entry = libc::pollfd { fd: INPUT, events: libc::POLLIN, revents: 0 };
        let millis = libc::c_int::try_from(wait.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one entry, which lives until the call is over.
        let ready = unsafe { libc::poll(&raw mut entry, 1, millis) };
        if ready < 0 {
            return unless_interrupted();
        }
        if ready == 0 {
            return Ok(true);
        }
        let mut bytes = [0_u8; 256];
        // SAFETY: the buffer has that many bytes.
        let count = unsafe { libc::read(INPUT, bytes.as_mut_ptr().cast(), bytes.len()) };
        match usize::try_from(count) {
            Ok(0) => Ok(false),
            Ok(count) => {
                typed.extend_from_slice(&bytes[..count]);
                Ok(true)
            }
            // A terminal whose other end was closed.
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::EIO) => Ok(false),
            Err(_) => unless_interrupted(),
        }
    }

    fn unless_interrupted() -> io::Result<bool> {
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            error => Err(error),
        }
    }

    pub(super) fn suspend() {
        // SAFETY: the signal has its default action: the process stops, and goes on when it gets SIGCONT.
        let _ = unsafe { libc::raise(libc::SIGTSTP) };
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::time::Duration;

    pub(super) fn take() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn give_back() {}

    pub(super) fn read(_: &mut Vec<u8>, _: Duration) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn suspend() {}
}
