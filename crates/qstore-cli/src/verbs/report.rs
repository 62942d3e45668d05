//! `qstore report`: runs as one HTML file that needs nothing and asks nobody for anything.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown_path;
use crate::output::json;
use crate::runs;
use qstore_page::{Report as Page, Source};
use qstore_storage::{FileSystem, LocalFs, Replacement};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Write runs as one HTML file to hand on: curves, parameters, checkpoints
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore report runs/run_003 -o report.html
  qstore report runs -o report.html --title 'Ansatz study' --columns val_loss,accuracy")]
pub struct Report {
    /// Runs, or directories of runs [default: the current directory]
    paths: Vec<PathBuf>,
    /// The file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What it is called [default: the name of the run]
    #[arg(long)]
    title: Option<String>,
    /// Only these columns [default: all that hold numbers]
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// The pixel columns of a curve, which is how far one can zoom
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(16..=8_192))]
    width: u32,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Body {
    path: String,
    runs: usize,
}

impl Report {
    /// Runs the verb.
    ///
    /// # Errors
    /// If there is no run, one cannot be read, or the file exists or cannot be written.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let found = runs::find(&console.paths_or_default(&self.paths), false, "report")?;
        if found.is_empty() {
            return Err(Failure::missing("there is no run"));
        }
        let runs = found.len();
        let mut page = Page::default().width(self.width);
        if let Some(title) = &self.title {
            page = page.title(title);
        }
        if !self.columns.is_empty() {
            page = page.columns(&self.columns);
        }
        let html = page.write(console.place().clone(), Source::Runs(found))?;
        let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        let mut file = Replacement::of(&files, &self.output)?;
        file.append(html.as_bytes())?;
        if self.force {
            file.commit()?;
        } else {
            file.commit_new().map_err(|error| {
                if error.is_already_exists() { Failure::exists(&self.output) } else { error.into() }
            })?;
        }
        if console.is_json() {
            console.document("report", &Body { path: json::path(&self.output), runs })?;
        } else {
            console.line(shown_path(&self.output))?;
        }
        Ok(Exit::Done)
    }
}
