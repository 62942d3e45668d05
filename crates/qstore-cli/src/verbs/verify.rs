//! `qstore verify`: reads everything, checks everything, and names what is damaged.
//!
//! Damage is a result, not an error: the other files are checked all the same.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::{shown, shown_path};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, json};
use crate::place::{Kind, Place, is_checkpoint_name};
use qstore_checkpoint::LoadError;
use qstore_parquet::{MetricsFile, ReadError};
use qstore_zarr::{CheckpointReader, import_safetensors_flat};
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// How deep directories are searched: runs in groups, with datasets of ranks.
const DEPTH_MAX: usize = 6;

/// Read everything, check everything, and name what is damaged
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore verify runs/run_003
  qstore verify --quick runs

Exits with 3 if anything is damaged.")]
pub struct Verify {
    /// Runs, metrics files, checkpoints, or directories of them
    paths: Vec<PathBuf>,
    /// Check only footers and manifests, without reading values
    #[arg(long)]
    quick: bool,
    /// How many files are checked at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Body {
    quick: bool,
    files: Vec<Report>,
    whole: usize,
    damaged: usize,
    unchecked: usize,
    failed: usize,
}

/// What was found in one file.
#[derive(Debug, Default, Serialize)]
struct Report {
    path: String,
    #[serde(skip)]
    shown: String,
    kind: &'static str,
    result: Result,
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<u64>,
    /// Chunks without a checksum, of other programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    unguarded_chunks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<usize>,
    damage: Vec<Damage>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Result {
    /// Everything was checked, and nothing is damaged.
    #[default]
    Whole,
    /// Bytes are not the ones that were written.
    Damaged,
    /// Something could not be checked; nothing is known to be damaged.
    Unchecked,
    /// It could not be read.
    Failed,
}

/// One thing that is wrong.
#[derive(Debug, Default, Serialize)]
struct Damage {
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensor: Option<String>,
    reason: String,
}

impl Verify {
    /// Runs the verb.
    ///
    /// # Errors
    /// If a path does not exist or the output cannot be written.
    pub fn run(&self, console: &mut Console<'_>) -> std::result::Result<Exit, Failure> {
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
            whole: count(Result::Whole),
            damaged: count(Result::Damaged),
            unchecked: count(Result::Unchecked),
            failed: count(Result::Failed),
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
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = self.jobs.unwrap_or(cores).clamp(1, files.len().max(1));
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let mut reports: Vec<Option<Report>> = files.iter().map(|_| None).collect();
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some(place) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if sender.send((place, check(place, self.quick))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for (done, (place, report)) in receiver.iter().enumerate() {
                let at = files.iter().position(|known| std::ptr::eq(known, place));
                if let Some(slot) = at.and_then(|at| reports.get_mut(at)) {
                    *slot = Some(report);
                }
                console.progress(format!("verified {} of {} files", done + 1, files.len()));
            }
        });
        reports.into_iter().flatten().collect()
    }
}

/// Finds the metrics files and checkpoints below a directory, in order of their names.
fn walk(dir: &Path, depth: usize, files: &mut Vec<Place>) -> std::result::Result<(), Failure> {
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
            () if name.ends_with(".zarr.zip") || is_checkpoint_name(&name) => Kind::Checkpoint,
            () if is_dir && depth > 0 => {
                walk(&path, depth - 1, files)?;
                continue;
            }
            () => continue,
        };
        files.push(Place { path, kind });
    }
    Ok(())
}

fn check(place: &Place, is_quick: bool) -> Report {
    let mut report = Report {
        path: json::path(&place.path),
        shown: shown_path(&place.path),
        bytes: fs::metadata(&place.path).ok().filter(fs::Metadata::is_file).map(|file| file.len()),
        ..Report::default()
    };
    match place.kind {
        Kind::Metrics => {
            report.kind = "metrics";
            if let Err(error) = check_metrics(&place.path, is_quick, &mut report) {
                report.read_failed(&error);
            }
        }
        Kind::Safetensors => {
            report.kind = "safetensors";
            match import_safetensors_flat(&place.path) {
                Ok(state) => {
                    report.tensors = Some(state.tensors().count());
                    report.unchecked("the format has no checksums; the file can be read".into());
                }
                Err(error) => report.load_failed(&error),
            }
        }
        _ => {
            report.kind = "checkpoint";
            if let Err(error) = check_checkpoint(&place.path, is_quick, &mut report) {
                report.load_failed(&error);
            }
        }
    }
    report
}

