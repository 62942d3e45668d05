//! What one simulated run is to do: a JSON file, the same for contenders in any language.

use crate::Result;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The files that all contenders read.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) workload: PathBuf,
    pub(super) model_bytes: PathBuf,
    pub(super) model_index: PathBuf,
}

impl Files {
    pub(super) fn in_directory(home: &Path) -> Self {
        Self {
            workload: home.join("workload.json"),
            model_bytes: home.join("model"),
            model_index: home.join("model.json"),
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) contender: String,
    /// Where it may write; nothing is there when it starts.
    pub(super) dir: PathBuf,
    pub(super) workload: PathBuf,
    pub(super) model_bytes: PathBuf,
    pub(super) model_index: PathBuf,
    /// Steps a second.
    pub(super) rate: u32,
    pub(super) seconds: f64,
    pub(super) checkpoints: u32,
    /// Where the number of steps stands that have been logged, eight bytes, least first.
    pub(super) progress: PathBuf,
    /// Where the outcome is written at the end.
    pub(super) outcome: PathBuf,
}

impl Plan {
    pub(super) fn new(
        contender: &str,
        dir: &Path,
        files: &Files,
        rate: u32,
        seconds: f64,
        checkpoints: u32,
    ) -> Self {
        Self {
            contender: contender.to_owned(),
            dir: dir.to_owned(),
            workload: files.workload.clone(),
            model_bytes: files.model_bytes.clone(),
            model_index: files.model_index.clone(),
            rate,
            seconds,
            checkpoints,
            progress: dir.join("progress"),
            outcome: dir.join("outcome.json"),
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
    }

    /// Writes the plan into its directory, which is made, and tells where.
    pub(super) fn write(&self) -> Result<PathBuf> {
        fs::create_dir_all(&self.dir)?;
        let path = self.dir.join("plan.json");
        fs::write(&path, serde_json::to_string_pretty(self)?)?;
        Ok(path)
    }

    /// Where the metrics go.
    pub(super) fn metrics(&self) -> PathBuf {
        self.dir.join("metrics")
    }

    /// Where the checkpoints go.
    pub(super) fn checkpoints_dir(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }
}
