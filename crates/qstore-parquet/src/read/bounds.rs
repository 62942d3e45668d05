//! Bounds of a column, piece by piece: what a picture needs before it reads any values.

use crate::error::ReadError;
use crate::format::facts::{Facts, Finite};
use crate::format::read_failure::ReadFailure;
use crate::read::reader::MetricsFile;
use qstore_schema::Value;
use std::ops::Range;

/// What is known about some consecutive values of a column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Bounds {
    /// The rows, counted from 0.
    pub rows: Range<u64>,
    /// How many of them are null.
    pub nulls: u64,
    /// How many are NaN.
    pub nans: u64,
    /// How many are infinite, of either sign.
    pub infinite: u64,
    /// The least finite number; `None` if there is none, as for texts and flags.
    pub min: Option<Value>,
    /// The largest finite number.
    pub max: Option<Value>,
}

impl Bounds {
    pub(crate) fn new(rows: Range<u64>, facts: Facts) -> Self {
        let (min, max) = match facts.finite {
            Some(Finite::Int(min, max)) => (Some(min.into()), Some(max.into())),
            Some(Finite::Float(min, max)) => (Some(min.into()), Some(max.into())),
            None => (None, None),
        };
        let [nulls, nans, infinite] = [facts.nulls, facts.nans, facts.infinite].map(u64::from);
        Self { rows, nulls, nans, infinite, min, max }
    }
}

impl MetricsFile {
    /// The bounds of a column, for each piece of up to 65 536 rows in which some of these rows are. A bound
    /// is always that of a finite number: NaN and infinities are counted instead.
    ///
    /// The bounds of sealed pieces are in the file, and no values are read for them. Where they are not, as
    /// for the newest rows of a file that is being written and in files of other programs, the values are read.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::{Row, Value};
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// for loss in [0.5, f64::NAN, 0.25, f64::INFINITY] {
    ///     log.append(&Row::from([("loss", loss)]), Instant::now());
    /// }
    /// log.close()?;
    ///
    /// let bounds = &MetricsFile::open(&path)?.bounds("loss", 0..u64::MAX)?[0];
    /// assert_eq!((bounds.rows.clone(), bounds.nans, bounds.infinite), (0..4, 1, 1));
    /// assert_eq!((&bounds.min, &bounds.max), (&Some(Value::Float(0.25)), &Some(Value::Float(0.5))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn bounds(&self, name: &str, rows: Range<u64>) -> Result<Vec<Bounds>, ReadError> {
        let column = self.column(name)?;
        let pieces = self.pieces(rows.start.min(rows.end)..rows.end)?;
        let bounds = pieces.into_iter().map(|piece| {
            let facts = self.facts(piece.group, piece.span, column);
            let failed = |failure| self.failed(&piece.rows, column, failure);
            Ok(Bounds::new(piece.rows.clone(), facts.map_err(failed)?))
        });
        bounds.collect()
    }

    /// What is known about the values of a piece.
    fn facts(&self, group: usize, span: usize, column: usize) -> Result<Facts, ReadFailure> {
        let stored = match self.published.spans(group) {
            Ok(Some(spans)) => match spans.columns.get(column) {
                Some(found) => found.spans[span].facts,
                // It came after the group.
                None => Some(Facts::null(spans.rows[span] as usize)),
            },
            Ok(None) | Err(ReadFailure::Damaged(_) | ReadFailure::Unsupported(_)) => None,
            Err(failure @ ReadFailure::Storage(_)) => return Err(failure),
        };
        if let Some(facts) = stored {
            return Ok(facts);
        }
        let values = self.published.span_values(group, span, column, self.chunk_bytes_max)?;
        Ok(Facts::of_read(&values))
    }
}
