//! What a metrics file has taken and written, as numbers.

use std::path::{Path, PathBuf};
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
    /// How the file is published now.
    pub publishing: Publishing,
    /// Bytes this writer has written so far, copies and footers included.
    pub bytes_written: u64,
    /// How often the whole file was copied: while it is small, once to make its twin, when a reader
    /// held the retired one for too long, and always where it is published by copies.
    pub full_copies: u64,
    /// What was found damaged when the file was opened, and what was done about it.
    pub recovery: Option<Arc<Recovery>>,
    /// The file.
    pub output_path: Arc<Path>,
}

/// How a version of the file is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Publishing {
    /// As a copy that is renamed into place, because the file is small.
    SmallFile,
    /// The file is kept twice, and the two exchange their names: the cost hardly depends on its size.
    Twin,
    /// As a copy that is renamed into place: the cost grows with the file, and the pause between two
    /// publications with it.
    Copies {
        /// Why not otherwise.
        reason: &'static str,
    },
}

/// A file whose end was damaged, by something else than this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// What was wrong with it.
    pub reason: String,
    /// Where it was set aside, whole as it was found.
    pub aside: PathBuf,
    /// Rows of the last version in it that is whole; the file was continued from there.
    pub rows: u64,
    /// Bytes behind that version.
    pub bytes_lost: u64,
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
            last_rejection: None,
            names_turned_away: 0,
            publishing: Publishing::SmallFile,
            bytes_written: 0,
            full_copies: 0,
            recovery: None,
            output_path: output_path.into(),
        }
    }
}
