//! `run.json`: what a run is, and what became of each of its attempts.
//!
//! The types here are the format, version 1. Fields that they do not know are kept when the file is rewritten, at
//! every level.

use crate::utc_time::UtcTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The format's name, in every file.
pub(crate) const FORMAT: &str = "qstore-run";
/// The version that is written, and the latest that is read.
pub(crate) const VERSION: u64 = 1;

/// The contents of `run.json`.
///
/// ```
/// use qstore_run::RunFile;
///
/// let text = r#"{"format":"qstore-run","version":1,"id":"7","name":"run_001",
///     "created":"2026-11-30T08:04:58Z","params":{"lr":0.1},"later":[1]}"#;
/// let run: RunFile = serde_json::from_str(text)?;
/// assert_eq!((run.name.as_str(), &run.params["lr"]), ("run_001", &0.1.into()));
/// assert_eq!(run.other["later"][0], 1, "what this version does not know is kept");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunFile {
    /// Always `qstore-run`.
    pub format: String,
    /// The version of the format.
    pub version: u64,
    /// A UUID of version 7, which no other run has; a copy of the run has the same.
    pub id: String,
    /// The name it was created with, which its directory need not have anymore.
    pub name: String,
    /// What it belongs to, if that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// When it was created.
    pub created: UtcTime,
    /// The parameters of the training: dotted names, and numbers, texts, flags or null.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// What decides its random choices, if that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What it is judged by, if that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<RunGoal>,
    /// One entry for each time that it was started, in order.
    #[serde(default)]
    pub attempts: Vec<RunAttempt>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a run is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunGoal {
    /// The column.
    pub metric: String,
    /// Whether small values of it are good, or large ones.
    pub direction: Direction,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Which values of a metric are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Small ones, as of a loss.
    Min,
    /// Large ones, as of an accuracy.
    Max,
}

/// One start of a run, and its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunAttempt {
    /// Its number, counted from 1.
    pub number: u64,
    /// When it began.
    pub started: UtcTime,
    /// When it ended; nothing if it has not, or if it ended without recording its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<UtcTime>,
    /// How it ended; nothing as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The checkpoint that it went on from; nothing for a start from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RunOrigin>,
    /// The first row of the metrics file before this attempt that does not count anymore; nothing for the first
    /// attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_row: Option<u64>,
    /// The name of the machine or container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The random number that the machine had since its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The number of the process.
    pub pid: u32,
    /// The device and the number of the file by which a probe sees the writer's lock; nothing if no probe does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<[u64; 2]>,
    /// The arguments of the process, without secrets.
    #[serde(default)]
    pub argv: Vec<String>,
    /// The directory it was started in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The state of the source code, if it is under git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitState>,
    /// Variables of the environment whose names are on the list of what may be recorded.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The processor's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Parameters that differ from those of the run, or that it did not have.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// Well.
    Finished,
    /// With an error, or dropped without recording its end.
    Failed,
}

/// The checkpoint that an attempt went on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunOrigin {
    /// The attempt that saved it; nothing if it was saved without a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Its epoch, or its step in a directory that counts steps.
    pub number: u64,
    /// The step after which it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
    /// Its position in the sequence of all saves.
    pub save_seq: u64,
    /// How many rows of its attempt had been accepted by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_accepted: Option<u64>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The state of the source code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GitState {
    /// The commit.
    pub commit: String,
    /// The branch; nothing if none is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether tracked files were changed; nothing if that took too long to find out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_dirty: Option<bool>,
    /// The URL of `origin`, without user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl RunFile {
    /// A run without attempts.
    pub(crate) fn new(id: String, name: String, created: UtcTime) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            id,
            name,
            group: None,
            tags: Vec::new(),
            notes: String::new(),
            created,
            params: Map::new(),
            seed: None,
            goal: None,
            attempts: Vec::new(),
            other: Map::new(),
        }
    }

    /// The latest attempt.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&RunAttempt> {
        self.attempts.last()
    }

    /// The attempt of that number.
    #[must_use]
    pub fn attempt(&self, number: u64) -> Option<&RunAttempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    /// A number that no attempt has.
    pub(crate) fn next_attempt(&self) -> u64 {
        self.attempts
            .iter()
            .map(|attempt| attempt.number)
            .max()
            .map_or(1, |last| last.saturating_add(1))
    }
}

