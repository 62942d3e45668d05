//! `qstore import`: files of other programs become a run: events of TensorBoard, CSV, JSON lines and Parquet as its
//! metrics, safetensors as a checkpoint.
//!
//! The metrics appear whole or not at all. An existing run gets no rows: its own would no longer be what was logged.
//! It may get a checkpoint, which removes none: its retention rules stay what they are, and are not applied.

mod csv;
mod jsonl;
mod parquet;
mod tfevents;

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown_path;
use crate::output::{amount, json};
use crate::place::{CHECKPOINTS, METRICS};
use crate::row_file::RowFile;
use qstore_checkpoint::{Counter, Layout, LoadError, Snapshot};
use qstore_schema::{Row, SmolStr, StateDict, Value};
use qstore_storage::{FileSystem, LocalFs};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints, import_safetensors};
use serde::Serialize;
use std::fs;
use std::io::{BufRead, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A checkpoint is written within this time, or the import fails.
const PATIENCE: Duration = Duration::from_secs(600);

/// Make a run of files of other programs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore import events.out.tfevents.1700000000.host runs/old
  qstore import trackio.parquet runs/old --run-name sweep-3")]
pub struct Import {
    /// tfevents, CSV, JSON lines, Parquet or safetensors
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The run to make
    run: PathBuf,
    /// In which format the files are [default: what their names say]
    #[arg(long, value_enum)]
    from: Option<Format>,
    /// Of a table of several runs, the rows whose column `run_name` is this
    #[arg(long, value_name = "NAME")]
    run_name: Option<String>,
    /// The number of the checkpoint that a safetensors file becomes
    #[arg(long, value_name = "N", default_value_t = 0)]
    epoch: u64,
    /// Replace a checkpoint that has this number
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Format {
    Tfevents,
    Csv,
    Jsonl,
    Parquet,
    Safetensors,
}

#[derive(Serialize)]
struct Body {
    run: String,
    rows: u64,
    checkpoints: usize,
    /// Images, histograms and other values that are not scalars.
    left_out: u64,
}

impl Import {
    /// Runs the verb.
    ///
    /// # Errors
    /// If a file cannot be read or is malformed, or the run has metrics or such a checkpoint already.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let is_new = !self.run.exists();
        let done = self.import(console);
        if done.is_err() && is_new {
            // Only what is empty goes, so nothing that was imported does.
            for dir in [self.run.join(CHECKPOINTS), self.run.clone()] {
                let _ = LocalFs::new().remove_dir(&dir);
            }
        }
        done
    }

    fn import(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let metrics = self.run.join(METRICS);
        for file in &self.files {
            fs::metadata(file).map_err(|error| Failure::reading(file, error))?;
        }
        let formats: Vec<_> =
            self.files.iter().map(|file| self.format(file)).collect::<Result<_, _>>()?;
        let has_rows = formats.iter().any(|format| *format != Format::Safetensors);
        if has_rows && metrics.exists() {
            let advice = "name a new run: a run gets no rows that it did not log";
            return Err(Failure::Exists { path: metrics, advice });
        }
        let states = formats.iter().filter(|format| **format == Format::Safetensors).count() as u64;
        let numbers = self.epoch..self.epoch.saturating_add(states);
        if let Some(path) = self.existing(&numbers).filter(|_| !self.force) {
            let advice = "choose another --epoch, or --force to replace it";
            return Err(Failure::Exists { path, advice });
        }
        console.handle_interrupts();
        let mut body = Body { run: json::path(&self.run), rows: 0, checkpoints: 0, left_out: 0 };
        if has_rows {
            let name = self.run.file_name().unwrap_or_default().to_string_lossy();
            let mut file = RowFile::create(&metrics, &name, false)?;
            for (path, format) in self.files.iter().zip(&formats) {
                if *format == Format::Parquet {
                    file.columns(parquet::columns(path, self.run_name.is_some())?);
                }
            }
            let run_name = self.run_name.clone();
            let source = PathBuf::new();
            let mut rows = Rows { file, source, run_name, left_out: 0, console };
            for (path, format) in self.files.iter().zip(&formats) {
                rows.source.clone_from(path);
                match format {
                    Format::Tfevents => tfevents::read(path, &mut rows)?,
                    Format::Csv => csv::read(path, &mut rows)?,
                    Format::Jsonl => jsonl::read(path, &mut rows)?,
                    Format::Parquet => parquet::read(path, &mut rows)?,
                    Format::Safetensors => {}
                }
            }
            let Rows { file, left_out, .. } = rows;
            (body.rows, body.left_out) = (file.rows(), left_out);
            file.finish()?;
        }
        for (path, _) in
            self.files.iter().zip(&formats).filter(|(_, format)| **format == Format::Safetensors)
        {
            self.save(path, self.epoch + body.checkpoints as u64)?;
            body.checkpoints += 1;
        }
        if console.is_json() {
            console.document("import", &body)?;
            return Ok(Exit::Done);
        }
        let (run, rows) = (shown_path(&self.run), amount::count(body.rows));
        console.line(format!("{run}: {rows} rows, {} checkpoints", body.checkpoints))?;
        if body.left_out > 0 {
            let count = amount::count(body.left_out);
            console.note(format!("{count} values are not scalars and were left out"));
        }
        Ok(Exit::Done)
    }

    fn format(&self, file: &Path) -> Result<Format, Failure> {
        if let Some(format) = self.from {
            return Ok(format);
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let extension = name.rsplit('.').next().unwrap_or_default();
        match extension {
            "csv" => Ok(Format::Csv),
            "jsonl" | "ndjson" => Ok(Format::Jsonl),
            "parquet" => Ok(Format::Parquet),
            "safetensors" => Ok(Format::Safetensors),
            _ if name.contains("tfevents") => Ok(Format::Tfevents),
            _ => Err(Failure::usage(format!(
                "the name {} says no format; add --from tfevents, csv, jsonl, parquet or safetensors",
                shown_path(file)
            ))),
        }
    }

    fn save(&self, file: &Path, number: u64) -> Result<(), Failure> {
        let state = import_safetensors(file)?;
        let dir = self.run.join(CHECKPOINTS);
        let own = match Checkpoints::open(&dir).ok().map(|checkpoints| checkpoints.policy()) {
            None | Some(Err(LoadError::NoPolicy { .. })) => None,
            Some(policy) => Some(policy?),
        };
        let saved = save_state(&dir, state, number);
        if let Some(own) = own {
            // Opening a directory stores the rules; that of the save was to remove nothing.
            let settings = CheckpointSettings::default().retention(own);
            CheckpointManager::open(&dir, settings)?.close(PATIENCE)?;
        }
        saved
    }

    /// The first checkpoint of the run that has one of these numbers.
    fn existing(&self, numbers: &Range<u64>) -> Option<PathBuf> {
        let files = LocalFs::new();
        let dir = self.run.join(CHECKPOINTS);
        let number = |name: &str| {
            let layouts = [Layout::SingleFile, Layout::Directory].into_iter();
            let of = |counter: Counter| {
                layouts.clone().find_map(|layout| counter.checkpoint_named(name, layout))
            };
            Counter::ALL.into_iter().find_map(of)
        };
        let names = files.list(&dir).unwrap_or_default().into_iter().map(|entry| entry.name);
        let mut names: Vec<_> = names
            .filter(|name| {
                number(&name.to_string_lossy()).is_some_and(|number| numbers.contains(&number))
            })
            .collect();
        names.sort();
        names.first().map(|name| dir.join(name))
    }
}

/// Saves a state as a model, and removes nothing.
fn save_state(dir: &Path, state: StateDict, number: u64) -> Result<(), Failure> {
    let settings = CheckpointSettings::default().keep_last(0);
    let mut manager = CheckpointManager::open(dir, settings)?;
    manager.save(Snapshot::new(number).model(state))?.wait(PATIENCE)?;
    manager.close(PATIENCE)?;
    Ok(())
}

/// Where the rows of all files go.
struct Rows<'a, 'c> {
    file: RowFile,
    /// The file that is being read.
    source: PathBuf,
    run_name: Option<String>,
    left_out: u64,
    console: &'a mut Console<'c>,
}

impl Rows<'_, '_> {
    /// Takes a row, if it is of the run that is wanted. A time that is a text becomes seconds since 1970, as in
    /// every run.
    fn push(&mut self, mut row: Vec<(SmolStr, Value)>) -> Result<(), Failure> {
        if let Some(wanted) = &self.run_name {
            let found = row.iter().find(|(name, _)| name == "run_name");
            let is_wanted = found.is_some_and(|(_, value)| match value {
                Value::Text(text) => text == wanted.as_str(),
                _ => false,
            });
            if !is_wanted {
                return Ok(());
            }
            row.retain(|(name, _)| name != "run_name");
        }
        row.retain(|(_, value)| *value != Value::Null);
        for (name, value) in &mut row {
            if name == "timestamp" {
                *value = seconds(value);
            }
        }
        let count = row.len();
        let names: Vec<_> = row.iter().map(|(name, _)| name.clone()).collect();
        let row: Row = row.into_iter().collect();
        if row.len() < count {
            let first = |(at, name): &(usize, &SmolStr)| names[..*at].contains(name);
            let twice = names.iter().enumerate().find(first).map_or("", |(_, name)| name);
            let number = self.file.rows();
            let reason = format!("row {number} has two values of `{twice}`; rename one of them");
            return Err(malformed(&self.source, reason));
        }
        self.file.push(&row)?;
        if self.file.rows().is_multiple_of(4096) {
            let rows = amount::count(self.file.rows());
            self.console.progress(format!("{rows} rows"));
            self.console.go_on()?;
        }
        Ok(())
    }
}

fn seconds(value: &Value) -> Value {
    match value {
        Value::Text(text) => {
            let time = text.parse::<qstore_run::UtcTime>();
            time.map_or_else(|_| value.clone(), |time| Value::from(time.micros() as f64 / 1e6))
        }
        Value::Int(seconds) => Value::from(*seconds as f64),
        Value::Timestamp(time) => {
            Value::from(time.count() as f64 / time.unit().per_second() as f64)
        }
        other => other.clone(),
    }
}

/// A longer line is refused: it would be one row.
const LINE_MAX: u64 = 64 << 20;

/// Appends the next line with its end, and returns how many bytes that are; 0 at the end of the file.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>, path: &Path) -> Result<usize, Failure> {
    let left = (LINE_MAX + 1).saturating_sub(line.len() as u64);
    let read = reader.take(left).read_until(b'\n', line);
    let read = read.map_err(|error| Failure::reading(path, error))?;
    if line.len() as u64 > LINE_MAX {
        let most = LINE_MAX >> 20;
        return Err(malformed(
            path,
            format!("a line has more than {most} MiB; is a quote missing?"),
        ));
    }
    Ok(read)
}

/// An integer that no column of integers can hold: a float if that is the same number, or else its digits.
fn large(digits: &str) -> Value {
    match digits.parse::<f64>() {
        Ok(float) if format!("{float:.0}") == digits.strip_prefix('+').unwrap_or(digits) => {
            float.into()
        }
        _ => Value::from(digits),
    }
}

fn malformed(path: &Path, reason: impl Into<String>) -> Failure {
    Failure::Malformed { path: path.to_path_buf(), reason: reason.into() }
}
