//! The terminal of this process, which a panic gives back, too.

use super::screen::LEAVE;
use crate::console::Terminal;
use std::fs::File;
use std::io::{self, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// The size of a terminal that does not say it.
const SIZE: (u16, u16) = (80, 24);

/// Whether a panic has a screen to leave.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The standard input and output of this process.
#[derive(Debug, Default)]
pub struct SystemTerminal;

impl Terminal for SystemTerminal {
    fn take(&mut self) -> io::Result<()> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                // Before the message, which would be on a screen that goes away.
                if IS_TAKEN.swap(false, SeqCst) {
                    leave_screen();
                    qstore_os::give_back_terminal();
                }
                before(panic);
            }));
        });
        qstore_os::take_terminal()?;
        IS_TAKEN.store(true, SeqCst);
        Ok(())
    }

    fn give_back(&mut self) {
        if IS_TAKEN.swap(false, SeqCst) {
            qstore_os::give_back_terminal();
        }
    }

    fn size(&self) -> (u16, u16) {
        let size = terminal_size::terminal_size_of(io::stdout());
        let size = size.map(|(columns, lines)| (columns.0, lines.0));
        size.filter(|(columns, lines)| *columns > 0 && *lines > 0).unwrap_or(SIZE)
    }

    fn read(&mut self, typed: &mut Vec<u8>, wait: Duration) -> io::Result<bool> {
        qstore_os::read_terminal(typed, wait)
    }

    fn suspend(&mut self) {
        qstore_os::suspend_process();
    }
}

/// Past the buffers of the standard output, which the thread that panics may have locked.
fn leave_screen() {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        if let Ok(copy) = io::stdout().as_fd().try_clone_to_owned() {
            let _ = File::from(copy).write_all(LEAVE.as_bytes());
        }
    }
}
