//! What a metrics file has taken and written, as numbers.

use std::path::Path;
use std::sync::Arc;

/// A writer's counters, as of its last round.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterStats {
    /// Rows published by this writer.
    pub rows_written: u64,
    /// Rows in the published file, those of earlier writers included.
    pub file_rows: u64,
    /// Versions of the file published with new rows.
    pub flushes: u64,
    /// Publications that failed; what they were to publish stayed pending.
    pub errors: u64,
    /// Rows received and not published yet.
    pub pending_rows: usize,
    /// Rows rejected because one of their values did not fit its column.
    pub rejected_rows: u64,
    /// Why the latest of them was rejected.
    pub last_rejection: Option<Arc<str>>,
    /// Values left out because the file already has as many columns as it may.
    pub names_turned_away: u64,
    /// The file.
    pub output_path: Arc<Path>,
}

impl WriterStats {
    pub(crate) fn new(output_path: &Path, file_rows: u64) -> Self {
        Self {
            rows_written: 0,
            file_rows,
            flushes: 0,
            errors: 0,
            pending_rows: 0,
            rejected_rows: 0,
            last_rejection: None,
            names_turned_away: 0,
            output_path: output_path.into(),
        }
    }
}
