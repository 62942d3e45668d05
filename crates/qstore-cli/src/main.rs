//! The program `qstore`: asks the system for the time, the terminal and Ctrl-C, and leaves the rest to the
//! library.

use anstream::{AutoStream, ColorChoice};
use qstore_cli::console::{Screen, Waiting, World};
#[cfg(feature = "watch")]
use qstore_cli::{console::Terminal, watch::SystemTerminal};
use qstore_run::RunPlace;
use qstore_signal::StopSignal;
use std::io::{self, BufWriter, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, thread};

/// The width of a terminal that does not say it.
const WIDTH: usize = 80;
/// Ctrl-C is noticed after at most this time while the program waits.
const SLICE: Duration = Duration::from_millis(50);

/// Waits for the clock, and for signals once a verb wants to handle them.
#[derive(Default)]
struct System {
    stop: Option<StopSignal>,
    #[cfg(feature = "watch")]
    terminal: SystemTerminal,
}

impl Waiting for System {
    fn handle_interrupts(&mut self) {
        // Without a handler, Ctrl-C ends the process at once, which every verb survives.
        self.stop = StopSignal::install().ok();
    }

    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(StopSignal::is_set)
    }

    fn wait(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.is_stopped() {
            let slice = left.min(SLICE);
            thread::sleep(slice);
            left -= slice;
        }
    }

    #[cfg(feature = "watch")]
    fn terminal(&mut self) -> Option<&mut dyn Terminal> {
        Some(&mut self.terminal)
    }
}

fn main() -> ExitCode {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let width = || terminal_size::terminal_size_of(&stdout).map(|(width, _)| width.0.into());
    let screen = Screen {
        // Some terminals do not know their size, and are terminals all the same.
        width: stdout.is_terminal().then(|| width().filter(|width| *width > 0).unwrap_or(WIDTH)),
        is_colored: AutoStream::choice(&stdout) != ColorChoice::Never,
        is_talkative: stderr.is_terminal(),
    };
    let world = World {
        out: &mut BufWriter::new(stdout.lock()),
        err: &mut stderr.lock(),
        screen,
        place: RunPlace::default(),
        dir: env::var_os("QSTORE_DIR").map_or(".".into(), Into::into),
        waiting: &mut System::default(),
    };
    qstore_cli::run(env::args_os(), world).code().into()
}
