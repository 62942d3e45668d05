//! The scorecard: a line for each row, what was not run, what failed, and how to repeat it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::listen::Outcome;
use super::options::Options;
use super::rows::Row;
use crate::error::{Error, Result};

/// What became of one row.
pub(super) struct Finished {
    /// The file system, if it was another one than that of the temporary directory.
    pub(super) on: Option<&'static str>,
    pub(super) row: &'static Row,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// The rows so far.
pub(super) struct Scorecard<'a> {
    options: &'a Options,
    commit: &'a str,
    results: Vec<Finished>,
    /// The file systems that could not be mounted, with the reason.
    not_mounted: Vec<(&'static str, String)>,
}

impl<'a> Scorecard<'a> {
    pub(super) fn new(options: &'a Options, commit: &'a str) -> Self {
        Self { options, commit, results: Vec::new(), not_mounted: Vec::new() }
    }

    pub(super) fn add(&mut self, result: Finished) {
        self.results.push(result);
    }

    pub(super) fn skip(&mut self, file_system: &'static str, reason: String) {
        self.not_mounted.push((file_system, reason));
    }

    /// Prints it, writes its JSON, and fails if anything did.
    pub(super) fn close(&self, json: Option<&Path>) -> Result {
        print!("{self}");
        if let Some(path) = json {
            let rows: Vec<String> = self.rows().iter().map(Value::to_string).collect();
            std::fs::write(path, format!("[\n{}\n]\n", rows.join(",\n"))).map_err(|error| {
                Error::Failed(format!("cannot write {}: {error}", path.display()))
            })?;
        }
        if self.failures() == 0 { Ok(()) } else { Err(Error::Reported(1)) }
    }

    fn failures(&self) -> usize {
        self.results.iter().map(|result| result.outcome.failures.len()).sum()
    }

    fn rows(&self) -> Vec<Value> {
        let row = |Finished { on, row, outcome, took }: &Finished| {
            json!({
                "id": row.id,
                "file_system": on,
                "title": row.title,
                "cases": outcome.cases,
                "failures": outcome.failures.len(),
                "skipped": outcome.skipped,
                "seconds": (took.as_secs_f64() * 10.0).round() / 10.0,
                "seed": self.options.seed,
            })
        };
        self.results.iter().map(row).collect()
    }
}

fn place(on: Option<&str>) -> String {
    on.map(|name| format!(" on {name}")).unwrap_or_default()
}

impl fmt::Display for Scorecard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.options.full { "full" } else { "quick" };
        writeln!(f, "\nscorecard ({form}), commit {}, seed {}\n", self.commit, self.options.seed)?;
        writeln!(
            f,
            "{:<6}{:<50}{:>9}{:>10}{:>9}{:>9}",
            "id", "title", "cases", "failures", "not run", "seconds"
        )?;
        let mut last = None;
        for Finished { on, row, outcome, took } in &self.results {
            if let Some(name) = on.filter(|_| *on != last) {
                writeln!(f, "on {name}:")?;
            }
            last = *on;
            let count = |number: usize| if number == 0 { "-".into() } else { number.to_string() };
            let (failures, skipped) = (count(outcome.failures.len()), count(outcome.skipped.len()));
            let seconds = took.as_secs_f64();
            writeln!(
                f,
                "{:<6}{:<50}{:>9}{failures:>10}{skipped:>9}{seconds:>9.1}",
                row.id, row.title, outcome.cases
            )?;
        }
        for (what, of) in [
            ("measured", (|outcome| &outcome.notes) as fn(&Outcome) -> &Vec<String>),
            ("not run", |outcome| &outcome.skipped),
        ] {
            for Finished { on, row, outcome, .. } in &self.results {
                for text in of(outcome) {
                    writeln!(f, "\n{what}, {}{}: {text}", row.id, place(*on))?;
                }
            }
        }
        for (name, reason) in &self.not_mounted {
            writeln!(f, "\nnot run, everything on {name}: {reason}")?;
        }
        for Finished { on, row, outcome, .. } in &self.results {
            for failure in &outcome.failures {
                let replay = self.options.replay(*on, row.id, failure.case.as_deref());
                let (id, place) = (row.id, place(*on));
                writeln!(f, "\nFAILED {id}{place}: {}\n  {replay}", failure.message)?;
            }
        }
        let cases: u64 = self.results.iter().map(|result| result.outcome.cases).sum();
        writeln!(f, "\n{cases} cases, {} failures", self.failures())
    }
}
