//! The command `qstore`: lists, shows, plots, compares, verifies and exports training runs.
//!
//! [`run`] takes the arguments and a [`World`], and returns the exit code. It asks no clock, no terminal and no
//! environment itself, so a test runs a verb in its own process and gets the same text every time; `main.rs`
//! is the only caller that is a program.
//!
//! What it is **not**: a library to read runs with. The crates that it is made of are that: `qstore-parquet`,
//! `qstore-zarr`, `qstore-run`. The promises of this one are its command line, its exit codes ([`Exit`]), and
//! the JSON documents: `{"schema":"qstore.VERB/1", …}`, to which fields are only ever added.
//!
//! * A verb only reads, unless its help says otherwise. Nothing is removed without `--apply`.
//! * Names from files are never obeyed by the terminal: see [`output::escape`].
//! * A closed pipe ends a verb quietly.
//!
//! ```
//! use qstore_cli::console::{Screen, Waiting, World};
//! use qstore_cli::{Exit, run};
//! use qstore_run::RunPlace;
//! use std::time::Duration;
//!
//! struct Never;
//! impl Waiting for Never {
//!     fn handle_interrupts(&mut self) {}
//!     fn is_stopped(&self) -> bool {
//!         false
//!     }
//!     fn wait(&mut self, _: Duration) {}
//! }
//!
//! let (mut out, mut err) = (Vec::new(), Vec::new());
//! let world = World {
//!     out: &mut out,
//!     err: &mut err,
//!     screen: Screen::default(),
//!     place: RunPlace::default(),
//!     dir: ".".into(),
//!     waiting: &mut Never,
//! };
//! assert_eq!(run(["qstore", "show", "no/such/run"], world), Exit::Missing);
//! assert_eq!(String::from_utf8(err)?, "qstore show: no/such/run does not exist\n");
//! # Ok::<(), std::string::FromUtf8Error>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod arguments;
pub mod console;
mod event_file;
mod exit;
mod failure;
mod metric;
pub mod output;
mod place;
mod row_file;
mod rows;
pub mod rules;
mod runs;
mod tensors;
mod threads;
pub mod verbs;
#[cfg(feature = "watch")]
pub mod watch;
mod writer_lock;

pub use exit::Exit;
pub use failure::Failure;

use arguments::{Arguments, Verb};
use clap::{ColorChoice, CommandFactory, Parser};
use console::{Console, World};
use std::ffi::OsString;

/// Runs one call of the command; the first argument is the name of the program.
pub fn run(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    mut world: World<'_>,
) -> Exit {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return explain_usage(&error, &mut world),
    };
    let is_colored = match arguments.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => world.screen.is_colored,
    };
    let name = arguments.verb.name();
    let mut console = Console::new(world, arguments.json, is_colored);
    let done = arguments.verb.run(&mut console);
    match done.and_then(|exit| console.flush().map(|()| exit)) {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.is_closed_pipe() && failure.exit() != Exit::Interrupted {
                console.note(format!("qstore {name}: {failure}"));
            }
            failure.exit()
        }
    }
}

/// The definition of the command line.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Help and version are results; everything else is a complaint.
fn explain_usage(error: &clap::Error, world: &mut World<'_>) -> Exit {
    let text = error.render();
    let text = if world.screen.is_colored { text.ansi().to_string() } else { text.to_string() };
    // A reader that has gone is not missed.
    if error.use_stderr() {
        let _ = world.err.write_all(text.as_bytes());
        return Exit::Usage;
    }
    let _ = world.out.write_all(text.as_bytes());
    let _ = world.out.flush();
    Exit::Done
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::Ls(_) => "ls",
            Self::Plot(_) => "plot",
            Self::Compare(_) => "compare",
            #[cfg(feature = "watch")]
            Self::Watch(_) => "watch",
            #[cfg(feature = "serve")]
            Self::Serve(_) => "serve",
            #[cfg(feature = "serve")]
            Self::Report(_) => "report",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
            Self::Tag(_) => "tag",
            Self::Note(_) => "note",
            Self::Recover(_) => "recover",
            Self::Show(_) => "show",
            Self::Tail(_) => "tail",
            Self::Verify(_) => "verify",
            Self::Explain(_) => "explain",
            Self::Diff(_) => "diff",
            Self::Prune(_) => "prune",
            Self::Pin(_) => "pin",
            Self::Unpin(_) => "unpin",
            Self::Jobs(_) => "jobs",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Ls(verb) => verb.run(console),
            Self::Plot(verb) => verb.run(console),
            Self::Compare(verb) => verb.run(console),
            #[cfg(feature = "watch")]
            Self::Watch(verb) => verb.run(console),
            #[cfg(feature = "serve")]
            Self::Serve(verb) => verb.run(console),
            #[cfg(feature = "serve")]
            Self::Report(verb) => verb.run(console),
            Self::Export(verb) => verb.run(console),
            Self::Import(verb) => verb.run(console),
            Self::Tag(verb) => verb.run(console),
            Self::Note(verb) => verb.run(console),
            Self::Recover(verb) => verb.run(console),
            Self::Show(verb) => verb.run(console),
            Self::Tail(verb) => verb.run(console),
            Self::Verify(verb) => verb.run(console),
            Self::Explain(verb) => verb.run(console),
            Self::Diff(verb) => verb.run(console),
            Self::Prune(verb) => verb.run(console),
            Self::Pin(verb) => verb.run(console),
            Self::Unpin(verb) => verb.run(console),
            Self::Jobs(verb) => verb.run(console),
            Self::Completions(verb) => verb.run(command(), console),
            Self::Man(verb) => verb.run(command(), console),
        }
    }
}
