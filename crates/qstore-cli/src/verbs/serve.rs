//! `qstore serve`: runs on a page of this machine, which follows them. It changes nothing and starts nothing.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::{Kind, Place};
use crate::runs;
use qstore_page::{Port, Site, SiteSettings, Source, random_token};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Ctrl-C is looked at this often.
const SLICE: Duration = Duration::from_secs(1);

/// Show runs on a page of this machine, live, until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore serve runs
  qstore serve runs --port 7777

The address has a token: only who knows it sees the runs. Only this machine can
reach the page; from another one, forward the port: ssh -L 7777:127.0.0.1:7777.")]
pub struct Serve {
    /// Directories of runs, or runs [default: the current directory]
    paths: Vec<PathBuf>,
    /// The port on this machine; 0 is any free one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Runs in directories of directories, too
    #[arg(long)]
    deep: bool,
    /// A name under which a proxy hands on requests
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Show the runs to everybody on this machine
    #[arg(long)]
    no_token: bool,
}

#[derive(Serialize)]
struct Body {
    url: String,
    port: u16,
}

impl Serve {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the port is taken, or a path leads to nothing that can be shown.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let source = source(&console.paths_or_default(&self.paths), self.deep, "serve")?;
        let port = Port::take(self.port)?;
        let mut settings = SiteSettings::default();
        if !self.no_token {
            settings = settings.token(random_token()?);
        }
        for name in &self.allow_host {
            settings = settings.allow_host(name);
        }
        let number = port.number();
        let site = Site::new(console.place().clone(), source, number, settings);
        let server = port.serve(site)?;
        console.handle_interrupts();
        let url = server.url();
        if console.is_json() {
            console.document("serve", &Body { url, port: number })?;
        } else {
            console.line(url)?;
            console.hint("open it in a browser; Ctrl-C ends it");
        }
        console.flush()?;
        let ended = loop {
            match console.wait(SLICE) {
                Ok(()) => {}
                // What it is ended by.
                Err(Failure::Interrupted) => break Ok(Exit::Done),
                Err(failure) => break Err(failure),
            }
        };
        server.stop();
        ended
    }
}

/// The runs that paths lead to; of a directory also those that are created later.
pub(super) fn source(
    paths: &[PathBuf],
    is_deep: bool,
    verb: &'static str,
) -> Result<Source, Failure> {
    if let [path] = paths {
        let place = Place::find(path)?;
        if place.kind == Kind::Runs {
            return Ok(Source::Directory { path: path.clone(), is_deep });
        }
    }
    Ok(Source::Runs(runs::find(paths, is_deep, verb)?))
}
