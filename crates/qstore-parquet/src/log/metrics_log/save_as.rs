//! Writes the rows of a log as a new file elsewhere: the way out when its own place was taken.
//!
//! The log itself is not changed: what waits is still published once the place is free.

use super::MetricsLog;
use crate::error::{ReadError, WriteError};
use crate::format::encoded_group::EncodedGroups;
use crate::format::footer;
use crate::format::published::Published;
use crate::format::read_failure::contain;
use crate::log::stack::{Plan, Stack};
use crate::publish::layout::{Layout, Version};
use crate::publish::layout_error::LayoutError;
use crate::publish::space::Space;
use crate::read::reader::MetricsFile;
use bytes::Bytes;
use qstore_schema::Record;
use qstore_storage::{EntryKind, Error as StorageError, FileSystem, Operation, Replacement};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number of bytes that are copied at a time.
const BLOCK: u64 = 1 << 20;

impl<R: Record> MetricsLog<R> {
    /// Writes the whole log as a new Parquet file: every row of the file as it was published last, wherever
    /// that is now, and every row that was appended since. Returns the number of rows in it.
    ///
    /// It is meant for a log that cannot publish any longer, because its directory was removed
    /// ([`WriteError::DirectoryRemoved`]) or something else has its name ([`WriteError::Occupied`]). The log
    /// is not changed; what waits is still published once its place is free.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriteError, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (run, rescued) = (dir.path().join("run"), dir.path().join("rescued.parquet"));
    /// # std::fs::create_dir(&run)?;
    /// let mut log = MetricsLog::<Row>::open(run.join("metrics.parquet"), WriterSettings::default())?;
    /// log.append(&Row::from([("loss", 0.5)]), Instant::now());
    /// log.flush()?;
    /// std::fs::remove_dir_all(&run)?;
    ///
    /// log.append(&Row::from([("loss", 0.4)]), Instant::now());
    /// assert!(matches!(log.flush(), Err(WriteError::DirectoryRemoved { waiting: 1, .. })));
    /// assert_eq!(log.save_as(&rescued)?, 2);
    /// assert_eq!(MetricsFile::open(&rescued)?.rows(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A [`WriteError::Storage`] of the kind `AlreadyExists` when anything has that name; nothing is ever
    /// replaced. [`WriteError::Damaged`] when the published rows have been changed by another program: try
    /// [`save_pending_as`](Self::save_pending_as).
    pub fn save_as(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        let plan = self.stack.plan_seal(self.pending, self.full(), true);
        let version = Version {
            kept: self.stored_groups,
            joined: None,
            shape: self.shape(),
            keys: self.keys(self.pending, false),
            coding: self.coding,
            closes: true,
        };
        self.write_new(path.as_ref(), &version, self.published.as_deref(), &plan)
    }

    /// As [`save_as`](Self::save_as), but only the rows that are in no published version. If there are none,
    /// nothing is written.
    ///
    /// # Errors
    /// As [`save_as`](Self::save_as).
    pub fn save_pending_as(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        if self.pending == 0 {
            return Ok(0);
        }
        let plan = Stack::default().plan_seal(self.pending, self.full(), true);
        let version = Version {
            kept: 0,
            joined: None,
            shape: self.shape(),
            // The accounts are those of the whole log.
            keys: Vec::new(),
            coding: self.coding,
            closes: true,
        };
        self.write_new(path.as_ref(), &version, None, &plan)
    }

    /// Writes the rows of `old` that the version keeps, and the last ones that are held, as planned.
    fn write_new(
        &self,
        path: &Path,
        version: &Version,
        old: Option<&Published>,
        plan: &Plan,
    ) -> Result<u64, WriteError> {
        refuse_existing(&*self.storage, path)?;
        let job = self.encode_job(plan, self.rows.len(), true);
        let encoded = job.run()?;
        let layout = packed(version, old, &encoded).map_err(|error| error.at(path))?;
        let end = footer::encode(&layout.groups, &version.shape, &version.keys);
        write(&self.storage, path, &layout, end, old)
    }
}

/// Everything back to back, as in a closed file.
fn packed(
    version: &Version,
    old: Option<&Published>,
    encoded: &EncodedGroups,
) -> Result<Layout, LayoutError> {
    let now = Instant::now();
    let space = Space::new(Duration::ZERO, &[], 0, now);
    let patches = contain(|| version.patches(old))?;
    contain(|| version.lay_out(old, encoded, &patches, (&space, now), false))
}

/// A piece of the new file.
enum Piece {
    New(Bytes),
    Old(Range<u64>),
}

/// Writes the file under a temporary name, checks all of it, and gives it its name if nothing has that.
fn write(
    storage: &Arc<dyn FileSystem>,
    path: &Path,
    layout: &Layout,
    end: Vec<u8>,
    old: Option<&Published>,
) -> Result<u64, WriteError> {
    let moves = layout.moves.iter().map(|one| (one.to, Piece::Old(one.from.clone())));
    let writes = layout.writes.iter().map(|(at, bytes)| (*at, Piece::New(bytes.clone())));
    let mut pieces: Vec<_> = moves.chain(writes).collect();
    pieces.push((layout.data_end, Piece::New(end.into())));
    pieces.sort_by_key(|(at, _)| *at);

    let mut staged = Replacement::of(storage, path)?;
    let mut block = Vec::new();
    for (at, piece) in pieces {
        debug_assert_eq!(at, staged.len(), "the pieces are back to back");
        match (piece, old) {
            (Piece::New(bytes), _) => staged.append(&bytes)?,
            (Piece::Old(range), Some(old)) => append(&mut staged, old, range, &mut block)?,
            (Piece::Old(_), None) => unreachable!("without a published file nothing is moved"),
        }
    }
    check(storage, path, staged.temporary())?;
    staged.commit_new()?;
    Ok(layout.groups.iter().map(|group| group.rows() as u64).sum())
}

fn append(
    staged: &mut Replacement,
    old: &Published,
    range: Range<u64>,
    block: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let mut start = range.start;
    while start < range.end {
        block.resize((range.end - start).min(BLOCK) as usize, 0);
        old.file.read_at(start, block)?;
        staged.append(block)?;
        start += block.len() as u64;
    }
    Ok(())
}

/// What was published may have been changed under the writer's hands: that must not pass for a rescued row.
fn check(storage: &Arc<dyn FileSystem>, path: &Path, temporary: &Path) -> Result<(), WriteError> {
    let damaged = |reason: String| WriteError::Damaged { path: path.to_path_buf(), reason };
    let read = MetricsFile::open_in(Arc::clone(storage), temporary);
    let validation = read.and_then(|file| file.validate());
    // mutant: saved_rows_not_checked
    match validation {
        Ok(validation) if !validation.is_damaged() => Ok(()),
        Ok(_) => Err(damaged("the rows that were published have been changed".into())),
        Err(ReadError::Storage(error)) => Err(error.into()),
        Err(error) => Err(damaged(error.to_string())),
    }
}

fn refuse_existing(storage: &dyn FileSystem, path: &Path) -> Result<(), WriteError> {
    let reason = match storage.metadata(path)?.map(|found| found.kind) {
        None => return Ok(()),
        Some(EntryKind::Dir) => ErrorKind::IsADirectory,
        Some(_) => ErrorKind::AlreadyExists,
    };
    Err(StorageError::new(Operation::Create, path, reason.into()).into())
}
