//! What a path is: a run, a metrics file, a directory of checkpoints, one checkpoint, or a directory of runs.
//! The kind is found by looking, never asked for, and nothing is opened for writing.

use crate::failure::Failure;
use qstore_checkpoint::{Counter, Layout};
use qstore_run::PathKind;
use std::fs;
use std::path::{Path, PathBuf};

/// The description of a run.
pub(crate) const RUN_JSON: &str = "run.json";
/// The metrics file of a run.
pub(crate) const METRICS: &str = "metrics.parquet";
/// The directory of a run's checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The ledger of a run's jobs.
pub(crate) const JOBS: &str = "jobs.parquet";

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory with runs in it, or nothing of ours.
    Runs,
    /// A run.
    Run,
    /// A Parquet file.
    Metrics,
    /// A directory of checkpoints.
    Checkpoints,
    /// One checkpoint, a file or a directory.
    Checkpoint,
    /// A safetensors file.
    Safetensors,
    /// The description of a run.
    Description,
    /// A file of another kind.
    Other,
}

impl Kind {
    /// In words for an error.
    #[must_use]
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Runs => "not a run",
            Self::Run => "a run",
            Self::Metrics => "a metrics file",
            Self::Checkpoints => "a directory of checkpoints",
            Self::Checkpoint => "a checkpoint",
            Self::Safetensors => "a safetensors file",
            Self::Description => "the description of a run",
            Self::Other => "a file of another kind",
        }
    }
}

/// A path and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path as it was given.
    pub(crate) path: PathBuf,
    /// What is there.
    pub(crate) kind: Kind,
}

impl Place {
    /// Looks at a path.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is nothing, [`Failure::Read`] if it cannot be looked at.
    pub(crate) fn find(path: &Path) -> Result<Self, Failure> {
        let kind = match PathKind::of(path)? {
            PathKind::Run => Kind::Run,
            PathKind::RunDirectory => Kind::Runs,
            PathKind::MetricsFile => Kind::Metrics,
            PathKind::Checkpoints => Kind::Checkpoints,
            PathKind::Checkpoint => Kind::Checkpoint,
            PathKind::Missing => {
                return Err(Failure::missing(format!("{} does not exist", path.display())));
            }
            _ => kind_by_name(path),
        };
        Ok(Self { path: path.to_path_buf(), kind })
    }

    /// The metrics file that is meant.
    ///
    /// # Errors
    /// [`Failure::WrongKind`]; [`Failure::Missing`] if the run has none yet.
    pub(crate) fn metrics(&self, verb: &'static str) -> Result<PathBuf, Failure> {
        match self.kind {
            Kind::Metrics => Ok(self.path.clone()),
            Kind::Run => {
                let path = self.path.join(METRICS);
                if path.is_file() {
                    return Ok(path);
                }
                let run = self.path.display();
                Err(Failure::missing(format!("{run} has no {METRICS}: no row was logged yet")))
            }
            _ => Err(self.refused(verb, "a run or a metrics file")),
        }
    }

    /// The ledger of jobs that is meant.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub(crate) fn jobs(&self, verb: &'static str) -> Result<PathBuf, Failure> {
        let ledger = self.path.join(JOBS);
        match self.kind {
            Kind::Metrics => Ok(self.path.clone()),
            Kind::Run | Kind::Runs if ledger.is_file() => Ok(ledger),
            Kind::Run => {
                let run = self.path.display();
                Err(Failure::missing(format!("{run} has no {JOBS}: it has sent no jobs")))
            }
            _ => Err(self.refused(verb, "a run or a ledger of jobs")),
        }
    }

    /// The directory of checkpoints that is meant.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub(crate) fn checkpoints(&self, verb: &'static str) -> Result<PathBuf, Failure> {
        match self.kind {
            Kind::Checkpoints => Ok(self.path.clone()),
            Kind::Run => {
                let path = self.path.join(CHECKPOINTS);
                if path.is_dir() {
                    return Ok(path);
                }
                Err(Failure::missing(format!("{} has no checkpoints", self.path.display())))
            }
            _ => Err(self.refused(verb, "a run or a directory of checkpoints")),
        }
    }

    /// The error for a path that the verb does not take.
    #[must_use]
    pub(crate) fn refused(&self, verb: &'static str, wanted: &'static str) -> Failure {
        Failure::WrongKind { path: self.path.clone(), found: self.kind.describe(), verb, wanted }
    }
}

/// A damaged file is still the file that its name says.
fn kind_by_name(path: &Path) -> Kind {
    if path.is_dir() {
        return if path.join("zarr.json").is_file() { Kind::Checkpoint } else { Kind::Runs };
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match () {
        () if !path.is_file() => Kind::Other,
        () if name.ends_with(".parquet") => Kind::Metrics,
        () if name.ends_with(".zarr.zip") => Kind::Checkpoint,
        () if name.ends_with(".safetensors") => Kind::Safetensors,
        () => Kind::Other,
    }
}

/// Whether the library would give this name to a checkpoint.
#[must_use]
pub(crate) fn is_checkpoint_name(name: &str) -> bool {
    Counter::ALL.iter().any(|counter| {
        [Layout::SingleFile, Layout::Directory]
            .iter()
            .any(|layout| counter.checkpoint_named(name, *layout).is_some())
    })
}

/// What the checkpoints of a directory count: `epoch` or `step`.
#[must_use]
pub(crate) fn counter_of(dir: &Path) -> &'static str {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_step = |name: String| {
        let has = |layout| Counter::Step.checkpoint_named(&name, layout).is_some();
        has(Layout::SingleFile) || has(Layout::Directory)
    };
    if names.any(is_step) { "step" } else { "epoch" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_found_by_looking() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let kind = |name: &str| Place::find(&dir.join(name)).unwrap().kind;
        for name in ["runs/a", "runs/b/checkpoints/epoch_0001", "runs/c/checkpoints", "steps"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        for (name, bytes) in [
            ("runs/a/metrics.parquet", &b"PAR1"[..]),
            ("runs/b/checkpoints/epoch_0001/zarr.json", b"{}"),
            ("runs/b/checkpoints/.qstore.json", b"{}"),
            ("steps/step_00000001.zarr.zip", b"PK\x03\x04"),
            ("copy", b"PAR1..."),
            ("damaged.parquet", b"x"),
            ("damaged.zarr.zip", b""),
            ("model.safetensors", b""),
            ("notes.txt", b"PAR"),
        ] {
            fs::write(dir.join(name), bytes).unwrap();
        }
        assert_eq!(kind("runs"), Kind::Runs);
        assert_eq!(kind("runs/a"), Kind::Run);
        assert_eq!(kind("runs/a/metrics.parquet"), Kind::Metrics);
        assert_eq!(kind("runs/b"), Kind::Run);
        assert_eq!(kind("runs/b/checkpoints"), Kind::Checkpoints);
        assert_eq!(kind("runs/b/checkpoints/epoch_0001"), Kind::Checkpoint);
        assert_eq!(kind("runs/c"), Kind::Runs);
        assert_eq!(kind("steps"), Kind::Checkpoints);
        assert_eq!(kind("steps/step_00000001.zarr.zip"), Kind::Checkpoint);
        assert_eq!(kind("copy"), Kind::Metrics);
        assert_eq!(kind("damaged.parquet"), Kind::Metrics);
        assert_eq!(kind("damaged.zarr.zip"), Kind::Checkpoint);
        assert_eq!(kind("model.safetensors"), Kind::Safetensors);
        assert_eq!(kind("notes.txt"), Kind::Other);
        assert!(matches!(Place::find(&dir.join("none")), Err(Failure::Missing { .. })));
    }
}
