//! Reads a whole file and says what of it is damaged.

use crate::error::ReadError;
use crate::format::audit::Audit;
use crate::format::read_failure::ReadFailure;
use crate::read::reader::MetricsFile;
use std::ops::Range;
use std::path::Path;

/// What a file is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// Rows in the file.
    pub rows: u64,
    /// Column chunks in it.
    pub chunks: usize,
    /// Chunks without a checksum, which another writer wrote: they could be decoded, but a changed
    /// bit in them may have become a wrong value.
    pub unguarded_chunks: usize,
    /// Where it is damaged.
    pub damage: Vec<Damage>,
    /// What the file says about itself.
    pub audit: Option<Audit>,
    /// How what it says differs from what is in it; `None` if it does not.
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

impl Validation {
    /// Whether every value can be trusted as far as the file has checksums.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.contradiction.is_none()
    }
}

/// Reads the whole file at `path` and checks everything that can be checked: the footer against its
/// checksum, every chunk against its own, that every value decodes, and that the accounts add up.
///
/// # Errors
/// When the file cannot be opened, or its footer is damaged: then nothing in it can be found.
pub fn validate(path: impl AsRef<Path>) -> Result<Validation, ReadError> {
    MetricsFile::open(path)?.validate()
}

impl MetricsFile {
    /// As [`validate`], of a file that is open.
    ///
    /// # Errors
    /// When the file cannot be read to its end. Damage is not an error here: it is in what is returned.
    pub fn validate(&self) -> Result<Validation, ReadError> {
        let mut validation = Validation {
            rows: self.rows(),
            chunks: 0,
            unguarded_chunks: 0,
            damage: Vec::new(),
            audit: self.audit().cloned(),
            contradiction: None,
        };
        let mut start = 0;
        for (number, group) in self.published.groups.iter().enumerate() {
            let rows = start..start + group.rows() as u64;
            start = rows.end;
            for (index, field) in self.fields().iter().enumerate() {
                validation.chunks += 1;
                let is_guarded = group.checksums().nth(index).flatten().is_some();
                validation.unguarded_chunks += usize::from(!is_guarded);
                match self.published.values(number, index) {
                    Ok(_) => {}
                    Err(ReadFailure::Storage(error)) => return Err(error.into()),
                    Err(ReadFailure::Damaged(reason)) => {
                        let column = field.name.to_string();
                        validation.damage.push(Damage { column, rows: rows.clone(), reason });
                    }
                }
            }
        }
        validation.contradiction = self.audit().and_then(|audit| contradiction(audit, self.rows()));
        Ok(validation)
    }
}

/// How the accounts differ from the rows that are there.
fn contradiction(audit: &Audit, rows: u64) -> Option<String> {
    let mut next = audit.segments.first().map_or(rows, |first| first.first_row);
    for (number, segment) in audit.segments.iter().enumerate() {
        if segment.first_row != next {
            let found = segment.first_row;
            return Some(format!("session {number} begins with row {found}, not {next}"));
        }
        next = segment.first_row.saturating_add(segment.written);
    }
    (next != rows).then(|| format!("the sessions wrote {next} rows, but {rows} are there"))
}
