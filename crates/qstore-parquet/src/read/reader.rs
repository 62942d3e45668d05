//! A reader of metrics files for Rust programs, which checks what it reads.
//!
//! It opens the path once and keeps that version, while a writer may go on; `refresh` moves it to the
//! newest version. What it returns has agreed with its checksum, if the file has any: damage is an
//! error, never a wrong value. It takes no lock and writes nothing.

use crate::columns::table::{Table, TableColumn, Values};
use crate::columns::time_type::TimeType;
use crate::error::ReadError;
use crate::format::audit::Audit;
use crate::format::chunk::CHUNK_BYTES_MAX;
use crate::format::footer::{Fingerprint, Sealed};
use crate::format::published::Published;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::{ReadFailure, contain};
use crate::read::history::History;
use qstore_schema::Field;
use qstore_storage::{FileHandle, FileSystem, LocalFs};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One version of a metrics file, open for reading.
///
/// What it shows never changes, whatever the writer does, until [`refresh`](Self::refresh) moves it to
/// the newest version. Reading takes no lock and never makes a logging call wait. A writer that finds
/// this version still open when it wants to reuse that copy of the file waits no longer than copying
/// the file would take, and then copies it once; so close what you no longer read, or use
/// [`follow`](Self::follow), which keeps nothing open while there is nothing new.
///
/// ```
/// use qstore_parquet::{MetricsFile, MetricsLog, Values, WriterSettings};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
/// for step in 0..100_i64 {
///     log.append(&Row::from([("step", step)]), Instant::now());
/// }
/// log.close()?;
///
/// let file = MetricsFile::open(&path)?;
/// let table = file.read(&["step"], 10..13)?;
/// assert_eq!(table.column("step"), Some(&Values::Int(vec![Some(10), Some(11), Some(12)])));
/// assert!(file.audit().is_some_and(|audit| audit.closed && audit.segments[0].written == 100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # How is this different from a general Parquet reader?
/// Any Parquet reader can read the file. This one also compares every chunk with the checksum in the
/// footer, so that a bit that flipped on the disk is an error; it allocates nothing that a malformed
/// file merely claims; and it knows what the writer recorded about its sessions ([`Audit`]).
pub struct MetricsFile {
    storage: Arc<dyn FileSystem>,
    path: PathBuf,
    pub(crate) published: Published,
    /// The columns that can be read.
    fields: Vec<Field>,
    pub(crate) chunk_bytes_max: u64,
    audit: Option<Audit>,
    len: u64,
    fingerprint: Fingerprint,
}

