//! The demo as a child process, as a user runs it.

use crate::program::binary;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A demo that records into a directory of its own.
#[derive(Debug)]
pub struct Demo {
    dir: tempfile::TempDir,
}

/// What the demo wrote down in its journal, in order.
#[derive(Debug, Default)]
pub struct Journal {
    /// Rows and epochs that were about to be logged.
    pub rows: Vec<Value>,
    /// How many of this session's rows were published when it last looked.
    pub written: u64,
    /// Checkpoints that were about to be saved, the latest of an epoch last.
    pub saving: Vec<Value>,
    /// Checkpoints that were durable when it last looked.
    pub durable: Vec<u64>,
}

impl Demo {
    /// A demo that has not run yet.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[allow(clippy::new_without_default)] // it makes a directory, which a default should not
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("there is a temporary directory") }
    }

    /// The run's directory.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// The metrics file.
    pub fn metrics(&self) -> PathBuf {
        self.out().join("metrics.parquet")
    }

    /// The checkpoints' directory.
    pub fn checkpoints(&self) -> PathBuf {
        self.out().join("checkpoints")
    }

    /// Where a session keeps its journal.
    pub fn journal_path(&self, session: usize) -> PathBuf {
        self.dir.path().join(format!("journal-{session}"))
    }

    /// Starts it with these arguments and a journal.
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

    /// Runs it to its end and returns what it printed.
    ///
    /// # Panics
    /// When it fails, with what it says.
    pub fn run(&self, session: usize, arguments: &[&str]) -> String {
        let child = self.spawn(session, arguments);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
        let (said, wrong) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "the demo failed:\n{said}{wrong}");
        said.into_owned()
    }

    /// What a session wrote down.
    ///
    /// # Panics
    /// When the journal is not what the demo writes.
    pub fn journal(&self, session: usize) -> Journal {
        let text = std::fs::read_to_string(self.journal_path(session)).unwrap_or_default();
        let mut journal = Journal::default();
        // A kill can only cut the last line short.
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
