//! Where a verb prints to, and what it knows of the world: the screen, the time, and whether to stop.
//!
//! Results go to the output, talk to the error stream. A verb asks no clock and no terminal itself, so each
//! can be run in a test and gives the same text every time.

use crate::failure::Failure;
use crate::output::escape::shown_lines;
use crate::output::json::{self, Document};
use crate::output::table::Table;
use qstore_run::RunPlace;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Progress is drawn at most this often.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// What surrounds a call of the command.
pub struct World<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// What is known of the screen.
    pub screen: Screen,
    /// The machine, its clock and its files: whether a run is alive, and how old it is.
    pub place: RunPlace,
    /// The path that is meant when none is given.
    pub dir: PathBuf,
    /// Waits, and learns of Ctrl-C.
    pub waiting: &'a mut dyn Waiting,
}

/// What is known of the screen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Screen {
    /// The width of the output in columns; `None` if it is not a terminal.
    pub width: Option<usize>,
    /// Whether colors are wanted on a terminal, where `--color` does not say.
    pub is_colored: bool,
    /// Whether the error stream is a terminal.
    pub is_talkative: bool,
}

/// How a call waits and is interrupted.
pub trait Waiting {
    /// From now on, Ctrl-C is reported by [`is_stopped`](Self::is_stopped) instead of ending the process: the
    /// verb has something to clean up.
    fn handle_interrupts(&mut self);

    /// Whether Ctrl-C was pressed.
    fn is_stopped(&self) -> bool;

    /// Waits for that time, or until Ctrl-C.
    fn wait(&mut self, time: Duration);

    /// The terminal that a verb may take over; none where nobody sits.
    fn terminal(&mut self) -> Option<&mut dyn Terminal> {
        None
    }
}

/// A terminal whose keys and whole screen a verb takes over. What is drawn goes to the output.
pub trait Terminal {
    /// From now on each key arrives by itself, is not printed, and sends no signal. After a panic the terminal is as
    /// it was before.
    ///
    /// # Errors
    /// If there is no terminal, or it does not do that.
    fn take(&mut self) -> io::Result<()>;

    /// Makes it what it was. Does nothing if it is not taken.
    fn give_back(&mut self);

    /// Its columns and lines.
    fn size(&self) -> (u16, u16);

    /// Adds what is typed, and waits for it at most that time. Returns `false` once the terminal is gone.
    ///
    /// # Errors
    /// If the keys cannot be read.
    fn read(&mut self, typed: &mut Vec<u8>, wait: Duration) -> io::Result<bool>;

    /// Stops the program until the shell lets it go on. The terminal has been given back.
    fn suspend(&mut self);
}

/// Prints what a verb finds.
pub struct Console<'a> {
    world: World<'a>,
    is_json: bool,
    is_colored: bool,
    drawn: Option<Instant>,
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("screen", &self.world.screen).finish_non_exhaustive()
    }
}

impl<'a> Console<'a> {
    /// Prints as the global options say.
    pub fn new(world: World<'a>, is_json: bool, is_colored: bool) -> Self {
        Self { world, is_json, is_colored, drawn: None }
    }

    /// Whether one JSON document is wanted.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether the output may have colors.
    pub fn is_colored(&self) -> bool {
        self.is_colored
    }

    /// The width of the screen; `None` if the output is not a terminal.
    pub fn width(&self) -> Option<usize> {
        self.world.screen.width
    }

    /// The time that ages are counted from.
    pub fn now(&self) -> SystemTime {
        self.world.place.surroundings.now()
    }

    /// The machine and its files.
    pub fn place(&self) -> &RunPlace {
        &self.world.place
    }

    /// These paths, or the default one.
    pub fn paths_or_default(&self, paths: &[PathBuf]) -> Vec<PathBuf> {
        if paths.is_empty() { vec![self.world.dir.clone()] } else { paths.to_vec() }
    }

    /// This path, or the default one.
    pub fn path_or_default(&self, path: Option<&PathBuf>) -> PathBuf {
        path.unwrap_or(&self.world.dir).clone()
    }

    /// Prints one line, which is safe to print.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn line(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        self.clear_progress();
        writeln!(self.world.out, "{}", line.as_ref()).map_err(Failure::Output)
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.world.out.write_all(bytes).map_err(Failure::Output)
    }

    /// Hands on what was printed, while more is to come.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.world.out.flush().map_err(Failure::Output)
    }

    /// Prints a table. On a terminal, columns that do not fit are left out, which is reported.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn table(&mut self, mut table: Table, advice: &str) -> Result<(), Failure> {
        let left_out = self.width().map_or(Vec::new(), |width| table.fit(width));
        for line in table.lines(self.is_colored) {
            self.line(line)?;
        }
        self.report_left_out(&left_out, advice);
        Ok(())
    }

    /// Says which columns do not fit, and what to do about it.
    pub fn report_left_out(&mut self, heads: &[String], advice: &str) {
        let columns = if heads.len() == 1 { "column" } else { "columns" };
        if !heads.is_empty() {
            let names = heads.join(", ");
            self.note(format!("{} {columns} left out: {names}; {advice}", heads.len()));
        }
    }

    /// Prints the JSON document of a verb.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn document(&mut self, verb: &str, body: &impl Serialize) -> Result<(), Failure> {
        self.json_line(&Document::new(verb, body))
    }

    /// Prints a value as a line of JSON.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.clear_progress();
        json::write(self.world.out, value).map_err(Failure::Output)
    }

    /// Tells the person at the terminal something that is not a result. A terminal that is gone is not missed.
    pub fn note(&mut self, text: impl AsRef<str>) {
        self.clear_progress();
        let _ = writeln!(self.world.err, "{}", shown_lines(text.as_ref()));
    }

    /// Suggests what to do next, on a terminal only.
    pub fn hint(&mut self, text: impl AsRef<str>) {
        if self.world.screen.is_talkative && !self.is_json {
            self.note(text);
        }
    }

    /// Shows how far a long job is, on a terminal only.
    pub fn progress(&mut self, text: impl AsRef<str>) {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= PROGRESS_PAUSE);
        if self.world.screen.is_talkative && is_due {
            let _ = write!(self.world.err, "\r\x1b[2K{}", shown_lines(text.as_ref()));
            let _ = self.world.err.flush();
            self.drawn = Some(Instant::now());
        }
    }

    fn clear_progress(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(self.world.err, "\r\x1b[2K");
        }
    }

    /// From now on, Ctrl-C ends the verb where it calls [`go_on`](Self::go_on), not the process.
    pub fn handle_interrupts(&mut self) {
        self.world.waiting.handle_interrupts();
    }

    /// Fails once Ctrl-C was pressed.
    ///
    /// # Errors
    /// [`Failure::Interrupted`].
    pub fn go_on(&self) -> Result<(), Failure> {
        if self.world.waiting.is_stopped() { Err(Failure::Interrupted) } else { Ok(()) }
    }

    /// The terminal that may be taken over.
    pub fn terminal(&mut self) -> Option<&mut dyn Terminal> {
        self.world.waiting.terminal()
    }

    /// Waits, unless Ctrl-C is pressed.
    ///
    /// # Errors
    /// [`Failure::Interrupted`].
    pub fn wait(&mut self, time: Duration) -> Result<(), Failure> {
        self.world.waiting.wait(time);
        self.go_on()
    }
}
