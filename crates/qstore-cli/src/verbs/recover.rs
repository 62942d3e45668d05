//! `qstore recover`: what opening a damaged metrics file for writing would rescue, and with `--write` the rescue.
//!
//! The damaged file is set aside, never changed and never removed.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::{shown, shown_path};
use crate::output::{amount, json};
use crate::place::Place;
use qstore_buffer::Sink;
use qstore_parquet::{MetricsLog, Rescue, WriterSettings, recoverable};
use qstore_schema::Row;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Say what can be rescued of a damaged metrics file, and do it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore recover runs/run_003/metrics.parquet
  qstore recover runs/run_003 --write

Exits with 3 if the file is damaged and was not rescued.")]
pub struct Recover {
    /// A metrics file, or a run
    path: PathBuf,
    /// Set the damaged file aside, and put the last whole version in its place
    #[arg(long)]
    write: bool,
}

#[derive(Serialize)]
struct Body {
    path: String,
    damaged: bool,
    reason: Option<String>,
    /// Rows of the last whole version.
    rows: Option<u64>,
    bytes_lost: Option<u64>,
    written: bool,
    /// Where the damaged file is now.
    aside: Option<String>,
}

impl Recover {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the file cannot be read; if nothing of it can be rescued; with `--write` if a writer is at work.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let path = Place::find(&self.path)?.metrics("recover")?;
        let mut body = Body {
            path: json::path(&path),
            damaged: false,
            reason: None,
            rows: None,
            bytes_lost: None,
            written: false,
            aside: None,
        };
        let Some(rescue) = recoverable(&path)? else {
            let line = format!("{}: the footer is whole; nothing to rescue", shown_path(&path));
            print(&body, &line, console)?;
            console.hint("`qstore verify` checks the values, too");
            return Ok(Exit::Done);
        };
        let Rescue { reason, rows, bytes_lost, .. } = rescue;
        body.damaged = true;
        body.reason = Some(reason.clone());
        (body.rows, body.bytes_lost) = (Some(rows), Some(bytes_lost));
        let (count, lost) = (amount::count(rows), amount::size(bytes_lost));
        let found = format!("{}: {reason}", shown_path(&path));
        if !self.write {
            let line = format!(
                "{}\n{count} rows can be rescued; the {lost} after them cannot. Nothing was written; add --write",
                shown(&found)
            );
            print(&body, &line, console)?;
            return Ok(Exit::Damaged);
        }
        let aside = write(&path)?;
        (body.written, body.aside) = (true, aside.as_deref().map(json::path));
        let aside = aside.map_or(String::new(), |aside| shown_path(&aside));
        let line = format!(
            "{}\n{count} rows were rescued; the damaged file, with {lost} more, is {aside}",
            shown(&found)
        );
        print(&body, &line, console)?;
        Ok(Exit::Done)
    }
}

/// Opens the file for writing, which rescues it, and writes nothing more: it is not closed, because the session that
/// wrote it was not.
fn write(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let log = MetricsLog::<Row>::open(path, WriterSettings::default())?;
    Ok(log.stats().recovery.map(|recovery| recovery.aside.clone()))
}

fn print(body: &Body, line: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    if console.is_json() { console.document("recover", body) } else { console.line(line) }
}
