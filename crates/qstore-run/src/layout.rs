//! The names in the directory of a run.

use qstore_storage::{EntryKind, FileSystem, Result};
use std::path::Path;

/// What the run is, and what became of each attempt.
pub(crate) const RUN_JSON: &str = "run.json";
/// Held while `run.json` is changed.
pub(crate) const RUN_JSON_LOCK: &str = ".run.json.lock";
/// Held by the writer of the run.
pub(crate) const RUN_LOCK: &str = ".run.lock";
/// The rows of all attempts.
pub(crate) const METRICS: &str = "metrics.parquet";
/// What the process and the machine use.
pub(crate) const SYSTEM_METRICS: &str = "system.parquet";
/// The jobs of all attempts on quantum computers.
pub(crate) const JOBS: &str = "jobs.parquet";
/// The directory of the checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// Whether the directory is a run: it has a `run.json`, a metrics file, or checkpoints under their name, as a run has
/// that was killed before its first row or that was begun without this crate.
///
/// # Errors
/// If that cannot be seen. What cannot be seen may be a run, and must not be started again from scratch.
pub(crate) fn is_run(files: &dyn FileSystem, dir: &Path) -> Result<bool> {
    if !files.metadata(dir)?.is_some_and(|found| found.kind != EntryKind::File) {
        return Ok(false);
    }
    for name in [RUN_JSON, METRICS] {
        let found = files.metadata(&dir.join(name))?;
        if found.is_some_and(|found| found.kind != EntryKind::Dir) {
            return Ok(true);
        }
    }
    let checkpoints = dir.join(CHECKPOINTS);
    // A link counts as what it leads to.
    if !files.metadata(&checkpoints)?.is_some_and(|found| found.kind != EntryKind::File) {
        return Ok(false);
    }
    match files.list(&checkpoints) {
        Err(error) if error.is_not_found() => Ok(false),
        listed => {
            let listed = listed?;
            Ok(holds_checkpoints(listed.iter().filter_map(|entry| entry.name.to_str())))
        }
    }
}

/// Whether a directory with these names is one of checkpoints.
pub(crate) fn holds_checkpoints<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    let is_numbered = |name: &str| name.starts_with("epoch_") || name.starts_with("step_");
    names.any(|name| name == ".qstore.json" || is_numbered(name) && name.ends_with(".zarr.zip"))
}
