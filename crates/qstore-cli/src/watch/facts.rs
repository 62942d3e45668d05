//! What is known of a run at a moment, apart from its curves.

use qstore_run::RunState;
use std::time::Duration;

/// A run at a moment. Names are as the files have them; they are escaped where they are drawn.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// The name of its directory.
    pub name: String,
    /// What has become of it; nothing for a metrics file without a run.
    pub state: Option<RunState>,
    /// How that is known.
    pub reason: String,
    /// The number of its last attempt.
    pub attempt: Option<u64>,
    /// Rows in the file.
    pub rows: u64,
    /// The last step.
    pub step: Option<i64>,
    /// The last epoch.
    pub epoch: Option<i64>,
    /// The steps that there will be, if a parameter or the caller says it.
    pub total: Option<i64>,
    /// How long the last attempt takes, or took.
    pub elapsed: Option<Duration>,
    /// How long ago the last row was logged.
    pub silent: Option<Duration>,
    /// Rows a second, in the last minute of rows.
    pub rows_per_s: Option<f64>,
    /// The time until the last step, at this rate.
    pub left: Option<Duration>,
    /// What is not in the file, by what became of it.
    pub losses: Vec<(&'static str, u64)>,
    /// Rows that a resumed attempt has replaced.
    pub superseded: u64,
    /// What the numbers of checkpoints count.
    pub counter: &'static str,
    /// The checkpoints, the newest save first.
    pub kept: Vec<KeptLine>,
    /// The last measurement of the system, by column.
    pub system: Vec<(String, f64)>,
    /// The columns that can be drawn: what the run is judged by first.
    pub columns: Vec<String>,
    /// The same of the measurements of the system.
    pub system_columns: Vec<String>,
    /// What could not be read, and why.
    pub problems: Vec<String>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KeptLine {
    /// Its epoch or step.
    pub number: u64,
    /// How old it is; nothing if it cannot be read.
    pub age: Option<Duration>,
    /// What it takes on the disk.
    pub bytes: u64,
    /// Whether the rules of the run keep it.
    pub keep: bool,
    /// Which rule does, or why it cannot be read.
    pub reason: String,
}

/// A run in the list of runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunLine {
    /// Its name.
    pub name: String,
    /// What has become of it, as far as it was looked at.
    pub state: Option<RunState>,
    /// Rows in its file.
    pub rows: u64,
    /// The last step.
    pub step: Option<i64>,
    /// What it is judged by, and the best value.
    pub best: Option<(String, f64)>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}
