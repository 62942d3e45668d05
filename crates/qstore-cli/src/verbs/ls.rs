//! `qstore ls`: one line a run. Nothing but descriptions, footers and the ends of columns is read, and a run that
//! cannot be read does not hide the others.

mod row;

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::metric::Metric;
use crate::output::escape::{shown, shown_path};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, moment};
use crate::{runs, threads};
use row::{MetricRow, Row};
use serde::Serialize;
use std::cmp::Ordering;
use std::path::PathBuf;

/// List runs: status, rows, last and best of a metric, checkpoints
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore ls runs -m val_loss:min --sort best
  qstore ls runs --tag best --json")]
pub struct Ls {
    /// Directories of runs, or runs [default: the current directory]
    paths: Vec<PathBuf>,
    /// The metric to show, as NAME:min, max, last or sum; for sum, the best is the sum [default: the goal of each run]
    #[arg(short, long, value_name = "NAME:FOLD")]
    metric: Option<Metric>,
    /// In which order
    #[arg(long, value_enum, value_name = "KEY", default_value = "name")]
    sort: Sort,
    /// Only runs with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only runs with this status
    #[arg(long, value_parser = ["running", "finished", "failed", "crashed", "unknown"])]
    status: Option<String>,
    /// Runs in directories of directories, too
    #[arg(long)]
    deep: bool,
    /// Every column, also where they do not fit
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    Name,
    /// The best first
    Best,
    /// The best last value first
    Last,
    /// The newest first
    Changed,
    Rows,
    Size,
    Status,
}

#[derive(Serialize)]
struct Body {
    runs: Vec<Row>,
}

impl Ls {
    /// Runs the verb.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let paths = console.paths_or_default(&self.paths);
        let found = runs::find(&paths, self.deep, "ls")?;
        let mut rows = self.read(&found, console);
        let mut exit = Exit::Done;
        for row in &rows {
            if let Some((error, code)) = &row.failure {
                console.note(format!("{}: {error}", shown_path(&row.dir)));
                exit = if exit == Exit::Damaged { exit } else { *code };
            }
        }
        rows.retain(|row| self.is_wanted(row));
        rows.sort_by(|one, other| self.compare(one, other));
        if console.is_json() {
            console.document("ls", &Body { runs: rows })?;
            return Ok(exit);
        }
        if rows.is_empty() {
            let paths: Vec<_> = paths.iter().map(|path| shown_path(path)).collect();
            console.note(format!("there is no such run in {}", paths.join(", ")));
            return Ok(exit);
        }
        self.print(&rows, console)?;
        console.hint("`qstore show` and `qstore plot` say more about one of them");
        Ok(exit)
    }

    /// Reads all runs, on all cores: most of the time is spent waiting for small files.
    fn read(&self, found: &[PathBuf], console: &Console<'_>) -> Vec<Row> {
        let (place, metric) = (console.place(), self.metric.as_ref());
        threads::map(found, threads::cores(), |path| Row::read(path, metric, place), |_| {})
    }

    fn is_wanted(&self, row: &Row) -> bool {
        let has_tag = self.tag.as_ref().is_none_or(|tag| row.tags.contains(tag));
        has_tag && self.status.as_ref().is_none_or(|status| row.status == status)
    }

    fn compare(&self, one: &Row, other: &Row) -> Ordering {
        match self.sort {
            // As they were found: numbers in names by their value.
            Sort::Name => Ordering::Equal,
            Sort::Best => one.compare_by(other, |metric| metric.best),
            Sort::Last => one.compare_by(other, |metric| metric.last),
            Sort::Changed => other.changed_at.cmp(&one.changed_at),
            Sort::Rows => other.rows.cmp(&one.rows),
            Sort::Size => other.bytes.cmp(&one.bytes),
            Sort::Status => one.status.cmp(other.status),
        }
    }

    fn print(&self, rows: &[Row], console: &mut Console<'_>) -> Result<(), Failure> {
        let names = rows.iter().filter_map(|row| row.metric.as_ref());
        let mut names: Vec<_> = names.map(|metric| metric.name.as_str()).collect();
        names.dedup();
        let head = if names.len() == 1 { names[0] } else { "last" };
        let mut table = Table::new()
            .column("run", Align::Left)
            .column("status", Align::Left)
            .kept()
            .column("rows", Align::Right)
            .column("step", Align::Right)
            .column(head, Align::Right)
            .column("best (step)", Align::Right)
            .column("checkpoints", Align::Right)
            .column("size", Align::Right)
            .column("changed", Align::Left)
            .column("", Align::Left);
        for row in rows {
            let status = Cell::new(row.status);
            let status = match row.status {
                "running" => status.good(),
                "failed" | "crashed" | "damaged" | "unreadable" => status.bad(),
                "unknown" => status.doubtful(),
                _ => status,
            };
            let last = row.last.as_ref();
            let step = last.and_then(|last| last.step).map(amount::integer);
            let metric = row.metric.as_ref();
            let changed = row.changed_at.map(|changed| moment::age(console.now(), changed));
            table.row([
                Cell::new(&row.name),
                status,
                amount::count(row.rows).into(),
                step.unwrap_or_default().into(),
                metric.and_then(MetricRow::last_text).unwrap_or_default().into(),
                metric.and_then(MetricRow::best_text).unwrap_or_default().into(),
                amount::count(row.checkpoints.count as u64).into(),
                amount::size(row.bytes).into(),
                changed.unwrap_or_default().into(),
                row.remark().into(),
            ]);
        }
        if self.all {
            return table
                .lines(console.is_colored())
                .iter()
                .try_for_each(|line| console.line(line));
        }
        let advice = shown("--all, or --json, has them").into_owned();
        console.table(table, &advice)
    }
}
