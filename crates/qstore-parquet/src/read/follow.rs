//! Follows a file that another process writes: every row once, in order, as soon as it is published.

use crate::columns::table::Table;
use crate::error::ReadError;
use crate::format::chunk::CHUNK_BYTES_MAX;
use crate::read::history::History;
use crate::read::reader::MetricsFile;
use qstore_storage::{FileSystem, LocalFs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Yields the rows of a metrics file as they are published, each row once and in order.
///
/// It works beside a writer in this process or in another one, across the writer's merges of row
/// groups, the exchange of the file's two inodes, the end of a session and the beginning of the next.
/// It never waits: [`poll`](Self::poll) returns what is there, and how often to ask is up to the
/// caller. A row is visible once it has been flushed, not before.
///
/// It takes no lock and never makes a logging call wait. The file is open only while there are rows
/// left to read in it: poll until `None`, then sleep. A writer that wants to reuse a copy of the file
/// that is still open here waits no longer than copying it would take, and then copies it.
///
/// ```
/// use qstore_parquet::{Follow, MetricsLog, Values, WriterSettings};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut follow = Follow::new(&path).columns(["step"]);
/// assert!(follow.poll()?.is_none(), "the file does not exist yet");
///
/// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
/// for step in 0..6_i64 {
///     log.append(&Row::from([("step", step)]), Instant::now());
///     if step % 2 == 1 {
///         log.flush()?;
///         let table = follow.poll()?.expect("two new rows");
///         let new = vec![Some(step - 1), Some(step)];
///         assert_eq!(table.column("step"), Some(&Values::Int(new)));
///         assert!(follow.poll()?.is_none());
///     }
/// }
/// assert!(!follow.is_closed());
/// log.close()?;
/// assert!(follow.poll()?.is_none(), "the end of a session is not a row");
/// assert!(follow.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # How is this different from [`MetricsFile::refresh`]?
/// A [`MetricsFile`] is one version that stays open, for reading any rows of it in any order. A
/// `Follow` remembers a row number and keeps nothing open while there is nothing new.
#[derive(Debug)]
pub struct Follow {
    storage: Arc<dyn FileSystem>,
    path: PathBuf,
    /// No names mean all columns.
    names: Vec<String>,
    next_row: u64,
    chunk_bytes_max: u64,
    /// The version that was looked at last.
    seen: Option<History>,
    /// That version while there are rows to read in it.
    open: Option<MetricsFile>,
}

impl Follow {
    /// Follows the file at `path` on the machine's file system, from its first row. The file need not
    /// exist yet.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::new_in(Arc::new(LocalFs::new()), path)
    }

    /// As [`new`](Self::new), on any file system.
    pub fn new_in(storage: Arc<dyn FileSystem>, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_path_buf();
        Self {
            storage,
            path,
            names: Vec::new(),
            next_row: 0,
            chunk_bytes_max: CHUNK_BYTES_MAX,
            seen: None,
            open: None,
        }
    }

    /// Yields these columns only. One that is not in the file yet, or that cannot be read
    /// ([`MetricsFile::unreadable`]), is left out of the tables until it can be, since a metric may be
    /// logged for the first time late in a run. Default: all.
    #[must_use]
    pub fn columns(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Goes on with this row, counted from 0; rows before it are not yielded. Default 0.
    #[must_use]
    pub fn since(mut self, row: u64) -> Self {
        self.next_row = row;
        self.open = None;
        self
    }

    /// As [`MetricsFile::chunk_bytes_max`].
    #[must_use]
    pub fn chunk_bytes_max(mut self, bytes: u64) -> Self {
        self.chunk_bytes_max = bytes;
        self.open = None;
        self
    }

    /// The next new rows, a row group or a part of one; `None` if every published row was yielded.
    ///
    /// # Errors
    /// As [`MetricsFile::open`] and [`MetricsFile::read`]. [`ReadError::Replaced`] when another file
    /// has taken the path. After an error the next poll tries the same rows again;
    /// [`since`](Self::since) skips rows that are damaged.
    pub fn poll(&mut self) -> Result<Option<Table>, ReadError> {
        if self.open.is_none() {
            self.open = self.look()?;
        }
        let Some(file) = &self.open else { return Ok(None) };
        let columns = if self.names.is_empty() {
            file.all_columns()
        } else {
            self.names.iter().filter_map(|name| file.find_column(name)).collect()
        };
        let batch = file.batches_of(columns, self.next_row..u64::MAX).next().transpose();
        let rows = batch.as_ref().map_or(0, |batch| batch.as_ref().map_or(0, |table| table.rows));
        // mutant: followed_rows_yielded_again
        self.next_row += rows as u64;
        if batch.is_err() || self.next_row >= file.rows() {
            // Nothing is left to read in it; it is not kept open for what may come.
            self.open = None;
        }
        batch
    }

    /// The number of the row that is yielded next: that of rows yielded or skipped so far.
    pub fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Whether the writer's session had ended cleanly when the last poll looked, and every row of it
    /// was yielded. A later session may go on with the file; then polls yield its rows.
    pub fn is_closed(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is_closed && self.next_row >= seen.rows)
    }

    /// Opens the newest version if there may be rows to read in it.
    fn look(&mut self) -> Result<Option<MetricsFile>, ReadError> {
        // A version whose rows were not all yielded, because of an error, is opened again.
        let known = self.seen.as_ref().filter(|seen| self.next_row >= seen.rows);
        let known = known.map(|seen| seen.fingerprint);
        let newer = match MetricsFile::open_newer(&self.storage, &self.path, known) {
            Ok(Some(newer)) => newer,
            Ok(None) => return Ok(None),
            // No writer has come yet.
            Err(ReadError::Storage(error)) if error.is_not_found() && self.seen.is_none() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let history = newer.history();
        // mutant: follow_goes_on_with_another_file
        if self.seen.as_ref().is_some_and(|seen| !seen.is_continued_by(&history)) {
            return Err(ReadError::Replaced { path: self.path.clone() });
        }
        self.seen = Some(history);
        Ok(Some(newer.chunk_bytes_max(self.chunk_bytes_max)))
    }
}

impl MetricsFile {
    /// Follows this file from its first row; with [`Follow::since`]`(file.rows())`, from what comes
    /// after this version. The file that is open here can be dropped.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// log.append(&Row::from([("loss", 0.5)]), Instant::now());
    /// log.flush()?;
    ///
    /// let file = MetricsFile::open(&path)?;
    /// let mut new = file.follow().since(file.rows());
    /// drop(file);
    /// assert!(new.poll()?.is_none(), "everything there is was in the version that was open");
    ///
    /// log.append(&Row::from([("loss", 0.4)]), Instant::now());
    /// log.flush()?;
    /// let table = new.poll()?.expect("a new row");
    /// assert_eq!((table.first_row, table.rows), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow(&self) -> Follow {
        let mut follow = Follow::new_in(Arc::clone(self.storage()), self.path());
        follow.seen = Some(self.history());
        follow.chunk_bytes_max(self.chunk_bytes_max)
    }
}
