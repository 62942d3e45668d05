//! The counters of a writer.

use crate::publish::disk::Publishing;
use crate::publish::recovery::Recovery;
use std::path::Path;
use std::sync::Arc;

/// A writer's counters, as of its last round.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterStats {
    /// Rows published by this writer.
    pub rows_written: u64,
    /// Rows in the published file, including those of earlier writers.
    pub file_rows: u64,
    /// Versions of the file published with new rows.
    pub flushes: u64,
    /// Publications that failed; their rows stayed pending.
    pub errors: u64,
    /// Rows received but not published yet.
    pub pending_rows: usize,
    /// Rows rejected because a declared column had no value that fits it.
    pub rejected_rows: u64,
    /// Values that could not be stored, although their rows were: beyond the maximum number of columns
    /// (10 000 besides declared ones), without a name, or set twice. The file counts them by column
    /// ([`Segment::omitted`](crate::Segment::omitted)).
    pub omitted_values: u64,
    /// Why the latest row was rejected, or the latest value omitted.
    pub last_rejection: Option<Arc<str>>,
    /// How the file is published now.
    pub publishing: Publishing,
    /// Bytes that this writer has written so far, including copies and footers.
    pub bytes_written: u64,
    /// How often the whole file was copied: while it is small, once to make its second copy, when a
    /// reader kept the retired copy open for too long, and always where it is published by copies.
    pub full_copies: u64,
    /// What was damaged when the file was opened, and what was done about it.
    pub recovery: Option<Arc<Recovery>>,
    /// The file: where it was when it was last published, if its directory has been renamed.
    pub output_path: Arc<Path>,
}

/// The statistics of a writer that has no file yet.
impl Default for WriterStats {
    fn default() -> Self {
        Self::new(Path::new(""), 0)
    }
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
            omitted_values: 0,
            last_rejection: None,
            publishing: Publishing::SmallFile,
            bytes_written: 0,
            full_copies: 0,
            recovery: None,
            output_path: output_path.into(),
        }
    }
}
