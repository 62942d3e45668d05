//! What a metrics file says of itself: its sessions, what became of their rows, and its columns.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown_path;
use crate::output::json::{self, Datum};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, moment};
use qstore_parquet::{Bounds, MetricsFile, ReadError, Segment};
use qstore_schema::{Field, Value};
use serde::Serialize;
use std::cmp::Ordering;
use std::path::Path;

#[derive(Serialize)]
struct Body {
    kind: &'static str,
    #[serde(flatten)]
    file: FileBody,
}

/// What is known of a metrics file.
#[derive(Serialize)]
pub(super) struct FileBody {
    path: String,
    #[serde(skip)]
    shown: String,
    bytes: u64,
    rows: u64,
    row_groups: usize,
    /// Whether the last session ended cleanly.
    closed: bool,
    sessions: Vec<Session>,
    columns: Vec<Column>,
    /// Columns of other programs that cannot be read.
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize)]
struct Session {
    run_id: String,
    first_row: u64,
    resumed_epoch: Option<i64>,
    accepted: u64,
    written: u64,
    dropped: u64,
    refused: u64,
    evicted: u64,
    cleared: u64,
    rejected: u64,
    omitted_values: u64,
    closed: bool,
}

#[derive(Serialize)]
struct Column {
    name: String,
    r#type: &'static str,
    nulls: u64,
    nans: u64,
    infinite: u64,
    min: Datum,
    max: Datum,
}

#[derive(Serialize)]
struct Unreadable {
    name: String,
    reason: String,
}

pub(super) fn show(path: &Path, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let file = FileBody::read(path)?;
    if console.is_json() {
        console.document("show", &Body { kind: "metrics", file })?;
    } else {
        file.print(console)?;
    }
    Ok(Exit::Done)
}

impl FileBody {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let file = MetricsFile::open(path)?;
        let columns: Result<Vec<_>, ReadError> =
            file.fields().iter().map(|field| Column::read(&file, field)).collect();
        let unreadable = file.unreadable();
        let unreadable = unreadable
            .map(|(name, reason)| Unreadable { name: name.to_owned(), reason: reason.to_owned() });
        let sessions = file
            .audit()
            .map_or(Vec::new(), |audit| audit.segments.iter().map(Session::new).collect());
        Ok(Self {
            path: json::path(path),
            shown: shown_path(path),
            bytes: file.len(),
            rows: file.rows(),
            row_groups: file.row_groups(),
            closed: file.is_closed(),
            sessions,
            columns: columns?,
            unreadable: unreadable.collect(),
        })
    }

    pub(super) fn print(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let Self { shown, rows, row_groups, bytes, .. } = self;
        let groups = if *row_groups == 1 { "row group" } else { "row groups" };
        let size = amount::size(*bytes);
        console.line(format!(
            "{shown}: {} rows in {row_groups} {groups}, {size}",
            amount::count(*rows)
        ))?;
        if self.sessions.is_empty() {
            console.line("written by another program; it says nothing about lost rows")?;
        } else {
            console.line("")?;
            self.print_sessions(console)?;
        }
        console.line("")?;
        let mut table = Table::new().column("column", Align::Left);
        for (head, align) in [
            ("type", Align::Left),
            ("min", Align::Right),
            ("max", Align::Right),
            ("null", Align::Right),
            ("NaN", Align::Right),
            ("infinite", Align::Right),
        ] {
            table = table.column(head, align);
        }
        for column in &self.columns {
            table.row([
                Cell::new(&column.name),
                column.r#type.into(),
                bound(&column.name, &column.min).into(),
                bound(&column.name, &column.max).into(),
                few(column.nulls),
                few(column.nans),
                few(column.infinite),
            ]);
        }
        console.table(table, "--json has them")?;
        for Unreadable { name, reason } in &self.unreadable {
            console.note(format!("column {name} cannot be read: {reason}"));
        }
        console.hint(format!("\nDuckDB reads it: SELECT * FROM '{shown}'"));
        Ok(())
    }

    fn print_sessions(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let mut table = Table::new().column("session", Align::Right).column("run id", Align::Left);
        for head in ["first row", "rows", "dropped", "evicted", "rejected", "values omitted"] {
            table = table.column(head, Align::Right);
        }
        table = table.column("ended", Align::Left).kept();
        for (number, session) in self.sessions.iter().enumerate() {
            let is_last = number + 1 == self.sessions.len();
            let ended = match (session.closed, is_last && !self.closed) {
                (true, _) => Cell::new("cleanly").good(),
                (false, true) => Cell::new("not yet, or killed").doubtful(),
                (false, false) => Cell::new("killed").doubtful(),
            };
            table.row([
                (number + 1).to_string().into(),
                Cell::new(&session.run_id),
                amount::count(session.first_row).into(),
                amount::count(session.written).into(),
                few(session.dropped + session.refused),
                few(session.evicted + session.cleared),
                few(session.rejected),
                few(session.omitted_values),
                ended,
            ]);
        }
        console.table(table, "--json has them")
    }
}

impl Session {
    fn new(segment: &Segment) -> Self {
        Self {
            run_id: segment.run_id.clone(),
            first_row: segment.first_row,
            resumed_epoch: segment.resumed_epoch,
            accepted: segment.accepted,
            written: segment.written,
            dropped: segment.dropped,
            refused: segment.refused,
            evicted: segment.evicted,
            cleared: segment.cleared,
            rejected: segment.rejected,
            omitted_values: segment.omitted_values,
            closed: segment.closed,
        }
    }
}

impl Column {
    fn read(file: &MetricsFile, field: &Field) -> Result<Self, ReadError> {
        let bounds = file.bounds(&field.name, 0..u64::MAX)?;
        let sum = |count: fn(&Bounds) -> u64| bounds.iter().map(count).sum();
        let extreme = |bound: fn(&Bounds) -> Option<&Value>, wanted: Ordering| {
            let values = bounds.iter().filter_map(bound).cloned();
            values.reduce(|one, other| if compare(&other, &one) == wanted { other } else { one })
        };
        Ok(Self {
            name: field.name.to_string(),
            r#type: json::type_name(field.data_type),
            nulls: sum(|bounds| bounds.nulls),
            nans: sum(|bounds| bounds.nans),
            infinite: sum(|bounds| bounds.infinite),
            min: Datum(extreme(|bounds| bounds.min.as_ref(), Ordering::Less).unwrap_or_default()),
            max: Datum(
                extreme(|bounds| bounds.max.as_ref(), Ordering::Greater).unwrap_or_default(),
            ),
        })
    }
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => one.cmp(other),
        (Value::Float(one), Value::Float(other)) => one.total_cmp(other),
        _ => Ordering::Equal,
    }
}

fn bound(column: &str, datum: &Datum) -> String {
    match &datum.0 {
        Value::Float(seconds) if column == "timestamp" => match moment::of_seconds(*seconds) {
            Some(time) => moment::utc(time),
            None => amount::float(*seconds, 5),
        },
        Value::Int(value) => value.to_string(),
        Value::Float(value) => amount::float(*value, 5),
        _ => String::new(),
    }
}

/// A count that is best 0, and then not shown.
fn few(count: u64) -> Cell {
    if count == 0 { Cell::default() } else { amount::count(count).into() }
}