impl RunAttempt {
    pub(crate) fn new(number: u64, started: UtcTime, pid: u32) -> Self {
        Self {
            number,
            started,
            ended: None,
            outcome: None,
            error: None,
            from: None,
            cut_row: None,
            host: None,
            boot_id: None,
            pid,
            lock: None,
            argv: Vec::new(),
            cwd: None,
            git: None,
            env: BTreeMap::new(),
            cpu: None,
            params: Map::new(),
            other: Map::new(),
        }
    }
}

impl RunGoal {
    /// Judges by that column.
    #[must_use]
    pub fn new(metric: impl Into<String>, direction: Direction) -> Self {
        Self { metric: metric.into(), direction, other: Map::new() }
    }
}

impl RunOrigin {
    /// Went on from that checkpoint.
    #[must_use]
    pub fn new(number: u64, save_seq: u64) -> Self {
        let (attempt, step, rows_accepted) = (None, None, None);
        Self { attempt, number, step, save_seq, rows_accepted, other: Map::new() }
    }
}

impl Direction {
    /// `min` or `max`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// Whether `value` is better than `other`.
    #[must_use]
    pub fn is_better(self, value: f64, other: f64) -> bool {
        match self {
            Self::Min => value < other,
            Self::Max => value > other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Everything that the format has, and something unknown at every level.
    fn full() -> Value {
        json!({
            "format": "qstore-run", "version": 1, "id": "i", "name": "n", "group": "g",
            "tags": ["a"], "notes": "text", "created": "2026-11-30T08:04:58.000000Z",
            "params": {"lr": 0.1, "layers": 3, "ansatz": "ring", "none": null},
            "seed": u64::MAX, "goal": {"metric": "loss", "direction": "min", "x": 1},
            "attempts": [{
                "number": 1, "started": "2026-11-30T08:04:58.000001Z",
                "ended": "2026-11-30T09:04:58.000000Z", "outcome": "failed", "error": "e",
                "from": {"attempt": 1, "number": 7, "step": -1, "save_seq": 9,
                         "rows_accepted": 5, "x": {"y": [1, "z"]}},
                "cut_row": 5, "host": "h", "boot_id": "b", "pid": 7, "lock": [1, 2],
                "argv": ["a"], "cwd": "/", "env": {"RUST_LOG": "x"}, "cpu": "c",
                "git": {"commit": "c", "branch": "b", "is_dirty": true, "remote": "r",
                        "x": [1]},
                "params": {"lr": 0.2}, "gpus": ["x"],
            }],
            "later": {"version": 2.5, "big": u64::MAX, "list": [null, true]},
        })
    }

    #[test]
    fn every_field_is_read_back_known_or_not() {
        let text = full().to_string();
        let run: RunFile = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(&run).unwrap(), full());
        assert_eq!(run.next_attempt(), 2);
    }

    #[test]
    fn what_may_be_missing_is_empty() {
        let least = json!({
            "format": "qstore-run", "version": 1, "id": "i", "name": "n",
            "created": "2026-11-30T08:04:58Z",
            "attempts": [{"number": 3, "started": "2026-11-30T08:04:58Z", "pid": 1}],
        });
        let run: RunFile = serde_json::from_value(least).unwrap();
        assert!(run.tags.is_empty() && run.other.is_empty() && run.goal.is_none());
        assert_eq!((run.next_attempt(), run.attempts[0].outcome), (4, None));
    }
}
