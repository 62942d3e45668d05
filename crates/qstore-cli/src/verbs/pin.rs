//! `qstore pin` and `qstore unpin`: a checkpoint is kept for good, or no longer.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown_path;
use crate::output::json;
use crate::place::Place;
use qstore_zarr::Checkpoints;
use serde::Serialize;
use std::path::PathBuf;

/// Keep a checkpoint for good, whatever the retention rules say
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore pin runs/run_003 19
  qstore pin runs/run_003/checkpoints 19")]
pub struct Pin {
    /// A run, or a directory of checkpoints
    run: PathBuf,
    /// The epoch or step of the checkpoint
    number: u64,
}

/// Leave a checkpoint to the retention rules again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore unpin runs/run_003 19
  qstore unpin runs/run_003/checkpoints 19")]
pub struct Unpin {
    /// A run, or a directory of checkpoints
    run: PathBuf,
    /// The epoch or step of the checkpoint
    number: u64,
}

#[derive(Serialize)]
struct Body {
    path: String,
    number: u64,
    pinned: bool,
}

impl Pin {
    /// Runs the verb.
    ///
    /// # Errors
    /// If there is no such checkpoint, or the pin cannot be written.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let dir = Place::find(&self.run)?.checkpoints("pin")?;
        let checkpoints = Checkpoints::open(&dir)?;
        checkpoints.get_checkpoint_info(self.number)?;
        checkpoints.pin(self.number)?;
        let path = json::path(&dir);
        let body = Body { path, number: self.number, pinned: true };
        report(&body, &format!("{}: {} is kept for good", shown_path(&dir), self.number), console)
    }
}

impl Unpin {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the pin cannot be removed.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let dir = Place::find(&self.run)?.checkpoints("unpin")?;
        Checkpoints::open(&dir)?.unpin(self.number)?;
        let path = json::path(&dir);
        let body = Body { path, number: self.number, pinned: false };
        let line = format!("{}: {} is left to the retention rules", shown_path(&dir), self.number);
        report(&body, &line, console)
    }
}

fn report(body: &Body, line: &str, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if console.is_json() {
        console.document(if body.pinned { "pin" } else { "unpin" }, body)?;
    } else {
        console.line(line)?;
    }
    Ok(Exit::Done)
}
