//! `qstore tail`: the last rows of a run, aligned, and those that follow.
//!
//! Only the row groups at the end are read. Following looks at the file twice a second and ends when the run
//! does, also if its process was killed.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown;
use crate::output::json::{self, Datum};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, moment};
use crate::place::{Kind, Place, RUN_JSON};
use crate::rows::{is_summary, row_of};
use crate::runs;
use qstore_parquet::{MetricsFile, Table as Rows, TableColumn};
use qstore_run::RunState;
use qstore_schema::{DataType, SmolStr, Value};
use qstore_storage::parent_of;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at the file.
const PAUSE: Duration = Duration::from_millis(500);

/// Rows of an epoch are looked for in pieces of this many rows, from the end.
const PIECE: u64 = 65_536;

/// Show the last rows of a run
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore tail runs/run_004 -c step,val_loss
  qstore tail runs/run_004 -f --jsonl")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Tail {
    /// A run, or a metrics file [default: the current directory]
    run: Option<PathBuf>,
    /// How many rows
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    rows: u64,
    /// Only these columns, separated by commas
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// Every column, also where they do not fit
    #[arg(long)]
    all: bool,
    /// Only the rows that summarize an epoch, whose step is -1
    #[arg(long)]
    epochs: bool,
    /// Go on with the rows that are added, until the run ends
    #[arg(short, long)]
    follow: bool,
    /// One JSON object a row, as soon as it is there
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
}

#[derive(Serialize)]
struct Body {
    path: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Datum>>,
    /// The number of the first row; null for rows that are picked out.
    first_row: Option<u64>,
}

#[derive(Serialize)]
struct Column {
    name: String,
    r#type: &'static str,
}

impl Tail {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the rows cannot be read, or a column does not exist.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        if self.follow {
            console.handle_interrupts();
        }
        if self.follow && console.is_json() {
            return Err(Failure::usage("rows that follow are not one document; use --jsonl"));
        }
        let place = Place::find(&console.path_or_default(self.run.as_ref()))?;
        let path = place.metrics("tail")?;
        let file = MetricsFile::open(&path)?;
        let mut names = Self::names(&file);
        if !self.columns.is_empty() {
            names.clone_from(&self.columns);
        }
        let tables = self.last(&file, &names)?;
        if console.is_json() {
            let columns = names.iter().map(|name| column(&file, name)).collect();
            let rows = tables.iter().flat_map(rows_of).collect();
            let first_row = tables.first().map_or(file.rows(), |table| table.first_row);
            let first_row = (!self.epochs).then_some(first_row);
            let body = Body { path: json::path(&path), columns, rows, first_row };
            console.document("tail", &body)?;
            return Ok(Exit::Done);
        }
        let (is_jsonl, is_all) = (self.jsonl, self.all);
        let mut printer = Printer { is_jsonl, is_all, shown: None, known: BTreeSet::new() };
        printer.print(&tables, console)?;
        console.flush()?;
        if self.follow {
            self.follow(&file, &run_of(&place), printer, console)?;
        }
        Ok(Exit::Done)
    }

    /// All columns that can be read.
    fn names(file: &MetricsFile) -> Vec<String> {
        file.fields().iter().map(|field| field.name.to_string()).collect()
    }

    /// The last rows, in pieces.
    fn last(&self, file: &MetricsFile, names: &[String]) -> Result<Vec<Rows>, Failure> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let end = file.rows();
        if !self.epochs {
            let start = end.saturating_sub(self.rows);
            return Ok(vec![file.read(&names, start..end)?]);
        }
        let mut found = Vec::new();
        let mut piece = end;
        while piece > 0 && (found.len() as u64) < self.rows {
            let start = piece.saturating_sub(PIECE);
            let steps = file.read(&["step"], start..piece)?;
            let is_summary = |row: &u64| is_summary(&steps, (*row - start) as usize);
            found.extend((start..piece).rev().filter(is_summary));
            piece = start;
        }
        found.truncate(self.rows as usize);
        found.reverse();
        found.into_iter().map(|row| Ok(file.read(&names, row..row + 1)?)).collect()
    }

    fn follow(
        &self,
        file: &MetricsFile,
        run: &Path,
        mut printer: Printer,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        // Without names, also columns that come later.
        let mut names = self.columns.clone();
        let has_step = names.is_empty() || names.iter().any(|name| name == "step");
        if self.epochs && !has_step {
            names.push("step".into());
        }
        let mut follow = file.follow().columns(&names).since(file.rows());
        if file.is_closed() {
            return Ok(());
        }
        let mut ended = None;
        loop {
            let mut is_quiet = true;
            while let Some(mut table) = follow.poll()? {
                is_quiet = false;
                if self.epochs {
                    let due = (0..table.rows).filter(|row| is_summary(&table, *row));
                    let due: Vec<_> = due.collect();
                    if !has_step {
                        table.columns.retain(|column| column.field.name != "step");
                    }
                    let due: Vec<_> = due.into_iter().map(|row| one_row(&table, row)).collect();
                    printer.print_rows(&due, &table, console)?;
                } else {
                    printer.print(&[table], console)?;
                }
                console.flush()?;
            }
            if follow.is_closed() {
                return Ok(());
            }
            if let Some(status) = ended {
                console.note(format!("the run has {status}"));
                return Ok(());
            }
            // A process that was killed closes nothing. What it wrote last is read once more after that is known.
            ended = if is_quiet { ended_status(run, console)? } else { None };
            if ended.is_none() {
                console.wait(PAUSE)?;
            }
        }
    }
}

