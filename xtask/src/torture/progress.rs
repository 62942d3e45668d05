//! What a person sees while a row runs: a bar on a terminal, a line for each row elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const WIDTH: usize = 24;
/// How often the bar is drawn at the most.
const PAUSE: Duration = Duration::from_millis(100);

/// The progress of one row.
pub(super) struct Progress {
    id: &'static str,
    title: &'static str,
    started: Instant,
    drawn: Option<Mutex<Instant>>,
}

impl Progress {
    pub(super) fn new(id: &'static str, title: &'static str) -> Self {
        let started = Instant::now();
        let drawn = io::stderr().is_terminal().then(|| Mutex::new(started));
        if drawn.is_none() {
            eprintln!("{id:<5}{title}");
        }
        Self { id, title, started, drawn }
    }

    /// `done` cases are done, of `planned` if that is known.
    pub(super) fn show(&self, done: u64, planned: Option<u64>) {
        let Some(drawn) = &self.drawn else { return };
        let Ok(mut drawn) = drawn.lock() else { return };
        if drawn.elapsed() < PAUSE {
            return;
        }
        *drawn = Instant::now();
        let seconds = self.started.elapsed().as_secs();
        let Self { id, title, .. } = self;
        let bar = bar(done, planned);
        let _ = write!(io::stderr(), "\r\x1b[2K{id:<5}{title:<44} {bar} {done:>7} {seconds:>4} s");
    }

    /// Clears the bar, for what is printed next.
    pub(super) fn clear(&self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

/// A bar that is filled as far as it is known to be.
fn bar(done: u64, planned: Option<u64>) -> String {
    let Some(planned) = planned.filter(|planned| *planned > 0) else { return " ".repeat(WIDTH) };
    let filled = (done.min(planned) as usize * WIDTH) / planned as usize;
    format!("{}{}", "█".repeat(filled), "░".repeat(WIDTH - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_longer_than_its_place() {
        for (done, planned) in [(0, Some(3)), (3, Some(3)), (9, Some(3)), (1, None), (1, Some(0))] {
            assert_eq!(bar(done, planned).chars().count(), WIDTH);
        }
    }
}
