//! The names in the directory of a run.

use qstore_storage::{EntryKind, FileSystem};
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
/// The directory of the checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// Whether the directory is a run.
pub(crate) fn is_run(files: &dyn FileSystem, dir: &Path) -> bool {
    let has = |name: &str| {
        let found = files.metadata(&dir.join(name));
        found.is_ok_and(|found| found.is_some_and(|found| found.kind != EntryKind::Dir))
    };
    has(RUN_JSON) || has(METRICS)
}
