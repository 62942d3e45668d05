//! A reader of metrics files for Rust programs, which checks what it reads.
//!
//! It opens the path once and keeps that version, while a writer may go on. What it returns has
//! agreed with its checksum, if the file has any; damage is an error, never a wrong value.

use crate::columns::table::{Table, TableColumn};
use crate::error::ReadError;
use crate::format::audit::Audit;
use crate::format::columns;
use crate::format::footer::{self, Footer};
use crate::format::published::Published;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::{ReadFailure, contain};
use qstore_schema::Field;
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One version of a metrics file, open for reading.
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
pub struct MetricsFile {
    pub(crate) path: PathBuf,
    pub(crate) published: Published,
    audit: Option<Audit>,
    len: u64,
}

impl MetricsFile {
    /// Opens a file on the machine's file system.
    ///
    /// # Errors
    /// When there is none, when it is no Parquet file or a damaged one, and when it has columns that a
    /// metrics file never has.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::open_in(&LocalFs::new(), path)
    }

    /// As [`open`](Self::open), on any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(storage: &dyn FileSystem, path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let file: Arc<_> = storage.open(path)?.into();
        let reader = ReadAt::new(Arc::clone(&file))?;
        let footer = footer::read(&reader).map_err(|failure| failure.of_file(path))?;
        let Footer { metadata, .. } = &footer;
        let fields = columns::read(metadata.file_metadata().schema_descr())
            .map_err(|reason| ReadError::NotMetrics { path: path.to_path_buf(), reason })?;
        let published = contain(|| Ok(Published::found(file, None, footer, fields)?))
            .map_err(|failure: ReadFailure| failure.of_file(path))?;
        let audit = Audit::read(&published.keys);
        Ok(Self { path: path.to_path_buf(), published, audit, len: reader.len() })
    }

    /// The columns, in file order.
    pub fn fields(&self) -> &[Field] {
        &self.published.fields
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.published.rows()
    }

    /// How many row groups they lie in.
    pub fn row_groups(&self) -> usize {
        self.published.groups.len()
    }

    /// The length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// What the file says about the sessions that wrote it; `None` if another writer did.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// Reads some columns of some rows; rows behind the last are left out. No names: all columns.
    ///
    /// # Errors
    /// An unknown name; damage, with the column and the rows it is in.
    pub fn read(&self, names: &[&str], rows: Range<u64>) -> Result<Table, ReadError> {
        let batches = self.batches(names, rows)?;
        let columns = batches.columns.iter().map(|column| TableColumn {
            field: self.published.fields[*column].clone(),
            values: crate::columns::table::Values::empty(self.published.fields[*column].data_type),
        });
        let mut all = Table { first_row: batches.rows.start, rows: 0, columns: columns.collect() };
        for batch in batches {
            all.append(batch?);
        }
        Ok(all)
    }

    /// The same rows in pieces, a row group or a part of one at a time, so that no more than that is
    /// in memory.
    ///
    /// # Errors
    /// An unknown name; damage comes with the piece it is in.
    pub fn batches(&self, names: &[&str], rows: Range<u64>) -> Result<Batches<'_>, ReadError> {
        let fields = &self.published.fields;
        let find = |name: &&str| {
            fields.iter().position(|field| field.name == *name).ok_or_else(|| {
                ReadError::UnknownColumn { path: self.path.clone(), name: (*name).to_owned() }
            })
        };
        let columns = if names.is_empty() {
            (0..fields.len()).collect()
        } else {
            names.iter().map(find).collect::<Result<_, _>>()?
        };
        let end = rows.end.min(self.rows());
        let rows = rows.start.min(end)..end;
        Ok(Batches { file: self, columns, rows, group: 0, group_start: 0 })
    }

    /// The failure to read a chunk, with the values it is about.
    fn failed(&self, group: usize, start: u64, column: usize, failure: ReadFailure) -> ReadError {
        match failure {
            ReadFailure::Storage(error) => ReadError::Storage(error),
            ReadFailure::Damaged(what) => {
                let end = start + self.published.groups[group].rows() as u64;
                let name = &self.published.fields[column].name;
                let reason = format!("column `{name}` of rows {start} to {end}: {what}");
                ReadError::Damaged { path: self.path.clone(), reason }
            }
        }
    }
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
    /// The next row group and the number of its first row.
    group: usize,
    group_start: u64,
}

impl Iterator for Batches<'_> {
    type Item = Result<Table, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(stored) = self.file.published.groups.get(self.group) {
            if self.rows.is_empty() {
                return None;
            }
            let (group, start) = (self.group, self.group_start);
            let end = start + stored.rows() as u64;
            self.group += 1;
            self.group_start = end;
            if end > self.rows.start {
                let wanted = self.rows.start..self.rows.end.min(end);
                self.rows.start = wanted.end;
                return Some(self.read(group, start, &wanted));
            }
        }
        None
    }
}

impl Batches<'_> {
    fn read(&self, group: usize, start: u64, wanted: &Range<u64>) -> Result<Table, ReadError> {
        let inside = (wanted.start - start) as usize..(wanted.end - start) as usize;
        let column = |column: &usize| {
            let values = self.file.published.values(group, *column);
            let mut values =
                values.map_err(|failure| self.file.failed(group, start, *column, failure))?;
            values.cut(&inside);
            Ok(TableColumn { field: self.file.published.fields[*column].clone(), values })
        };
        let columns = self.columns.iter().map(column).collect::<Result<_, ReadError>>()?;
        Ok(Table { first_row: wanted.start, rows: inside.len(), columns })
    }
}
