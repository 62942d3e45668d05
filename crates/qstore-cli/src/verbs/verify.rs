//! `qstore verify`: reads everything, compares every checksum, and names what is damaged.
//!
//! Damage is a result, not an error: the other files are checked all the same.

mod report;

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown;
use crate::output::table::{Align, Cell, Table};
use crate::place::{Kind, Place, RUN_JSON, is_checkpoint_name};
use crate::threads;
use report::{Depth, Report, Verdict, check};
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// How deep directories are searched: runs in groups, with datasets of ranks.
const DEPTH_MAX: usize = 6;

/// Read everything, compare every checksum, and name what is damaged
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore verify runs/run_003
  qstore verify --quick runs
  qstore verify --decode best.zarr.zip

Exits with 3 if anything is damaged.")]
pub struct Verify {
    /// Runs, metrics files, checkpoints, or directories of them
    paths: Vec<PathBuf>,
    /// Check only footers and manifests, without reading values
    #[arg(long)]
    quick: bool,
    /// Also decompress every chunk of a checkpoint, which takes several times as long; values of metrics
    /// files always are
    #[arg(long, conflicts_with = "quick")]
    decode: bool,
    /// How many files are checked at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Body {
    quick: bool,
    decode: bool,
    files: Vec<Report>,
    whole: usize,
    damaged: usize,
    unchecked: usize,
    failed: usize,
}

impl Verify {
    /// Runs the verb.
    ///
    /// # Errors
    /// If a path does not exist or the output cannot be written.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let mut files = Vec::new();
        for path in console.paths_or_default(&self.paths) {
            let place = Place::find(&path)?;
            match place.kind {
                Kind::Other => {
                    return Err(place.refused("verify", "runs, metrics files and checkpoints"));
                }
                Kind::Runs | Kind::Run | Kind::Checkpoints => walk(&path, DEPTH_MAX, &mut files)?,
                _ => files.push(place),
            }
        }
        if files.is_empty() {
            return Err(Failure::missing("there is no metrics file and no checkpoint to verify"));
        }
        let reports = self.check_all(&files, console);
        let count = |result| reports.iter().filter(|report| report.result == result).count();
        let body = Body {
            quick: self.quick,
            decode: self.decode,
            whole: count(Verdict::Whole),
            damaged: count(Verdict::Damaged),
            unchecked: count(Verdict::Unchecked),
            failed: count(Verdict::Failed),
            files: reports,
        };
        if console.is_json() {
            console.document("verify", &body)?;
        } else {
            print(&body, console)?;
        }
        Ok(match (body.damaged, body.failed) {
            (1.., _) => Exit::Damaged,
            (0, 1..) => Exit::Failed,
            _ => Exit::Done,
        })
    }

    fn check_all(&self, files: &[Place], console: &mut Console<'_>) -> Vec<Report> {
        let jobs = self.jobs.unwrap_or_else(threads::cores);
        let machine = console.place().clone();
        let depth = match (self.quick, self.decode) {
            (true, _) => Depth::Quick,
            (_, true) => Depth::Decoded,
            _ => Depth::Stored,
        };
        let done = |done| console.progress(format!("verified {done} of {} files", files.len()));
        threads::map(files, jobs, |place| check(place, &machine, depth), done)
    }
}

/// Finds the metrics files, descriptions of runs and checkpoints below a directory, in order of their names.
fn walk(dir: &Path, depth: usize, files: &mut Vec<Place>) -> Result<(), Failure> {
    let entries = fs::read_dir(dir).map_err(|error| Failure::reading(dir, error))?;
    let entries = entries.collect::<std::io::Result<Vec<_>>>();
    let mut entries = entries.map_err(|error| Failure::reading(dir, error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        // Hidden names are second copies, leftovers and locks, which are not results.
        let is_dir = path.is_dir();
        let kind = match () {
            () if name.starts_with('.') => continue,
            () if !is_dir && name.ends_with(".parquet") => Kind::Metrics,
            () if !is_dir && name == RUN_JSON => Kind::Description,
            () if !is_dir && name.ends_with(".safetensors") => Kind::Safetensors,
            () if name.ends_with(".zarr.zip") || is_checkpoint_name(&name) => Kind::Checkpoint,
            // Reported as what was not searched.
            () if is_dir && depth == 0 => Kind::Runs,
            () if is_dir => {
                walk(&path, depth - 1, files)?;
                continue;
            }
            () => continue,
        };
        files.push(Place { path, kind });
    }
    Ok(())
}

fn print(body: &Body, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut table = Table::new()
        .column("file", Align::Left)
        .column("result", Align::Left)
        .column("checked", Align::Left)
        .kept();
    for report in &body.files {
        let result = match report.result {
            Verdict::Whole => Cell::new("whole").good(),
            Verdict::Damaged => Cell::new("DAMAGED").bad(),
            Verdict::Unchecked => Cell::new("unchecked").doubtful(),
            Verdict::Failed => Cell::new("failed").bad(),
        };
        table.row([Cell::new(&report.shown), result, report.extent().into()]);
    }
    // What is wrong is never cut to fit the screen.
    let mut lines = table.lines(console.is_colored()).into_iter();
    console.line(lines.next().unwrap_or_default())?;
    for (line, report) in lines.zip(&body.files) {
        console.line(line)?;
        for damage in &report.damage {
            console.line(shown(&format!("    {}{}", damage.place(), damage.reason)))?;
        }
    }
    let counts =
        [(body.damaged, "damaged"), (body.failed, "failed"), (body.unchecked, "unchecked")];
    let mut summary = format!("{} of {} whole", body.whole, body.files.len());
    for (count, name) in counts.iter().filter(|(count, _)| *count > 0) {
        let _ = write!(summary, ", {count} {name}");
    }
    if body.quick {
        summary += "; only footers and manifests were checked";
    }
    console.line(summary)
}
