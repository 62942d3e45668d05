//! The demo as a child process, as a user runs it.

use crate::program::binary;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A demo that records into its own temporary directory.
#[derive(Debug)]
pub struct Demo {
    dir: tempfile::TempDir,
}

/// What the demo recorded in its journal, in order.
#[derive(Debug, Default)]
pub struct Journal {
    /// Rows and epochs that were about to be logged.
    pub rows: Vec<Value>,
    /// The number of this session's rows that were published when it last checked.
    pub written: u64,
    /// Checkpoints that were about to be saved; the latest of an epoch comes last.
    pub saving: Vec<Value>,
    /// Checkpoints that were durable when it last checked.
    pub durable: Vec<u64>,
}

impl Demo {
    /// A demo that has not run yet.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[allow(clippy::new_without_default)] // it creates a directory, which a default should not
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("there is a temporary directory") }
    }

    /// The directory of the run.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// The metrics file.
    pub fn metrics(&self) -> PathBuf {
        self.out().join("metrics.parquet")
    }

    /// The directory of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.out().join("checkpoints")
    }

    /// The path of a session's journal.
    pub fn journal_path(&self, session: usize) -> PathBuf {
        self.dir.path().join(format!("journal-{session}"))
    }

    /// Starts the demo with these arguments and a journal.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&self, session: usize, arguments: &[&str]) -> Child {
        Command::new(binary("qstore-demo"))
            .arg("--out")
            .arg(self.out())
            .arg("--journal")
            .arg(self.journal_path(session))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo can be started")
    }

    /// Runs the demo to its end and returns its output.
    ///
    /// # Panics
    /// When it fails; the message contains its output.
    pub fn run(&self, session: usize, arguments: &[&str]) -> String {
        let child = self.spawn(session, arguments);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
        let (said, wrong) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "the demo failed:\n{said}{wrong}");
        said.into_owned()
    }

    /// The journal of a session.
    ///
    /// # Panics
    /// When the journal is malformed.
    pub fn journal(&self, session: usize) -> Journal {
        let text = std::fs::read_to_string(self.journal_path(session)).unwrap_or_default();
        let mut journal = Journal::default();
        // A kill can truncate only the last line.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).expect("the journal is JSON");
            if let Some(rows) = line["written"].as_u64() {
                journal.written = rows;
            } else if let Some(epoch) = line["durable"].as_u64() {
                journal.durable.push(epoch);
            } else if line["saving"].is_object() {
                journal.saving.push(line["saving"].clone());
            } else {
                journal.rows.push(line);
            }
        }
        journal
    }
}