impl MetricsFile {
    /// Opens a file on the machine's file system.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when there is none or it cannot be read, [`ReadError::Damaged`] when it
    /// is not a valid Parquet file, [`ReadError::Unsupported`] when it is encrypted, of a later edition,
    /// or has more rows than this reader takes. A column that cannot be read is not an error here, see
    /// [`unreadable`](Self::unreadable).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::open_in(Arc::new(LocalFs::new()), path)
    }

    /// As [`open`](Self::open), on any file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        storage: Arc<dyn FileSystem>,
        path: impl AsRef<Path>,
    ) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let (reader, file) = open(&*storage, path)?;
        let footer = Sealed::read(&reader).map_err(|failure| failure.of_file(path))?;
        Self::of(storage, path, &reader, file, footer)
    }

    /// The newest version of the file at `path`, if its fingerprint is not the one that is `known`.
    pub(crate) fn open_newer(
        storage: &Arc<dyn FileSystem>,
        path: &Path,
        known: Option<Fingerprint>,
    ) -> Result<Option<Self>, ReadError> {
        let (reader, file) = open(&**storage, path)?;
        let footer = Sealed::read(&reader).map_err(|failure| failure.of_file(path))?;
        if Some(footer.fingerprint()) == known {
            return Ok(None);
        }
        Self::of(Arc::clone(storage), path, &reader, file, footer).map(Some)
    }

    fn of(
        storage: Arc<dyn FileSystem>,
        path: &Path,
        reader: &ReadAt,
        file: Arc<dyn FileHandle>,
        footer: Sealed,
    ) -> Result<Self, ReadError> {
        let fingerprint = footer.fingerprint();
        let footer = footer.decode().map_err(|failure| failure.of_file(path))?;
        let published = contain(|| Ok(Published::found(file, None, footer)))
            .map_err(|failure: ReadFailure| failure.of_file(path))?;
        let leaves = published.shape.leaves.iter();
        let readable = leaves.filter(|leaf| leaf.reading.is_ok());
        let fields = readable.map(|leaf| leaf.field.clone()).collect();
        Ok(Self {
            storage,
            path: path.to_path_buf(),
            audit: Audit::read(&published.keys),
            published,
            fields,
            chunk_bytes_max: CHUNK_BYTES_MAX,
            len: reader.len(),
            fingerprint,
        })
    }

    /// Takes column chunks of at most this many bytes when they are decompressed; a larger one is
    /// [`ReadError::Unsupported`]. Only texts and lists can be large, since all other values are bounded by
    /// the number of rows; an element of a list counts 16 bytes. Memory grows with what really is in the file, not with what it claims. Default:
    /// 2 GiB, twice a full row group with 16 KiB of text in each row.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, ReadError, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// log.append(&Row::from([("note", "x".repeat(1_000_000))]), Instant::now());
    /// log.close()?;
    ///
    /// let file = MetricsFile::open(&path)?.chunk_bytes_max(500_000);
    /// assert!(matches!(file.read(&["note"], 0..1), Err(ReadError::Unsupported { .. })));
    /// assert_eq!(file.chunk_bytes_max(2_000_000).read(&["note"], 0..1)?.rows, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn chunk_bytes_max(mut self, bytes: u64) -> Self {
        self.chunk_bytes_max = bytes;
        self
    }

    /// Moves to the newest version of the file. `None` if this still is the newest; otherwise the rows
    /// that were not in the version before, which is an empty range when the writer has only merged
    /// row groups or closed the file.
    ///
    /// Only the footer is read, and it is decoded only if it has changed. The rows seen so far keep
    /// their numbers and their values (a column of integers may have become one of floats). Row groups
    /// may have been merged, and the file may be another inode: both are invisible here.
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
    /// let mut file = MetricsFile::open(&path)?;
    /// assert_eq!(file.refresh()?, None, "this is the newest version");
    ///
    /// log.append(&Row::from([("loss", 0.4)]), Instant::now());
    /// log.flush()?;
    /// assert_eq!(file.rows(), 1, "an open version does not change by itself");
    /// assert_eq!(file.refresh()?, Some(1..2));
    /// assert_eq!(file.rows(), 2);
    ///
    /// log.close()?;
    /// assert_eq!(file.refresh()?, Some(2..2), "no new row, but the session has ended");
    /// assert!(file.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ReadError::Replaced`] when another file has taken the path. This
    /// version stays open then and can be read further.
    pub fn refresh(&mut self) -> Result<Option<Range<u64>>, ReadError> {
        let newer = Self::open_newer(&self.storage, &self.path, Some(self.fingerprint))?;
        let Some(newer) = newer else { return Ok(None) };
        if !self.history().is_continued_by(&newer.history()) {
            return Err(ReadError::Replaced { path: self.path.clone() });
        }
        let rows = self.rows()..newer.rows();
        *self = newer.chunk_bytes_max(self.chunk_bytes_max);
        Ok(Some(rows))
    }

    /// The columns that can be read, in file order. In a file of ours that is all of them.
    ///
    /// Columns of other writers are read if their values are exact in one of these types: integers of any
    /// size, signed or not, floats of 16 to 64 bits, flags, texts, lists of floats, and dates and times as
    /// integers (see [`time_type`](Self::time_type)).
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The columns that cannot be read, by name, and why: structs, decimals, binary data, and others
    /// that no metrics file has. Only other writers store them. Reading one of them by name, or all columns
    /// by giving no name, is [`ReadError::Unsupported`].
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        let leaves = self.published.shape.leaves.iter();
        leaves.filter_map(|leaf| Some((&*leaf.field.name, leaf.reading.as_ref().err()?.as_str())))
    }

    /// What the integers in the column of that name count, if it is one of dates or times. Points in time
    /// are also [`DataType::Timestamp`](qstore_schema::DataType::Timestamp) in [`fields`](Self::fields).
    pub fn time_type(&self, name: &str) -> Option<TimeType> {
        let shape = &self.published.shape;
        shape.leaves[shape.find(name)?].time
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.published.rows()
    }

    /// The number of row groups they are in.
    pub fn row_groups(&self) -> usize {
        self.published.groups.len()
    }

    /// The length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// Whether the last session ended cleanly. `false` while a writer has the file open, after a
    /// writer was killed, and for a file of another program. A later session opens it again.
    pub fn is_closed(&self) -> bool {
        self.audit.as_ref().is_some_and(|audit| audit.closed)
    }

    /// What the file records about the sessions that wrote it; `None` if another program wrote it.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// Reads some columns of some rows. Rows beyond the last are left out; no names mean all columns.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// # let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// # for step in 0..10_i64 {
    /// #     log.append(&Row::from([("loss", step as f64)]), Instant::now());
    /// # }
    /// # log.close()?;
    /// let file = MetricsFile::open(&path)?;
    /// let last = file.read(&["loss"], file.rows().saturating_sub(3)..u64::MAX)?;
    /// assert_eq!((last.first_row, last.rows), (7, 3));
    /// assert!(file.read(&["Loss"], 0..1).is_err(), "names are case-sensitive");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReadError::UnknownColumn`]; [`ReadError::Damaged`] or [`ReadError::Unsupported`] with the column
    /// and the rows; [`ReadError::Storage`] when the disk fails.
    pub fn read(&self, names: &[&str], rows: Range<u64>) -> Result<Table, ReadError> {
        let batches = self.batches(names, rows)?;
        let columns = batches.columns.iter().map(|column| {
            let field = self.published.shape.fields[*column].clone();
            let values = Values::empty(field.data_type);
            TableColumn { field, values }
        });
        let mut all = Table { first_row: batches.rows.start, rows: 0, columns: columns.collect() };
        for batch in batches {
            all.append(batch?);
        }
        Ok(all)
    }

    /// The same rows in pieces of up to 65 536, and of a row group or less, so that no more than that is in
    /// memory.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let settings = WriterSettings::default().row_group_rows_max(40);
    /// let mut log = MetricsLog::<Row>::open(&path, settings)?;
    /// for step in 0..100_i64 {
    ///     log.append(&Row::from([("step", step)]), Instant::now());
    /// }
    /// log.close()?;
    ///
    /// let file = MetricsFile::open(&path)?;
    /// let sizes: Result<Vec<_>, _> =
    ///     file.batches(&["step"], 0..90)?.map(|batch| batch.map(|table| table.rows)).collect();
    /// assert_eq!(sizes?, [40, 40, 10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReadError::UnknownColumn`]; damage and failures of the disk come with the piece they are in.
    pub fn batches(&self, names: &[&str], rows: Range<u64>) -> Result<Batches<'_>, ReadError> {
        let columns = if names.is_empty() {
            if let Some((_, reason)) = self.unreadable().next() {
                let reason = format!("{reason}; name the columns to read");
                return Err(ReadError::Unsupported { path: self.path.clone(), reason });
            }
            self.all_columns()
        } else {
            names.iter().map(|name| self.column(name)).collect::<Result<_, _>>()?
        };
        Ok(self.batches_of(columns, rows))
    }

    /// The number of the column of that name, which can be read.
    pub(crate) fn column(&self, name: &str) -> Result<usize, ReadError> {
        if let Some(column) = self.find_column(name) {
            return Ok(column);
        }
        let path = self.path.clone();
        // A nested column has its parts below its own name.
        let has_name = |found: &str| {
            found == name || found.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
        };
        let found = self.unreadable().find(|(found, _)| has_name(found));
        Err(match found {
            Some((_, reason)) => ReadError::Unsupported { path, reason: reason.to_owned() },
            None => ReadError::UnknownColumn { path, name: name.to_owned() },
        })
    }

    /// The number of the column of that name, if there is one that can be read.
    pub(crate) fn find_column(&self, name: &str) -> Option<usize> {
        let shape = &self.published.shape;
        shape.find(name).filter(|column| shape.leaves[*column].reading.is_ok())
    }

    /// The numbers of all columns, including those that cannot be read.
    pub(crate) fn all_columns(&self) -> Vec<usize> {
        (0..self.published.shape.leaves.len()).collect()
    }

    /// The rows from number `row` on, in pieces, with all columns: what is new to a reader that has
    /// seen the rows before it.
    pub fn rows_since(&self, row: u64) -> Batches<'_> {
        self.batches_of(self.all_columns(), row..u64::MAX)
    }

    /// As [`batches`](Self::batches), of columns by their numbers.
    pub(crate) fn batches_of(&self, columns: Vec<usize>, rows: Range<u64>) -> Batches<'_> {
        let end = rows.end.min(self.rows());
        let rows = rows.start.min(end)..end;
        Batches { file: self, columns, rows, place: Place::default() }
    }

    /// The pieces in which these rows are.
    pub(crate) fn pieces(&self, rows: Range<u64>) -> Result<Vec<Piece>, ReadError> {
        let mut place = Place::default();
        std::iter::from_fn(|| place.next(self, &rows).transpose()).collect()
    }

    pub(crate) fn storage(&self) -> &Arc<dyn FileSystem> {
        &self.storage
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What a later version must agree with.
    pub(crate) fn history(&self) -> History {
        History::new(self.fingerprint, self.rows(), self.audit())
    }

    /// The failure to read a chunk, with the values it is about.
    pub(crate) fn failed(
        &self,
        rows: &Range<u64>,
        column: usize,
        failure: ReadFailure,
    ) -> ReadError {
        let Range { start, end } = rows;
        let name = &self.published.shape.fields[column].name;
        failure.at(&format!("column `{name}` of rows {start} to {end}")).of_file(&self.path)
    }
}

