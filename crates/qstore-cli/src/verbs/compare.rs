//! `qstore compare`: the parameters of runs that differ, and their metrics, side by side.
//!
//! What is equal is left out by default and counted. Up to four runs are columns; more are rows.

mod grid;
mod threshold;

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::metric::{Fold, Metric, Rank, numbers};
use crate::output::json::Number;
use crate::output::{amount, json};
use crate::runs;
use grid::{Grid, Line};
use qstore_run::{JsonValue, RunReader};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use threshold::Threshold;

/// Compare runs: parameters that differ, and metrics side by side
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore compare runs/run_003 runs/run_004 -m val_loss:min,lr:last
  qstore compare runs --sort val_loss:min --fail-if 'val_loss:min>0.3'

Exits with 6 if a threshold is crossed.")]
pub struct Compare {
    /// Runs, or directories of runs
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Metrics, each NAME:min, max, last or sum [default: all that differ]
    #[arg(short, long, value_name = "NAME:FOLD", value_delimiter = ',')]
    metrics: Vec<Metric>,
    /// Show what is equal, too
    #[arg(long)]
    all: bool,
    /// Only lines with these names, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    keep: Vec<String>,
    /// No lines with these names
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    drop: Vec<String>,
    /// The best run first, by this metric
    #[arg(long, value_name = "NAME:FOLD")]
    sort: Option<Metric>,
    /// Print a table of Markdown
    #[arg(long, conflicts_with = "csv")]
    md: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    /// Exit with 6 if a run has such a value: `loss:min>0.3`
    #[arg(long, value_name = "METRIC>X")]
    fail_if: Vec<Threshold>,
}

#[derive(Serialize)]
struct Body {
    runs: Vec<Run>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seed: Vec<Option<u64>>,
    git: Vec<Option<String>>,
    params: BTreeMap<String, Vec<JsonValue>>,
    metrics: Vec<MetricRow>,
    /// How many parameters are equal in all runs.
    equal_params: usize,
    equal_metrics: usize,
    crossed: Vec<Crossed>,
}

#[derive(Serialize)]
struct Run {
    path: String,
    name: String,
    id: Option<String>,
}

#[derive(Serialize)]
struct MetricRow {
    name: String,
    fold: Fold,
    values: Vec<Option<Number>>,
}

#[derive(Serialize)]
struct Crossed {
    run: String,
    threshold: String,
    value: Number,
}