/// The directory of the run that rows are followed of.
fn run_of(place: &Place) -> PathBuf {
    match place.kind {
        Kind::Run => place.path.clone(),
        _ => parent_of(&place.path).to_path_buf(),
    }
}

/// How a run has ended, if that is known. Without a description of the run it is not.
fn ended_status(run: &Path, console: &Console<'_>) -> Result<Option<String>, Failure> {
    if !run.join(RUN_JSON).is_file() {
        return Ok(None);
    }
    let status = runs::open_one(run, console)?.status()?;
    Ok(match status.state {
        RunState::Running | RunState::Unknown => None,
        state => Some(format!("{state}: {}", status.reason)),
    })
}

fn column(file: &MetricsFile, name: &str) -> Column {
    let field = file.fields().iter().find(|field| field.name == name);
    let r#type = field.map_or("other", |field| json::type_name(field.data_type));
    Column { name: name.to_owned(), r#type }
}

fn rows_of(table: &Rows) -> impl Iterator<Item = Vec<Datum>> {
    (0..table.rows).map(|row| one_row(table, row))
}

fn one_row(table: &Rows, row: usize) -> Vec<Datum> {
    row_of(table, row).into_iter().map(Datum).collect()
}

struct Printer {
    is_jsonl: bool,
    is_all: bool,
    /// The columns that were shown, with their widths.
    shown: Option<Vec<(String, usize)>>,
    /// The columns that there were so far, shown or not.
    known: BTreeSet<SmolStr>,
}

impl Printer {
    fn print(&mut self, tables: &[Rows], console: &mut Console<'_>) -> Result<(), Failure> {
        let Some(first) = tables.first() else { return Ok(()) };
        let rows: Vec<_> = tables.iter().flat_map(rows_of).collect();
        self.print_rows(&rows, first, console)
    }

    fn print_rows(
        &mut self,
        rows: &[Vec<Datum>],
        like: &Rows,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        if self.is_jsonl {
            return rows.iter().try_for_each(|row| console.json_line(&object(&like.columns, row)));
        }
        if rows.is_empty() && self.shown.is_some() {
            return Ok(());
        }
        // A column that comes later gets a line of heads.
        let count = self.known.len();
        self.known.extend(like.columns.iter().map(|column| column.field.name.clone()));
        if self.known.len() > count {
            self.shown = None;
        }
        let is_shown = |name: &str| {
            let heads = self.shown.as_ref();
            heads.is_none_or(|heads| heads.iter().any(|(head, _)| *head == shown(name)))
        };
        let columns: Vec<_> =
            (0..like.columns.len()).filter(|at| is_shown(&like.columns[*at].field.name)).collect();
        let mut table = Table::new();
        for at in &columns {
            let field = &like.columns[*at].field;
            let is_text = matches!(field.data_type, DataType::Utf8 | DataType::Timestamp { .. });
            table = table.column(&field.name, if is_text { Align::Left } else { Align::Right });
        }
        for row in rows {
            table.row(columns.iter().map(|at| cell(&like.columns[*at], &row[*at].0)));
        }
        let is_first = self.shown.is_none();
        if let Some(shown) = &self.shown {
            table.widen(shown);
        } else if let Some(width) = console.width().filter(|_| !self.is_all) {
            let left_out = table.fit(width);
            console.report_left_out(&left_out, "--all, or -c NAME");
        }
        self.shown = Some(table.widths_by_name());
        let lines = table.lines(console.is_colored());
        lines.iter().skip(usize::from(!is_first)).try_for_each(|line| console.line(line))
    }
}

/// A row as a JSON object, without its nulls.
fn object<'a>(columns: &'a [TableColumn], row: &'a [Datum]) -> BTreeMap<&'a str, &'a Datum> {
    let values = columns.iter().map(|column| column.field.name.as_str()).zip(row);
    values.filter(|(_, datum)| datum.0 != Value::Null).collect()
}

fn cell(column: &TableColumn, value: &Value) -> Cell {
    match value {
        Value::Null => Cell::default(),
        Value::Bool(value) => value.to_string().into(),
        Value::Int(value) => value.to_string().into(),
        // Seconds since 1970, as the fixed columns have them.
        Value::Float(seconds) if column.field.name == "timestamp" => {
            match moment::of_seconds(*seconds) {
                Some(time) => moment::utc(time).into(),
                None => amount::float(*seconds, 6).into(),
            }
        }
        Value::Float(value) => amount::float(*value, 6).into(),
        Value::Text(text) => text.into(),
        Value::List(values) => format!("[{} numbers]", values.len()).into(),
        Value::Timestamp(time) => json::timestamp(*time).into(),
        _ => Cell::new("?"),
    }
}
