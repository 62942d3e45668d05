//! Reads a whole file and reports what is damaged in it.

use crate::error::ReadError;
use crate::format::audit::Audit;
use crate::format::facts::Facts;
use crate::format::read_failure::ReadFailure;
use crate::format::span_table;
use crate::format::spans::Spans;
use crate::read::reader::MetricsFile;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The result of validating a metrics file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// The number of rows in the file.
    pub rows: u64,
    /// The number of column chunks in the file.
    pub chunks: usize,
    /// The number of chunks without a checksum, which another program wrote: even where they could be
    /// decoded, a flipped bit in one may have become a wrong value.
    pub unguarded_chunks: usize,
    /// The damaged chunks.
    pub damage: Vec<Damage>,
    /// The chunks that this reader cannot decode, which another program wrote: nothing is known about
    /// their values.
    pub unchecked: Vec<Unchecked>,
    /// What the file records about its sessions.
    pub audit: Option<Audit>,
    /// How those records contradict the rows in the file; `None` if they agree.
    pub contradiction: Option<String>,
}

/// Values that cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The column.
    pub column: String,
    /// The rows, counted from 0.
    pub rows: Range<u64>,
    /// What is wrong.
    pub reason: String,
}

/// Values that were not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unchecked {
    /// The column.
    pub column: String,
    /// The rows, counted from 0.
    pub rows: Range<u64>,
    /// What this reader does not decode, or takes no more of.
    pub reason: String,
}

impl Validation {
    /// Whether everything could be checked and nothing is damaged, as far as the file has checksums.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.unchecked.is_empty() && !self.is_damaged()
    }

    /// Whether anything is damaged. A file may be neither whole nor damaged: see
    /// [`unchecked`](Self::unchecked).
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty() || self.contradiction.is_some()
    }
}

/// Reads the whole file at `path` and checks everything that can be checked: the footer and every chunk
/// against their checksums, that every value decodes, and that the accounts of the sessions add up.
///
/// Damage in a chunk is a result, not an error: the rest of the file can still be read. So is a chunk that
/// this reader cannot decode. The file is not changed, and a writer may have it open.
///
/// ```
/// use qstore_parquet::{MetricsLog, WriterSettings, validate};
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
/// assert!(validate(&path)?.is_whole());
///
/// // One bit flips on the disk.
/// let mut bytes = std::fs::read(&path)?;
/// bytes[50] ^= 0b0001_0000;
/// std::fs::write(&path, bytes)?;
///
/// let validation = validate(&path)?;
/// assert!(!validation.is_whole());
/// assert_eq!((&*validation.damage[0].column, validation.damage[0].rows.clone()), ("step", 0..100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ReadError::Storage`] when the file cannot be opened or read to its end;
/// [`ReadError::Damaged`] when its footer is damaged, since nothing in the file can be found then;
/// [`ReadError::Unsupported`] when the file as a whole cannot be read here, as
/// [`MetricsFile::open`].
pub fn validate(path: impl AsRef<Path>) -> Result<Validation, ReadError> {
    MetricsFile::open(path)?.validate()
}

impl MetricsFile {
    /// As [`validate`], of an open file.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when the file cannot be read to its end. Damage is not an error here: it is
    /// in the result.
    pub fn validate(&self) -> Result<Validation, ReadError> {
        let mut validation = Validation {
            rows: self.rows(),
            chunks: 0,
            unguarded_chunks: 0,
            damage: Vec::new(),
            unchecked: Vec::new(),
            audit: self.audit().cloned(),
            contradiction: None,
        };
        let mut start = 0;
        for (number, group) in self.published.groups.iter().enumerate() {
            let rows = start..start + group.rows() as u64;
            start = rows.end;
            let spans = match self.published.spans(number) {
                Ok(spans) => spans.unwrap_or_default(),
                Err(failure) => {
                    let column = span_table::KEY.to_owned();
                    validation.found(column, rows.clone(), failure)?;
                    Arc::default()
                }
            };
            for (index, field) in self.published.shape.fields.iter().enumerate() {
                validation.chunks += 1;
                validation.unguarded_chunks += usize::from(group.checksum(index).is_none());
                let mut rows = rows.start..rows.start;
                for span in 0..spans.rows.len().max(1) {
                    let len = spans.rows.get(span).map_or(group.rows(), |rows| *rows as usize);
                    rows = rows.end..rows.end + len as u64;
                    if let Err(failure) = self.check(number, span, index, &spans) {
                        validation.found(field.name.to_string(), rows.clone(), failure)?;
                    }
                }
            }
        }
        validation.contradiction = self.audit().and_then(|audit| contradiction(audit, self.rows()));
        Ok(validation)
    }
}

impl MetricsFile {
    /// Checks some values of a column: that they can be read, and that what the file says about them is true.
    fn check(
        &self,
        group: usize,
        span: usize,
        column: usize,
        spans: &Spans,
    ) -> Result<(), ReadFailure> {
        let values = self.published.span_values(group, span, column, self.chunk_bytes_max)?;
        let Some(found) = spans.columns.get(column) else { return Ok(()) };
        let is_same = found.spans[span].facts.is_none_or(|facts| facts == Facts::of_read(&values));
        // mutant: bounds_not_verified
        if !is_same {
            return Err(ReadFailure::damaged("its bounds do not agree with its values"));
        }
        let checksum = self.published.groups[group].checksum(column);
        if found.is_split() && checksum.is_some_and(|checksum| checksum != found.checksum()) {
            return Err(ReadFailure::damaged(
                "the checksums of its parts are not those of the whole",
            ));
        }
        Ok(())
    }
}

impl Validation {
    /// Records a failure to check some values; an error if the disk failed.
    fn found(
        &mut self,
        column: String,
        rows: Range<u64>,
        failure: ReadFailure,
    ) -> Result<(), ReadError> {
        match failure {
            ReadFailure::Storage(error) => return Err(error.into()),
            ReadFailure::Damaged(reason) => self.damage.push(Damage { column, rows, reason }),
            ReadFailure::Unsupported(reason) => {
                self.unchecked.push(Unchecked { column, rows, reason });
            }
        }
        Ok(())
    }
}

/// How the accounts contradict the number of rows.
fn contradiction(audit: &Audit, rows: u64) -> Option<String> {
    let mut next = audit.segments.first().map_or(rows, |first| first.first_row);
    for (number, segment) in audit.segments.iter().enumerate() {
        if segment.first_row != next {
            let found = segment.first_row;
            return Some(format!("session {number} begins at row {found}, not at {next}"));
        }
        next = segment.first_row.saturating_add(segment.written);
    }
    (next != rows).then(|| format!("the sessions wrote {next} rows, but the file has {rows}"))
}
