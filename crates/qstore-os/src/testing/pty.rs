//! A terminal that a test types at, and whose screen it reads.

use super::{LIMIT, is_readable_before};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::Stdio;
use std::ptr::null_mut;
use std::time::Instant;

/// A terminal without a window: a program gets one end as its input and output, the test has the other one.
#[derive(Debug)]
pub struct Pty {
    ours: File,
    theirs: OwnedFd,
    printed: Vec<u8>,
}

/// The settings of a terminal: what it does with what is typed and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PtySettings([libc::tcflag_t; 4]);

impl Pty {
    /// A terminal of that size.
    ///
    /// # Panics
    /// If the system has none.
    #[must_use]
    #[allow(unsafe_code)]
    pub fn open(columns: u16, lines: u16) -> Self {
        let (mut ours, mut theirs) = (-1, -1);
        let size = size(columns, lines);
        // SAFETY: both numbers and the size live until the call is over; no name and no settings are asked for.
        let done = unsafe {
            let (settings, size) = (null_mut::<libc::termios>(), (&raw const size).cast_mut());
            libc::openpty(
                &raw mut ours,
                &raw mut theirs,
                null_mut::<libc::c_char>(),
                settings,
                size,
            )
        };
        assert_eq!(done, 0, "the system has no terminal: {}", std::io::Error::last_os_error());
        // SAFETY: both were opened for us, and nobody else has them.
        let (ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        Self { ours, theirs, printed: Vec::new() }
    }

    /// The end that a program gets as its input, output or error stream.
    ///
    /// # Panics
    /// If no more files can be opened.
    #[must_use]
    pub fn stdio(&self) -> Stdio {
        self.theirs.try_clone().expect("there are few open files").into()
    }

    /// What it does with what is typed and printed, at this moment.
    ///
    /// # Panics
    /// If the system does not say.
    #[must_use]
    #[allow(unsafe_code)]
    pub fn settings(&self) -> PtySettings {
        let mut settings = MaybeUninit::uninit();
        // SAFETY: the settings are written to memory of their type.
        let done = unsafe { libc::tcgetattr(self.theirs.as_raw_fd(), settings.as_mut_ptr()) };
        assert_eq!(done, 0, "the terminal has no settings");
        // SAFETY: the call has succeeded.
        let found: libc::termios = unsafe { settings.assume_init() };
        PtySettings([found.c_iflag, found.c_oflag, found.c_cflag, found.c_lflag])
    }

    /// Changes its size, as a person does who draws at the corner of a window.
    ///
    /// # Panics
    /// If the system refuses.
    #[allow(unsafe_code)]
    pub fn resize(&self, columns: u16, lines: u16) {
        let size = size(columns, lines);
        // SAFETY: the request takes a size, which lives until the call is over.
        let done = unsafe { libc::ioctl(self.ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(done, 0, "the terminal keeps its size");
    }

    /// Presses keys.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// Everything that is printed up to and with that text, since the last call.
    ///
    /// # Panics
    /// If it is not printed within a minute; the message has what was.
    pub fn until(&mut self, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let found = self.printed.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let rest = self.printed.split_off(at + text.len());
                let found = std::mem::replace(&mut self.printed, rest);
                return String::from_utf8_lossy(&found).into_owned();
            }
            let printed = || String::from_utf8_lossy(&self.printed).into_owned();
            assert!(is_readable_before(&self.ours, end), "{text:?} is not in {:?}", printed());
            let mut part = [0; 4096];
            let count = self.ours.read(&mut part).expect("the terminal is there");
            self.printed.extend_from_slice(&part[..count]);
        }
    }
}

fn size(columns: u16, lines: u16) -> libc::winsize {
    libc::winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_program_gets_keys_prints_and_changes_the_settings() {
        let mut pty = Pty::open(80, 24);
        let before = pty.settings();
        let mut child = Command::new("sh")
            .args([
                "-c",
                "stty raw -echo; printf ready; head -c 3; stty sane -echo; stty size; printf end",
            ])
            .stdin(pty.stdio())
            .stdout(pty.stdio())
            .stderr(pty.stdio())
            .spawn()
            .unwrap();
        assert_eq!(pty.until("ready"), "ready");
        assert_ne!(pty.settings(), before);
        pty.resize(100, 30);
        pty.press("q\x03?");
        let rest = pty.until("end");
        assert!(rest.starts_with("q\x03?") && rest.contains("30 100"), "{rest:?}");
        assert!(child.wait().unwrap().success());
    }
}
