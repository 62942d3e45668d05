//! What opening a damaged file for writing would rescue, found without writing anything.

use crate::error::ReadError;
use crate::format::footer;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::ReadFailure;
use crate::publish::recovery::last_whole;
use qstore_storage::{FileSystem, LocalFs};
use std::path::Path;
use std::sync::Arc;

/// The last whole version in a file whose end was damaged by another program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rescue {
    /// What is wrong with the file.
    pub reason: String,
    /// The number of rows in that version.
    pub rows: u64,
    /// The number of bytes after it.
    pub bytes_lost: u64,
}

/// Looks for the version that [`MetricsLog::open`](crate::MetricsLog::open) would continue from if the end of the
/// file is damaged. `None` if the end is whole: then there is nothing to rescue, whatever the values are. Nothing is
/// written.
///
/// ```
/// use qstore_parquet::{MetricsLog, WriterSettings, recoverable};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
/// log.append(&Row::from([("loss", 0.5)]), Instant::now());
/// log.close()?;
/// assert_eq!(recoverable(&path)?, None);
///
/// let mut bytes = std::fs::read(&path)?;
/// bytes.extend(b"appended by mistake");
/// std::fs::write(&path, &bytes)?;
/// let rescue = recoverable(&path)?.expect("the version before");
/// assert_eq!((rescue.rows, rescue.bytes_lost), (1, 19));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ReadError::Damaged`] if there is no whole version in the file; [`ReadError::Unsupported`] for a file of a later
/// edition, which may be whole; [`ReadError::Storage`].
pub fn recoverable(path: impl AsRef<Path>) -> Result<Option<Rescue>, ReadError> {
    let path = path.as_ref();
    let file = LocalFs::new().open(path)?;
    let reader = ReadAt::new(Arc::from(file))?;
    let reason = match footer::read(&reader) {
        Ok(_) => return Ok(None),
        Err(ReadFailure::Damaged(reason)) => reason,
        Err(failure) => return Err(failure.of_file(path)),
    };
    match last_whole(&reader).map_err(|failure| failure.of_file(path))? {
        Some((footer, end)) => {
            let rows = footer.metadata.file_metadata().num_rows() as u64;
            Ok(Some(Rescue { reason, rows, bytes_lost: reader.len() - end }))
        }
        None => Err(ReadFailure::damaged(reason).of_file(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_whole_cannot_be_rescued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.parquet");
        for bytes in [&b""[..], b"PAR1", b"PAR1 and no footer PAR1"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(recoverable(&path), Err(ReadError::Damaged { .. })), "{bytes:?}");
        }
        let missing = recoverable(dir.path().join("none"));
        assert!(matches!(missing, Err(ReadError::Storage(error)) if error.is_not_found()));
    }
}