impl Compare {
    /// Runs the verb.
    ///
    /// # Errors
    /// If a run cannot be read.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let mut runs = runs::open(&self.paths, "compare", console)?;
        if let Some(metric) = &self.sort {
            sort(&mut runs, metric)?;
        }
        let body = self.body(&runs)?;
        if console.is_json() {
            console.document("compare", &body)?;
        } else {
            Self::grid(&body, self.style()).print(self.style(), console)?;
            Self::talk(&body, console);
        }
        Ok(if body.crossed.is_empty() { Exit::Done } else { Exit::Crossed })
    }

    fn body(&self, runs: &[RunReader]) -> Result<Body, Failure> {
        let mut params = params(runs);
        let all = params.len();
        if !self.all {
            params.retain(|_, values| !are_equal(values));
        }
        let equal_params = if self.all { 0 } else { all - params.len() };
        let mut metrics = Vec::new();
        for metric in self.wanted(runs)? {
            let values = runs.iter().map(|run| metric.of(run));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let values = values.into_iter().map(|found| found.map(|found| Number(found.value)));
            metrics.push(MetricRow {
                name: metric.name,
                fold: metric.fold,
                values: values.collect(),
            });
        }
        let all = metrics.len();
        if !self.all && self.metrics.is_empty() && runs.len() > 1 {
            metrics.retain(|metric| !are_equal(&metric.values));
        }
        let equal_metrics = all - metrics.len();
        let is_wanted = |name: &str| {
            let is = |names: &[String]| names.iter().any(|wanted| wanted == name);
            (self.keep.is_empty() || is(&self.keep)) && !is(&self.drop)
        };
        params.retain(|name, _| is_wanted(name));
        metrics.retain(|metric| is_wanted(&metric.name));
        let git = runs.iter().map(commit).collect::<Vec<_>>();
        let git = if self.all || !are_equal(&git) { git } else { Vec::new() };
        let git = if is_wanted("git") { git } else { Vec::new() };
        let seed = runs.iter().map(|run| run.run_json().seed).collect::<Vec<_>>();
        let is_shown = is_wanted("seed") && seed.iter().any(Option::is_some);
        let seed = if is_shown && (self.all || !are_equal(&seed)) { seed } else { Vec::new() };
        let crossed = self.crossed(runs)?;
        let runs = runs.iter().map(Run::of).collect();
        Ok(Body { runs, seed, git, params, metrics, equal_params, equal_metrics, crossed })
    }

    /// The metrics that were asked for, or all.
    fn wanted(&self, runs: &[RunReader]) -> Result<Vec<Metric>, Failure> {
        if !self.metrics.is_empty() {
            return Ok(self.metrics.clone());
        }
        let mut wanted: Vec<Metric> = Vec::new();
        for run in runs {
            let goal = run.run_json().goal.iter();
            let goal =
                goal.map(|goal| Metric { name: goal.metric.clone(), fold: goal.direction.into() });
            let others = numbers(run)?.into_iter();
            let others = others.map(|name| Metric { fold: Fold::guess(&name), name });
            for metric in goal.chain(others) {
                if !wanted.iter().any(|known| known.name == metric.name) {
                    wanted.push(metric);
                }
            }
        }
        Ok(wanted)
    }

    fn crossed(&self, runs: &[RunReader]) -> Result<Vec<Crossed>, Failure> {
        let mut crossed = Vec::new();
        for threshold in &self.fail_if {
            for run in runs {
                let Some(found) = threshold.metric.of(run)? else {
                    let (name, run) = (&threshold.metric.name, runs::name(run));
                    return Err(Failure::missing(format!(
                        "{run} has no value of `{name}` to compare"
                    )));
                };
                if threshold.is_crossed(found.value) {
                    let (run, value) = (runs::name(run), Number(found.value));
                    crossed.push(Crossed { run, threshold: threshold.to_string(), value });
                }
            }
        }
        Ok(crossed)
    }

    fn style(&self) -> grid::Style {
        match (self.md, self.csv) {
            (true, _) => grid::Style::Markdown,
            (_, true) => grid::Style::Csv,
            _ => grid::Style::Text,
        }
    }

    fn grid(body: &Body, style: grid::Style) -> Grid {
        // A program gets every digit, as from `export`.
        let text = |Number(value): Number| match style {
            grid::Style::Csv => format!("{value:?}"),
            _ => amount::float(value, 4),
        };
        let mut lines = Vec::new();
        for (name, values) in &body.params {
            let values = values.iter().map(param_text).collect();
            lines.push(Line::new(format!("params.{name}"), "", values, String::new()));
        }
        if !body.seed.is_empty() {
            let text = |seed: &Option<u64>| seed.map_or(String::new(), |seed| seed.to_string());
            let values = body.seed.iter().map(text).collect();
            lines.push(Line::new("seed", "", values, String::new()));
        }
        if !body.git.is_empty() {
            let values = body.git.iter().map(|commit| commit.clone().unwrap_or_default());
            lines.push(Line::new("git", "", values.collect(), String::new()));
        }
        for metric in &body.metrics {
            let change = match &*metric.values {
                [Some(Number(one)), Some(Number(other))] => amount::change(*one, *other),
                _ => None,
            };
            let values = metric.values.iter();
            let values = values.map(|value| value.map_or(String::new(), text));
            let change = change.unwrap_or_default();
            lines.push(Line::new(&metric.name, metric.fold.name(), values.collect(), change));
        }
        Grid { runs: body.runs.iter().map(|run| run.name.clone()).collect(), lines }
    }

    fn talk(body: &Body, console: &mut Console<'_>) {
        let equal = [(body.equal_params, "parameter"), (body.equal_metrics, "metric")];
        let equal = equal.iter().filter(|(count, _)| *count > 0);
        let equal = equal.map(|(count, what)| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        });
        let equal: Vec<_> = equal.collect();
        if !equal.is_empty() {
            console.note(format!("{} are equal; --all shows them", equal.join(" and ")));
        }
        for Crossed { run, threshold, value } in &body.crossed {
            console.note(format!("{run}: {threshold} is crossed by {}", amount::float(value.0, 6)));
        }
    }
}

impl Run {
    fn of(run: &RunReader) -> Self {
        let id = &run.run_json().id;
        Self {
            path: json::path(run.path()),
            name: runs::name(run),
            id: (!id.is_empty()).then(|| id.clone()),
        }
    }
}

/// All parameters, with null where a run does not have one.
fn params(runs: &[RunReader]) -> BTreeMap<String, Vec<JsonValue>> {
    let mut params: BTreeMap<String, Vec<JsonValue>> = BTreeMap::new();
    for run in runs {
        for name in run.run_json().params.keys() {
            params.entry(name.clone()).or_default();
        }
    }
    for (name, values) in &mut params {
        let of = |run: &RunReader| run.run_json().params.get(name).cloned().unwrap_or_default();
        *values = runs.iter().map(of).collect();
    }
    params
}

fn param_text(value: &JsonValue) -> String {
    match value {
        JsonValue::Null => String::new(),
        JsonValue::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The commit of the last attempt, shortened, and whether files were changed.
fn commit(run: &RunReader) -> Option<String> {
    let git = run.run_json().last_attempt()?.git.as_ref()?;
    let short: String = git.commit.chars().take(7).collect();
    let changed = if git.is_dirty == Some(true) { " (changed files)" } else { "" };
    Some(format!("{short}{changed}"))
}

fn are_equal<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

fn sort(runs: &mut Vec<RunReader>, metric: &Metric) -> Result<(), Failure> {
    let mut goals = runs.iter().filter_map(|run| run.run_json().goal.as_ref());
    let goal = goals.find(|goal| goal.metric == metric.name);
    let is_greatest_best = metric.is_greatest_best(goal);
    let mut keyed = Vec::new();
    for run in runs.drain(..) {
        let value = metric.of(&run)?.map(|found| found.value);
        keyed.push((Rank::new(value, is_greatest_best), run));
    }
    keyed.sort_by_key(|(rank, _)| *rank);
    runs.extend(keyed.into_iter().map(|(_, run)| run));
    Ok(())
}
