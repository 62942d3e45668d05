//! `qstore export`: the rows of a run as CSV, JSON lines, Parquet or events for TensorBoard; a checkpoint as
//! safetensors; and many runs as one table.
//!
//! A file appears whole or not at all. An existing one is replaced only with `--force`.

mod csv;
mod jsonl;
mod parquet;
mod row_sink;
mod table;
mod target;
mod tensorboard;
mod tensors;

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::metric::PLACES;
use crate::output::escape::shown_path;
use crate::output::{amount, json};
use crate::place::{Kind, Place};
use crate::rows::{current_ranges, row_of};
use crate::writer_lock;
use qstore_parquet::MetricsFile;
use qstore_schema::Field;
use row_sink::RowSink;
use serde::Serialize;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use target::Target;

/// Write the rows of a run, a checkpoint, or a table of many runs to a file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore export runs/run_003 -o run_003.csv -c step,val_loss
  qstore export runs --all -o runs.parquet
  qstore export runs/run_003 --to tensorboard -o tb/run_003")]
pub struct Export {
    /// A run, metrics file or checkpoint; with --all also directories of runs
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Where to; `-` is the output, for csv and jsonl
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// In which format [default: what the name of FILE says]
    #[arg(long, value_enum)]
    to: Option<Format>,
    /// Only these columns, separated by commas
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// The checkpoint of this epoch or step [default: the newest]
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// One table of all runs: parameters, and the last and best of each metric
    #[arg(long)]
    all: bool,
    /// Rows that a resumed run has replaced, too
    #[arg(long)]
    all_attempts: bool,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Format {
    Csv,
    Jsonl,
    Parquet,
    Safetensors,
    Tensorboard,
}

#[derive(Serialize)]
struct Body {
    to: Format,
    output: String,
    rows: Option<u64>,
    tensors: Option<usize>,
    bytes: u64,
    /// Columns that cannot be read, with the reasons.
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize)]
struct Unreadable {
    column: String,
    reason: String,
}

