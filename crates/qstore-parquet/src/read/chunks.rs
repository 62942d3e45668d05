//! The chunks of a column, where they are and what their bytes are known by: what a cache of pictures needs.
//!
//! A chunk whose place and checksum were seen before has the values that it had then, whatever has happened to
//! the rest of the file.

use crate::columns::numbers::Numbers;
use crate::error::ReadError;
use crate::format::facts::Facts;
use crate::format::read_failure::ReadFailure;
use crate::format::spans::ColumnSpans;
use crate::read::bounds::Bounds;
use crate::read::reader::MetricsFile;
use qstore_schema::DataType;
use std::ops::Range;
use std::sync::Arc;

/// Some bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Extent {
    /// Where they begin, in bytes from the beginning of the file.
    pub offset: u64,
    /// How many they are.
    pub len: u64,
    /// Their crc32c, and that of the dictionary that they need; `None` if another program wrote them.
    pub checksum: Option<u32>,
}

/// A row group of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RowGroup {
    /// The rows, counted from 0.
    pub rows: Range<u64>,
    /// The table of its parts, if it has one. A group with the same rows and the same table has the same
    /// chunks.
    pub table: Option<Extent>,
    number: usize,
}

/// A piece of a column that can be read alone: of up to 65 536 rows in files of ours, of a row group in those
/// of other programs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Chunk {
    /// The rows, counted from 0.
    pub rows: Range<u64>,
    /// The bytes that hold their values, and perhaps others' as well.
    pub extent: Extent,
    /// What the file says about the values; `None` if it says nothing.
    pub bounds: Option<Bounds>,
}

impl MetricsFile {
    /// The row groups, in order. Nothing is read.
    pub fn groups(&self) -> Vec<RowGroup> {
        let mut start = 0;
        let groups = self.published.groups.iter().enumerate().map(|(number, group)| {
            let rows = start..start + group.rows() as u64;
            start = rows.end;
            let table = group.table().map(|table| Extent {
                offset: table.range.start,
                len: table.range.end - table.range.start,
                checksum: Some(table.checksum),
            });
            RowGroup { rows, table, number }
        });
        groups.collect()
    }

    /// The chunks of a column in a row group of this version of the file, in order. Of the file only the table
    /// of the group is read, if it has one; every column has the same chunks in it. None if the group is of a
    /// version before a [refresh](Self::refresh) and does not have these rows anymore: ask for the
    /// [groups](Self::groups) again.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::{Row, Value};
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// for step in 0..70_000_i64 {
    ///     log.append(&Row::from([("step", step)]), Instant::now());
    /// }
    /// log.close()?;
    ///
    /// let file = MetricsFile::open(&path)?;
    /// let mut chunks = Vec::new();
    /// for group in file.groups() {
    ///     chunks.extend(file.chunks("step", &group)?);
    /// }
    /// assert_eq!(chunks[0].rows, 0..65_536);
    /// assert!(chunks[0].extent.checksum.is_some());
    /// let bounds = chunks[0].bounds.as_ref().expect("it is sealed");
    /// assert_eq!(bounds.max, Some(Value::from(65_535_i64)));
    /// assert_eq!(file.numbers("step", chunks[0].rows.clone())?.values[7], 7.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReadError::UnknownColumn`] or [`ReadError::Unsupported`] as [`read`](Self::read);
    /// [`ReadError::Storage`] when the disk fails. A damaged table is not an error: the group is one chunk
    /// then.
    pub fn chunks(&self, name: &str, group: &RowGroup) -> Result<Vec<Chunk>, ReadError> {
        let column = self.column(name)?;
        let groups = &self.published.groups;
        let Some(stored) = groups.get(group.number) else { return Ok(Vec::new()) };
        let start: u64 = groups[..group.number].iter().map(|group| group.rows() as u64).sum();
        if group.rows != (start..start + stored.rows() as u64) {
            return Ok(Vec::new());
        }
        let spans = match self.published.spans(group.number) {
            Ok(spans) => spans.unwrap_or_default(),
            Err(ReadFailure::Storage(error)) => return Err(error.into()),
            Err(ReadFailure::Damaged(_) | ReadFailure::Unsupported(_)) => Arc::default(),
        };
        let range = stored.range(column).unwrap_or_default();
        let len = range.end - range.start;
        let whole = Extent { offset: range.start, len, checksum: stored.checksum(column) };
        if spans.rows.is_empty() {
            let rows = group.rows.clone();
            return Ok(vec![Chunk { rows, extent: whole, bounds: None }]);
        }
        let found = spans.columns.get(column);
        let mut start = group.rows.start;
        let chunks = spans.rows.iter().enumerate().map(|(number, rows)| {
            let rows = start..start + u64::from(*rows);
            start = rows.end;
            let facts = match found {
                Some(found) => found.spans[number].facts,
                // It came after the group.
                None => Some(Facts::null((rows.end - rows.start) as usize)),
            };
            let bounds = facts.map(|facts| Bounds::new(rows.clone(), facts));
            let part = found.filter(|found| found.is_split() && spans.rows.len() > 1);
            let extent = part.map_or(whole, |found| part_of(&whole, found, number));
            Chunk { rows, extent, bounds }
        });
        Ok(chunks.collect())
    }

    /// The numbers in a column, in some rows: integers, floats, flags, and times as counts of their
    /// [unit](Self::time_type). Rows beyond the last are left out. For the rows of a [`Chunk`], nothing but
    /// that chunk is read.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`ReadError::Unsupported`] for a column of texts or lists.
    pub fn numbers(&self, name: &str, rows: Range<u64>) -> Result<Numbers, ReadError> {
        let column = self.column(name)?;
        let data_type = self.published.shape.fields[column].data_type;
        if matches!(data_type, DataType::Utf8 | DataType::FloatList) {
            let reason =
                format!("column `{name}` holds {data_type}, which is not one number a row");
            return Err(ReadError::Unsupported { path: self.path().to_path_buf(), reason });
        }
        let end = rows.end.min(self.rows());
        let rows = rows.start.min(end)..end;
        let mut all = Numbers::empty(rows.start);
        for piece in self.pieces(rows.clone())? {
            let (published, bytes_max) = (&self.published, self.chunk_bytes_max);
            let found = published.span_numbers(piece.group, piece.span, column, bytes_max);
            let failed = |failure| self.failed(&piece.rows, column, failure);
            let mut found = found.map_err(failed)?;
            let start = piece.rows.start;
            found.rows = piece.rows.clone();
            let wanted = rows.start.max(start)..rows.end.min(piece.rows.end);
            found.cut(&((wanted.start - start) as usize..(wanted.end - start) as usize));
            all.append(found);
        }
        Ok(all)
    }
}

/// Where a span of a chunk is.
fn part_of(whole: &Extent, found: &ColumnSpans, number: usize) -> Extent {
    let (range, part) = (found.range(number), found.spans[number].part);
    let checksum = match found.dictionary {
        dictionary if dictionary.len > 0 => {
            crc32c::crc32c_combine(dictionary.checksum, part.checksum, part.len as usize)
        }
        _ => part.checksum,
    };
    Extent { offset: whole.offset + range.start, len: part.len, checksum: Some(checksum) }
}
