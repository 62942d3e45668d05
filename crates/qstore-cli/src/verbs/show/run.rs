//! What is known of a run: what it is, what became of each attempt, its metrics and its checkpoints.

use super::checkpoints;
use super::metrics::FileBody;
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown_path;
use crate::output::json::{self, Dict};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, moment};
use crate::place::{CHECKPOINTS, METRICS, counter_of};
use crate::runs;
use qstore_checkpoint::CheckpointInfo;
use qstore_run::{JsonValue, RunFile, RunReader, RunState, Status};
use serde::Serialize;
use std::path::Path;
use std::time::SystemTime;

#[derive(Serialize)]
struct Body<'a> {
    kind: &'static str,
    path: String,
    name: String,
    status: String,
    reason: String,
    rows: u64,
    superseded_rows: u64,
    bytes: u64,
    /// The whole `run.json`, if there is one.
    run: Option<&'a RunFile>,
    metrics: Option<FileBody>,
    checkpoints: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    number: u64,
    save_seq: u64,
    saved: String,
    stored_bytes: u64,
    metadata: Dict<'a>,
}

pub(super) fn show(dir: &Path, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let run = runs::open_one(dir, console)?;
    let status = run.status()?;
    let path = dir.join(METRICS);
    let metrics = if path.is_file() { Some(FileBody::read(&path)?) } else { None };
    let infos = match run.checkpoints()? {
        Some(found) => checkpoints::infos(&found)?,
        None => Vec::new(),
    };
    let superseded_rows = run.superseded()?.iter().map(|rows| rows.end - rows.start).sum();
    if console.is_json() {
        let checkpoints = infos.iter().map(|info| Entry {
            number: info.number,
            save_seq: info.save_seq,
            saved: moment::utc(info.timestamp),
            stored_bytes: info.stored_bytes,
            metadata: Dict(&info.metadata),
        });
        let body = Body {
            kind: "run",
            path: json::path(dir),
            name: runs::name(&run),
            status: status.state.name().into(),
            reason: status.reason.to_string(),
            rows: run.progress()?.rows,
            superseded_rows,
            bytes: run.size_on_disk()?,
            run: run.has_run_json().then(|| run.run_json()),
            metrics,
            checkpoints: checkpoints.collect(),
        };
        console.document("show", &body)?;
        return Ok(Exit::Done);
    }
    print_head(&run, &status, superseded_rows, console)?;
    if run.run_json().attempts.len() > 1 {
        print_attempts(run.run_json(), console)?;
    }
    if let Some(metrics) = metrics {
        console.line("")?;
        metrics.print(console)?;
    }
    print_checkpoints(dir, &infos, console)?;
    console.hint(format!(
        "\n`qstore plot {0}` draws it, `qstore verify {0}` checks it",
        shown_path(dir)
    ));
    Ok(Exit::Done)
}

fn print_head(
    run: &RunReader,
    status: &Status,
    superseded: u64,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let file = run.run_json();
    let cell = Cell::new(format!("{}: {}", status.state, status.reason));
    let cell = match status.state {
        RunState::Running => cell.good(),
        RunState::Finished => cell,
        RunState::Failed | RunState::Crashed => cell.bad(),
        RunState::Unknown => cell.doubtful(),
    };
    console.line(shown_path(run.path()))?;
    let mut facts = Table::new().column("", Align::Left).column("", Align::Left).kept();
    facts.row(["status".into(), cell]);
    let mut fact = |name: &str, text: String| {
        if !text.is_empty() {
            facts.row([name.into(), Cell::new(text)]);
        }
    };
    if run.has_run_json() {
        fact("id", file.id.clone());
        fact("created", moment::utc(SystemTime::from(file.created)));
    }
    fact("group", file.group.clone().unwrap_or_default());
    fact("tags", file.tags.join(", "));
    fact("notes", file.notes.replace('\n', " / "));
    let goal = file.goal.as_ref();
    fact(
        "goal",
        goal.map_or(String::new(), |goal| format!("{}:{}", goal.metric, goal.direction.name())),
    );
    fact("seed", file.seed.map_or(String::new(), |seed| seed.to_string()));
    if let Some(last) = file.last_attempt() {
        let process = last.host.as_ref().map(|host| format!("process {} on {host}", last.pid));
        fact("last attempt", format!("{}, {}", last.number, process.unwrap_or_default()));
        let git = last.git.as_ref().map(|git| {
            let changed = if git.is_dirty == Some(true) { ", with changed files" } else { "" };
            format!("{}{changed}", git.commit)
        });
        fact("git", git.unwrap_or_default());
        fact("command", last.argv.join(" "));
    }
    if superseded > 0 {
        fact("replaced", format!("{} rows, by a resumed attempt", amount::count(superseded)));
    }
    fact("size", amount::size(run.size_on_disk()?));
    for (name, value) in &file.params {
        let text = match value {
            JsonValue::String(text) => text.clone(),
            other => other.to_string(),
        };
        fact(&format!("params.{name}"), text);
    }
    facts.lines(console.is_colored()).iter().try_for_each(|line| console.line(line))
}

fn print_attempts(file: &RunFile, console: &mut Console<'_>) -> Result<(), Failure> {
    console.line("")?;
    let mut table = Table::new().column("attempt", Align::Right);
    for head in ["started", "took", "ended", "from", "error"] {
        table = table.column(head, Align::Left);
    }
    for attempt in &file.attempts {
        let started = SystemTime::from(attempt.started);
        let took =
            attempt.ended.and_then(|ended| SystemTime::from(ended).duration_since(started).ok());
        let outcome = attempt.outcome.map_or("not recorded", |outcome| match outcome {
            qstore_run::AttemptOutcome::Finished => "finished",
            qstore_run::AttemptOutcome::Failed => "failed",
        });
        let from = attempt.from.as_ref().map(|from| format!("checkpoint {}", from.number));
        table.row([
            attempt.number.to_string().into(),
            moment::utc(started).into(),
            took.map(moment::span).unwrap_or_default().into(),
            outcome.into(),
            from.unwrap_or_default().into(),
            Cell::new(attempt.error.clone().unwrap_or_default()),
        ]);
    }
    console.table(table, "--json has them")
}

fn print_checkpoints(
    dir: &Path,
    infos: &[CheckpointInfo],
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if infos.is_empty() {
        return Ok(());
    }
    console.line("")?;
    checkpoints::print(infos, counter_of(&dir.join(CHECKPOINTS)), console)
}
