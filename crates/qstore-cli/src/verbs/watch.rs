//! `qstore watch`: a run on the whole terminal, as it grows. It changes nothing and starts nothing.
//!
//! The terminal is given back however this ends: a key, a signal, an error, a panic.

use crate::console::{Console, Terminal};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::{Kind, METRICS, Place};
use crate::runs;
use crate::watch::{Action, AnsiScreen, Dashboard, Eyes, draw, keys};
use qstore_storage::parent_of;
use ratatui_core::terminal::Terminal as Screen;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The size of the terminal, and a signal, are noticed within this time.
const GLANCE: Duration = Duration::from_millis(250);
/// An escape character with nothing behind it for so long is the key.
const ESCAPE: Duration = Duration::from_millis(30);

/// Watch a run in the terminal: curves, rate, losses, checkpoints
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore watch runs
  qstore watch runs/run_004 --until 20000

Press ? for the keys, q to end it. Nothing is changed, and the run is not slowed
down: at most 2 % of a core, and only what is on the screen is read.")]
pub struct Watch {
    /// A run, or a directory of runs, of which the newest is opened [default: the current directory]
    path: Option<PathBuf>,
    /// The last step, for the time that is left [default: a parameter such as `steps`]
    #[arg(long, value_name = "STEP")]
    until: Option<i64>,
}

impl Watch {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the output or the input is not a terminal, or the path leads to no run.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        if console.is_json() {
            return Err(Failure::usage("a screen is not a document; use `qstore show --json`"));
        }
        let mut eyes = self.eyes(console)?;
        let no_terminal = || {
            Failure::usage(
                "this is not a terminal; use `qstore tail -f`, `qstore plot` or `qstore serve`",
            )
        };
        if console.width().is_none() {
            return Err(no_terminal());
        }
        let size = console.terminal().ok_or_else(no_terminal)?.size();
        let mut dashboard = Dashboard::new(size);
        // What cannot be read at all is an error on the screen that was there.
        eyes.look(&mut dashboard)?;
        console.handle_interrupts();
        console.terminal().ok_or_else(no_terminal)?.take().map_err(|_| no_terminal())?;
        let mut screen =
            Screen::new(AnsiScreen::new(size, console.is_colored())).unwrap_or_else(|e| match e {});
        screen.backend_mut().enter();
        let ended = watch(&mut eyes, &mut dashboard, &mut screen, console);
        screen.backend_mut().leave();
        let left = print(&mut screen, console);
        if let Some(terminal) = console.terminal() {
            terminal.give_back();
        }
        ended.and(left).map(|()| Exit::Done)
    }

    fn eyes(&self, console: &Console<'_>) -> Result<Eyes, Failure> {
        let path = console.path_or_default(self.path.as_ref());
        let place = Place::find(&path)?;
        let (paths, dir) = match place.kind {
            Kind::Run => (vec![path], None),
            Kind::Runs => (runs::find(std::slice::from_ref(&path), false, "watch")?, Some(path)),
            // The metrics file of a run stands for the run.
            Kind::Metrics if path.file_name().is_some_and(|name| name == METRICS) => {
                (vec![parent_of(&path).to_path_buf()], None)
            }
            _ => return Err(place.refused("watch", "a run or a directory of runs")),
        };
        Ok(Eyes::new(console.place().clone(), paths, dir, self.until))
    }
}

/// Looks and draws until somebody ends it.
fn watch(
    eyes: &mut Eyes,
    dashboard: &mut Dashboard,
    screen: &mut Screen<AnsiScreen>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut typed = Vec::new();
    let mut must_draw = true;
    let mut due = Instant::now();
    loop {
        let size = terminal(console)?.size();
        if dashboard.resize(size) {
            screen.backend_mut().resize(size);
            // More charts may fit, and curves are as wide as they are drawn.
            (must_draw, due) = (true, Instant::now());
        }
        if Instant::now() >= due {
            let seen = eyes.look(dashboard)?;
            must_draw |= seen.has_changed;
            due = Instant::now() + seen.pause;
        }
        if must_draw {
            screen.draw(|frame| draw(frame, dashboard)).unwrap_or_else(|error| match error {});
            print(screen, console)?;
            must_draw = false;
        }
        let wait = due.saturating_duration_since(Instant::now()).min(GLANCE);
        let is_begun = !typed.is_empty();
        let before = typed.len();
        let is_open = terminal(console)?
            .read(&mut typed, if is_begun { ESCAPE } else { wait })
            .map_err(Failure::Output)?;
        // A signal to end is answered as `q` is, so that the terminal is given back.
        if !is_open || console.go_on().is_err() {
            return if is_open { console.go_on() } else { Ok(()) };
        }
        let is_over = is_begun && typed.len() == before;
        for key in keys(&mut typed, is_over) {
            match dashboard.press(key) {
                Action::Nothing => {}
                Action::Draw => must_draw = true,
                Action::Look => (must_draw, due) = (true, Instant::now()),
                Action::Open(run) => {
                    eyes.open(run, dashboard);
                    (must_draw, due) = (true, Instant::now());
                }
                Action::Quit => return Ok(()),
                Action::Suspend => {
                    suspend(screen, console)?;
                    must_draw = true;
                }
            }
        }
    }
}

/// Gives the terminal to the shell, and takes it again when the shell lets this go on.
fn suspend(screen: &mut Screen<AnsiScreen>, console: &mut Console<'_>) -> Result<(), Failure> {
    screen.backend_mut().leave();
    print(screen, console)?;
    let terminal = terminal(console)?;
    terminal.give_back();
    terminal.suspend();
    terminal.take().map_err(Failure::Output)?;
    screen.backend_mut().enter();
    screen.clear().unwrap_or_else(|error| match error {});
    Ok(())
}

fn terminal<'a>(console: &'a mut Console<'_>) -> Result<&'a mut dyn Terminal, Failure> {
    console.terminal().ok_or_else(|| Failure::Output(io::ErrorKind::NotConnected.into()))
}

/// Prints what was drawn, all at once.
fn print(screen: &mut Screen<AnsiScreen>, console: &mut Console<'_>) -> Result<(), Failure> {
    let text = screen.backend_mut().take();
    console.bytes(text.as_bytes())?;
    console.flush()
}
