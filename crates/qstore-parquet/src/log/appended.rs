//! What became of a row that was appended.

use std::sync::Arc;

/// What became of a row that was appended.
///
/// ```
/// use qstore_parquet::{Appended, MetricsLog, WriterSettings};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
/// let appended = log.append(&Row::from([("loss", 0.5)]), Instant::now());
/// assert_eq!(appended, Appended::Whole);
/// # log.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Appended {
    /// The whole row is pending.
    Whole,
    /// The row is pending without some of its values, for this reason.
    Incomplete(Arc<str>),
    /// The row was not stored, for this reason.
    Rejected(Arc<str>),
}
