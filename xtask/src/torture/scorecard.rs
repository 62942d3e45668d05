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
    pub(super) row: &'static Row,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// The rows so far.
pub(super) struct Scorecard<'a> {
    options: &'a Options,
    commit: &'a str,
    results: Vec<Finished>,
}

impl<'a> Scorecard<'a> {
    pub(super) fn new(options: &'a Options, commit: &'a str) -> Self {
        Self { options, commit, results: Vec::new() }
    }

    pub(super) fn add(&mut self, result: Finished) {
        self.results.push(result);
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
        let row = |Finished { row, outcome, took }: &Finished| {
            json!({
                "id": row.id,
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

impl fmt::Display for Scorecard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.options.full { "full" } else { "quick" };
        writeln!(f, "\nscorecard ({form}), commit {}, seed {}\n", self.commit, self.options.seed)?;
        writeln!(
            f,
            "{:<6}{:<50}{:>9}{:>10}{:>9}{:>9}",
            "id", "title", "cases", "failures", "not run", "seconds"
        )?;
        for Finished { row, outcome, took } in &self.results {
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
            for Finished { row, outcome, .. } in &self.results {
                for text in of(outcome) {
                    writeln!(f, "\n{what}, {}: {text}", row.id)?;
                }
            }
        }
        for Finished { row, outcome, .. } in &self.results {
            for failure in &outcome.failures {
                let replay = self.options.replay(row.id, failure.case.as_deref());
                writeln!(f, "\nFAILED {}: {}\n  {replay}", row.id, failure.message)?;
            }
        }
        let cases: u64 = self.results.iter().map(|result| result.outcome.cases).sum();
        writeln!(f, "\n{cases} cases, {} failures", self.failures())
    }
}