fn check_metrics(
    path: &Path,
    is_quick: bool,
    report: &mut Report,
) -> std::result::Result<(), ReadError> {
    let file = MetricsFile::open(path)?;
    report.rows = Some(file.rows());
    if is_quick {
        return Ok(());
    }
    let found = file.validate()?;
    report.chunks = Some(found.chunks as u64);
    report.unguarded_chunks = Some(found.unguarded_chunks as u64);
    let rows = |rows: std::ops::Range<u64>| Some([rows.start, rows.end]);
    for chunk in found.unchecked {
        report.unchecked(chunk.reason);
        if let Some(last) = report.damage.last_mut() {
            (last.column, last.rows) = (Some(chunk.column), rows(chunk.rows));
        }
    }
    for chunk in found.damage {
        report.damaged(Damage {
            column: Some(chunk.column),
            rows: rows(chunk.rows),
            tensor: None,
            reason: chunk.reason,
        });
    }
    if let Some(reason) = found.contradiction {
        report.damaged(Damage { reason, ..Damage::default() });
    }
    Ok(())
}

fn check_checkpoint(
    path: &Path,
    is_quick: bool,
    report: &mut Report,
) -> std::result::Result<(), LoadError> {
    let reader = CheckpointReader::open(path)?;
    let info = if is_quick { reader.info()? } else { reader.verify()? };
    report.bytes = Some(info.stored_bytes);
    report.tensors = Some(reader.tensors()?.len());
    Ok(())
}

impl Damage {
    fn place(&self) -> String {
        let column = self.column.as_ref().map(|name| format!("column `{name}`"));
        let rows = self.rows.map(|[start, end]| format!("rows {start} to {end}"));
        let place: Vec<_> = [column, rows].into_iter().flatten().collect();
        if place.is_empty() { String::new() } else { place.join(", ") + ": " }
    }
}

impl Report {
    fn damaged(&mut self, damage: Damage) {
        self.result = Result::Damaged;
        self.damage.push(damage);
    }

    fn unchecked(&mut self, reason: String) {
        if self.result != Result::Damaged {
            self.result = Result::Unchecked;
        }
        self.damage.push(Damage { reason, ..Damage::default() });
    }

    fn failed(&mut self, reason: String) {
        self.result = Result::Failed;
        self.damage.push(Damage { reason, ..Damage::default() });
    }

    fn read_failed(&mut self, error: &ReadError) {
        match error {
            ReadError::Damaged { reason, .. } => {
                self.damaged(Damage { reason: reason.clone(), ..Damage::default() });
            }
            ReadError::Unsupported { reason, .. } => self.unchecked(reason.clone()),
            other => self.failed(other.to_string()),
        }
    }

    fn load_failed(&mut self, error: &LoadError) {
        match error {
            LoadError::Damaged { damage, .. } => self.damaged(Damage {
                tensor: damage.tensor().map(ToOwned::to_owned),
                reason: damage.to_string(),
                ..Damage::default()
            }),
            LoadError::UnsupportedVersion { .. }
            | LoadError::Unsupported { .. }
            | LoadError::NotACheckpoint { .. } => self.unchecked(error.to_string()),
            other => self.failed(other.to_string()),
        }
    }

    /// How much was checked, in words.
    fn extent(&self) -> String {
        let rows = self.rows.map(|rows| format!("{} rows", amount::count(rows)));
        let tensors = self.tensors.map(|count| format!("{} tensors", amount::count(count as u64)));
        let bytes = self.bytes.map(amount::size);
        let unguarded = self.unguarded_chunks.filter(|chunks| *chunks > 0);
        let unguarded = unguarded.map(|chunks| format!("{chunks} chunks without a checksum"));
        let parts: Vec<_> = [rows, tensors, bytes, unguarded].into_iter().flatten().collect();
        parts.join(", ")
    }
}

fn print(body: &Body, console: &mut Console<'_>) -> std::result::Result<(), Failure> {
    let mut table = Table::new()
        .column("file", Align::Left)
        .column("result", Align::Left)
        .column("checked", Align::Left)
        .kept();
    for report in &body.files {
        let result = match report.result {
            Result::Whole => Cell::new("whole").good(),
            Result::Damaged => Cell::new("DAMAGED").bad(),
            Result::Unchecked => Cell::new("unchecked").doubtful(),
            Result::Failed => Cell::new("failed").bad(),
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
