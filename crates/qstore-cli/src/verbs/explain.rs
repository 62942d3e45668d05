//! `qstore explain` and `qstore prune`: what retention keeps and would remove, each with its reason, and the
//! removal.
//!
//! Only `prune --apply` removes anything. It is refused while a rule keeps nothing: the rule is most likely
//! misspelled.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, json};
use crate::place::{Place, counter_of};
use crate::rules::{Plan, Rules, reason_name};
use qstore_checkpoint::LoadError;
use qstore_checkpoint::retention::{Decision, Policy};
use qstore_zarr::Checkpoints;
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;

/// This number of checkpoints is removed at a time; in between, Ctrl-C is looked at.
const BATCH: usize = 16;

/// Say which checkpoints the retention rules keep and which would go, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore explain runs/run_003
  qstore explain runs/run_003 --keep-last 2 --keep-best 1:val_loss:min")]
pub struct Explain {
    /// A run, or a directory of checkpoints [default: the current directory]
    run: Option<PathBuf>,
    #[command(flatten)]
    rules: Rules,
}

/// Remove the checkpoints that the retention rules do not keep
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore prune runs/run_003 --keep-last 2 --keep-best 1:val_loss:min
  qstore prune runs/run_003 --keep-last 2 --apply

The newest save and what is pinned always stay.")]
pub struct Prune {
    /// A run, or a directory of checkpoints
    run: PathBuf,
    #[command(flatten)]
    rules: Rules,
    /// Remove them; without this, only say what would go
    #[arg(long)]
    apply: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    path: String,
    counter: &'static str,
    policy: &'a Policy,
    stored: bool,
    applied: bool,
    decisions: Vec<Row>,
    /// Rules that keep none of the checkpoints.
    idle: &'a [String],
    removed: &'a [u64],
    removed_bytes: u64,
}

#[derive(Serialize)]
struct Row {
    number: u64,
    save_seq: u64,
    keep: bool,
    reason: &'static str,
    text: String,
    unranked: Option<String>,
    bytes: Option<u64>,
}

impl Explain {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the checkpoints cannot be read, or there are no rules.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let path = console.path_or_default(self.run.as_ref());
        let place = Place::find(&path)?;
        let dir = place.checkpoints("explain")?;
        let checkpoints = Checkpoints::open(&dir)?;
        let plan = self.rules.plan(&checkpoints)?;
        let report = Report::new(dir, &checkpoints, &plan);
        report.print("explain", None, console)?;
        Ok(Exit::Done)
    }
}

impl Prune {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the checkpoints cannot be read or removed, or a rule keeps nothing.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let dir = Place::find(&self.run)?.checkpoints("prune")?;
        let checkpoints = Checkpoints::open(&dir)?;
        let plan = self.rules.plan(&checkpoints)?;
        let report = Report::new(dir, &checkpoints, &plan);
        if !self.apply {
            report.print("prune", None, console)?;
            return Ok(Exit::Done);
        }
        console.handle_interrupts();
        let mut removed = Vec::new();
        let pruned = apply(&checkpoints, &plan, &mut removed, &mut |count, all| {
            console.progress(format!("removed {count} of {all} checkpoints"));
            console.go_on()
        });
        // What is gone is reported, also if the rest could not be removed.
        if pruned.is_ok() || !removed.is_empty() {
            report.print("prune", Some(&removed), console)?;
        }
        pruned.map(|()| Exit::Done)
    }
}