impl Export {
    /// Runs the verb.
    ///
    /// # Errors
    /// If something cannot be read or written, or the file exists.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let format = self.format()?;
        let is_stdout = self.output == Path::new("-");
        if is_stdout && (!matches!(format, Format::Csv | Format::Jsonl) || console.is_json()) {
            return Err(Failure::usage(
                "only csv and jsonl can be written to the output; name a file",
            ));
        }
        if !is_stdout && !self.force && format != Format::Tensorboard && self.output.exists() {
            return Err(Failure::exists(&self.output));
        }
        if is_stdout && format == Format::Csv && console.width().is_some() {
            return Err(Failure::usage(
                "CSV has names and texts as they are, and a terminal may obey them; use -o FILE, \
                 a pipe, or --to jsonl",
            ));
        }
        console.handle_interrupts();
        let body = match format {
            Format::Safetensors => self.tensors()?,
            _ if self.all => self.table(format, console)?,
            _ => self.rows(format, console)?,
        };
        if console.is_json() {
            console.document("export", &body)?;
        } else if !is_stdout {
            let what = match (body.rows, body.tensors) {
                (Some(rows), _) => format!("{} rows", amount::count(rows)),
                (None, tensors) => format!("{} tensors", tensors.unwrap_or(0)),
            };
            let size = amount::size(body.bytes);
            console.line(format!("{}: {what}, {size}", shown_path(&self.output)))?;
        }
        Ok(Exit::Done)
    }

    fn format(&self) -> Result<Format, Failure> {
        if let Some(format) = self.to {
            return Ok(format);
        }
        let extension = self.output.extension().unwrap_or_default().to_string_lossy();
        match &*extension.to_lowercase() {
            "csv" => Ok(Format::Csv),
            "jsonl" | "ndjson" => Ok(Format::Jsonl),
            "parquet" => Ok(Format::Parquet),
            "safetensors" => Ok(Format::Safetensors),
            _ => {
                let file = shown_path(&self.output);
                Err(Failure::usage(format!(
                    "the name {file} says no format; add --to csv, jsonl, parquet, safetensors or tensorboard"
                )))
            }
        }
    }

    /// The only path.
    fn path(&self) -> Result<Place, Failure> {
        match &*self.paths {
            [path] => Place::find(path),
            _ => Err(Failure::usage("one run at a time; --all makes one table of many runs")),
        }
    }

    fn tensors(&self) -> Result<Body, Failure> {
        let _lock = writer_lock::hold(&self.output, self.force)?;
        let (tensors, bytes) = tensors::write(&self.path()?, self.epoch, &self.output)?;
        let (output, unreadable) = (json::path(&self.output), Vec::new());
        let tensors = Some(tensors);
        Ok(Body { to: Format::Safetensors, output, rows: None, tensors, bytes, unreadable })
    }

    fn table(&self, format: Format, console: &mut Console<'_>) -> Result<Body, Failure> {
        let (fields, rows) = table::of(&self.paths, console)?;
        let mut sink = self.sink(format)?;
        sink.begin(&fields, console)?;
        for row in &rows {
            sink.row(row, console)?;
        }
        let bytes = sink.finish(console)?;
        let (output, unreadable) = (json::path(&self.output), Vec::new());
        let rows = Some(rows.len() as u64);
        Ok(Body { to: format, output, rows, tensors: None, bytes, unreadable })
    }

    fn rows(&self, format: Format, console: &mut Console<'_>) -> Result<Body, Failure> {
        let place = self.path()?;
        let file = MetricsFile::open(place.metrics("export")?)?;
        let fields = self.fields(&file, format)?;
        let mut unreadable = Vec::new();
        for (column, reason) in file.unreadable().filter(|_| self.columns.is_empty()) {
            console.note(format!("column `{column}` cannot be read and was left out: {reason}"));
            unreadable.push(Unreadable { column: column.into(), reason: reason.into() });
        }
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let ranges = match place.kind {
            Kind::Run if !self.all_attempts => current_ranges(&place.path, console)?,
            _ => iter::once(0..file.rows()).collect(),
        };
        let all: u64 = ranges.iter().map(|range: &Range<u64>| range.end - range.start).sum();
        let mut sink = self.sink(format)?;
        sink.begin(&fields, console)?;
        let mut done = 0;
        for range in ranges {
            for batch in file.batches(&names, range)? {
                let batch = batch?;
                for row in 0..batch.rows {
                    sink.row(&row_of(&batch, row), console)?;
                }
                done += batch.rows as u64;
                let (done, all) = (amount::count(done), amount::count(all));
                console.progress(format!("{done} of {all} rows"));
                console.go_on()?;
            }
        }
        let bytes = sink.finish(console)?;
        let output = json::path(&self.output);
        Ok(Body { to: format, output, rows: Some(done), tensors: None, bytes, unreadable })
    }

    fn fields(&self, file: &MetricsFile, format: Format) -> Result<Vec<Field>, Failure> {
        if self.columns.is_empty() {
            return Ok(file.fields().to_vec());
        }
        let find = |name: &String| {
            let field = file.fields().iter().find(|field| field.name == name.as_str());
            field.cloned().ok_or_else(|| {
                let reason = file.unreadable().find(|(known, _)| known == name);
                match reason {
                    Some((_, reason)) => Failure::Malformed {
                        path: self.paths.first().cloned().unwrap_or_default(),
                        reason: format!("column `{name}` cannot be read: {reason}"),
                    },
                    None => Failure::missing(format!(
                        "there is no column `{name}`; `qstore show` lists them"
                    )),
                }
            })
        };
        let mut fields: Vec<Field> = self.columns.iter().map(find).collect::<Result<_, _>>()?;
        if format == Format::Tensorboard {
            // They say where each value is.
            let places = file.fields().iter().filter(|field| PLACES.contains(&field.name.as_str()));
            let missing: Vec<_> =
                places.filter(|field| !self.columns.contains(&field.name.to_string())).collect();
            fields.extend(missing.into_iter().cloned());
        }
        Ok(fields)
    }

    fn sink(&self, format: Format) -> Result<Box<dyn RowSink>, Failure> {
        Ok(match format {
            Format::Csv => Box::new(csv::Csv::new(Target::open(&self.output, self.force)?)),
            Format::Jsonl => Box::new(jsonl::Jsonl::new(Target::open(&self.output, self.force)?)),
            Format::Parquet => Box::new(parquet::Parquet::create(&self.output, self.force)?),
            Format::Tensorboard => {
                Box::new(tensorboard::Tensorboard::new(&self.output, self.force))
            }
            Format::Safetensors => {
                return Err(Failure::usage(
                    "safetensors holds tensors, not rows; name a checkpoint",
                ));
            }
        })
    }
}