fn open(storage: &dyn FileSystem, path: &Path) -> Result<(ReadAt, Arc<dyn FileHandle>), ReadError> {
    let file: Arc<dyn FileHandle> = storage.open(path)?.into();
    Ok((ReadAt::new(Arc::clone(&file))?, file))
}

impl fmt::Debug for MetricsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsFile")
            .field("path", &self.path)
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

/// Rows in pieces; see [`MetricsFile::batches`].
#[derive(Debug)]
pub struct Batches<'a> {
    file: &'a MetricsFile,
    columns: Vec<usize>,
    /// What is left to read.
    rows: Range<u64>,
    place: Place,
}

/// Rows that are read together: a span of a row group, or all of it.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) group: usize,
    pub(crate) span: usize,
    pub(crate) rows: Range<u64>,
}

/// Where in a file a reader is: the next span, and the number of its first row.
#[derive(Debug, Default)]
struct Place {
    group: usize,
    span: usize,
    start: u64,
}

impl Place {
    /// The next piece that has some of these rows.
    fn next(&mut self, file: &MetricsFile, rows: &Range<u64>) -> Result<Option<Piece>, ReadError> {
        while let Some(stored) = file.published.groups.get(self.group) {
            if self.start >= rows.end {
                break;
            }
            let end = self.start + stored.rows() as u64;
            if self.span == 0 && end <= rows.start {
                (self.group, self.start) = (self.group + 1, end);
                continue;
            }
            let spans = match file.published.spans(self.group) {
                Ok(spans) => spans.unwrap_or_default(),
                Err(ReadFailure::Storage(error)) => return Err(error.into()),
                // It is read as a whole, and its chunks have checksums of their own.
                Err(ReadFailure::Damaged(_) | ReadFailure::Unsupported(_)) => Arc::default(),
            };
            let len = spans.rows.get(self.span).map_or(stored.rows() as u64, |rows| (*rows).into());
            let found = self.start..self.start + len;
            let piece = Piece { group: self.group, span: self.span, rows: found };
            self.start += len;
            self.span += 1;
            if self.span >= spans.rows.len() {
                (self.group, self.span) = (self.group + 1, 0);
            }
            if piece.rows.end > rows.start {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Table, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty() {
            return None;
        }
        let piece = match self.place.next(self.file, &self.rows).transpose()? {
            Ok(piece) => piece,
            Err(error) => {
                self.rows.start = self.rows.end;
                return Some(Err(error));
            }
        };
        let wanted = self.rows.start..self.rows.end.min(piece.rows.end);
        self.rows.start = wanted.end;
        Some(self.read(&piece, &wanted))
    }
}

impl Batches<'_> {
    fn read(&self, piece: &Piece, wanted: &Range<u64>) -> Result<Table, ReadError> {
        let start = piece.rows.start;
        let inside = (wanted.start - start) as usize..(wanted.end - start) as usize;
        let mut columns = Vec::with_capacity(self.columns.len()); // bounded: they are in memory
        for &column in &self.columns {
            let published = &self.file.published;
            let bytes_max = self.file.chunk_bytes_max;
            let values = published.span_values(piece.group, piece.span, column, bytes_max);
            let mut values =
                values.map_err(|failure| self.file.failed(&piece.rows, column, failure))?;
            values.cut(&inside);
            columns.push(TableColumn { field: published.shape.fields[column].clone(), values });
        }
        Ok(Table { first_row: wanted.start, rows: inside.len(), columns })
    }
}
