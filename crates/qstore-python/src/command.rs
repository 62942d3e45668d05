//! The command `qstore`, for `python -m qstore`.
//!
//! It is the library behind the program of that name. The process has nothing else to do, so the thread keeps the GIL and
//! gives it up where a verb waits.

use pyo3::intern;
use pyo3::prelude::*;
use qstore_cli::console::{Screen, Waiting, World};
use qstore_run::RunPlace;
use std::cell::Cell;
use std::env;
use std::ffi::OsString;
use std::io::{self, BufWriter};
use std::thread;
use std::time::Duration;

/// Ctrl-C is noticed after at most this time while a verb waits.
const SLICE: Duration = Duration::from_millis(50);

/// Waits for the clock, and for signals once a verb wants to handle them.
struct Interpreter<'py> {
    py: Python<'py>,
    is_stopped: Cell<bool>,
}

impl Interpreter<'_> {
    /// The handler of Python raises `KeyboardInterrupt`, which stays here.
    fn look(&self) {
        if self.py.check_signals().is_err() {
            self.is_stopped.set(true);
        }
    }
}

impl Waiting for Interpreter<'_> {
    fn handle_interrupts(&mut self) {
        // Without a handler, Ctrl-C ends the process at once, which every verb survives; so does one without Python's.
        let _ = self.py.import("signal").and_then(|signal| {
            let handler = signal.getattr(intern!(self.py, "default_int_handler"))?;
            signal.call_method1("signal", (signal.getattr("SIGINT")?, handler))
        });
    }

    fn is_stopped(&self) -> bool {
        self.look();
        self.is_stopped.get()
    }

    fn wait(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.is_stopped() {
            let slice = left.min(SLICE);
            self.py.detach(|| thread::sleep(slice));
            left -= slice;
        }
    }
}

/// Runs one call of the command, and returns its exit code. The first argument is the name of the program. `width` is that
/// of the terminal; None if the output is not one.
#[pyfunction]
#[pyo3(signature = (arguments, width, is_colored, is_talkative))]
pub(crate) fn command(
    py: Python<'_>,
    arguments: Vec<OsString>,
    width: Option<usize>,
    is_colored: bool,
    is_talkative: bool,
) -> u8 {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let world = World {
        out: &mut BufWriter::new(stdout.lock()),
        err: &mut stderr.lock(),
        screen: Screen { width, is_colored, is_talkative },
        place: RunPlace::default(),
        dir: env::var_os("QSTORE_DIR").map_or(".".into(), Into::into),
        waiting: &mut Interpreter { py, is_stopped: Cell::new(false) },
    };
    qstore_cli::run(arguments, world).code()
}