/// Removes what the plan removes, and notes the numbers. After each batch `go_on` is asked.
///
/// # Errors
/// [`Failure::Usage`] if a rule keeps nothing, before anything was removed; what `go_on` returns; and if a
/// checkpoint cannot be removed.
pub fn apply(
    checkpoints: &Checkpoints,
    plan: &Plan,
    removed: &mut Vec<u64>,
    go_on: &mut dyn FnMut(usize, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let Some(idle) = plan.idle.first() {
        let reason = format!("nothing was removed: {idle}; correct the rule, or leave it out");
        return Err(Failure::usage(reason));
    }
    let due: Vec<Decision> = plan.decisions.iter().filter(|due| !due.keep).cloned().collect();
    for batch in due.chunks(BATCH) {
        let done: Result<Vec<u64>, LoadError> = checkpoints.prune(batch);
        removed.extend(done?);
        go_on(removed.len(), due.len())?;
    }
    Ok(())
}

struct Report<'a> {
    dir: PathBuf,
    plan: &'a Plan,
    counter: &'static str,
    bytes: HashMap<u64, u64>,
}

impl<'a> Report<'a> {
    fn new(dir: PathBuf, checkpoints: &Checkpoints, plan: &'a Plan) -> Self {
        // One that was removed in the meantime has no size.
        let size =
            |number| Some((number, checkpoints.get_checkpoint_info(number).ok()?.stored_bytes));
        let bytes = plan.decisions.iter().filter_map(|decision| size(decision.number)).collect();
        Self { counter: counter_of(&dir), dir, plan, bytes }
    }

    fn print(
        &self,
        verb: &str,
        removed: Option<&[u64]>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let Plan { policy, is_stored, decisions, idle } = self.plan;
        let due: Vec<u64> =
            decisions.iter().filter(|due| !due.keep).map(|due| due.number).collect();
        let gone = removed.unwrap_or(&due);
        let freed = gone.iter().filter_map(|number| self.bytes.get(number)).sum();
        if console.is_json() {
            let body = Body {
                path: json::path(&self.dir),
                counter: self.counter,
                policy,
                stored: *is_stored,
                applied: removed.is_some(),
                decisions: decisions.iter().map(|decision| self.row(decision)).collect(),
                idle,
                removed: removed.unwrap_or_default(),
                removed_bytes: if removed.is_some() { freed } else { 0 },
            };
            return console.document(verb, &body);
        }
        let mut table = Table::new();
        for align in [Align::Left, Align::Left, Align::Left, Align::Left, Align::Right] {
            table = table.column("", align).kept();
        }
        for decision in decisions {
            let bytes = self.bytes.get(&decision.number).copied().map(amount::size);
            let fate = match (decision.keep, removed) {
                (true, _) => Cell::new("stays").good(),
                (false, None) => Cell::new("goes").doubtful(),
                (false, Some(removed)) if removed.contains(&decision.number) => {
                    Cell::new("removed").doubtful()
                }
                (false, Some(_)) => Cell::new("left alone"),
            };
            let unranked = decision.unranked.as_ref();
            let unranked = unranked.map_or(String::new(), |unranked| format!("; {unranked}"));
            table.row([
                format!("{} {}", self.counter, decision.number).into(),
                format!("save {}", decision.save_seq).into(),
                fate,
                format!("{}{unranked}", decision.reason).into(),
                bytes.unwrap_or_default().into(),
            ]);
        }
        console.table(table, "")?;
        let size = amount::size(freed);
        let all = decisions.len();
        let line = match removed {
            Some(removed) => format!("{} of {all} removed, {size}", removed.len()),
            None if verb == "prune" => format!(
                "{} of {all} would go, {size}. Nothing was removed; add --apply",
                gone.len()
            ),
            None => format!("{} of {all} would go, {size}. Nothing was removed", gone.len()),
        };
        console.line(line)?;
        for idle in idle {
            console.note(format!("{idle}\n`qstore prune` refuses such a rule"));
        }
        if verb == "explain" && !gone.is_empty() {
            console.hint("`qstore prune` with the same rules and --apply removes them");
        }
        Ok(())
    }

    fn row(&self, decision: &Decision) -> Row {
        Row {
            number: decision.number,
            save_seq: decision.save_seq,
            keep: decision.keep,
            reason: reason_name(&decision.reason),
            text: decision.reason.to_string(),
            unranked: decision.unranked.as_ref().map(ToString::to_string),
            bytes: self.bytes.get(&decision.number).copied(),
        }
    }
}
