//! What the file says about a column without its values: a picture at once, until the exact one is there.
//!
//! Invariant: no row that counts is outside it.

use crate::axis::XAxis;
use crate::bucket::Bucket;
use crate::cache::Cache;
use crate::error::ViewError;
use crate::exact;
use crate::grid::Grid;
use crate::request::Request;
use crate::series::Series;
use crate::source::{self, Piece, XOf, float};
use crate::trace::Trace;
use qstore_parquet::{Bounds, MetricsFile, ReadError};
use std::collections::BTreeMap;
use std::ops::Range;

/// The bounds of a column, piece by piece.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Envelope {
    /// The name of the run, for a legend.
    pub run: String,
    /// The column.
    pub column: String,
    /// What x is.
    pub x: XAxis,
    /// The x axis. On a log axis it begins at 1 if the file does not say where it should begin.
    pub grid: Grid,
    /// The pieces that have rows, in the order of the file.
    pub bands: Vec<Band>,
}

/// The bounds of up to 65 536 rows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Band {
    /// The number of the attempt, counted from 0.
    pub attempt: usize,
    /// The rows that count.
    pub rows: Range<u64>,
    /// No row has an x below this one.
    pub x0: f64,
    /// Nor one above this.
    pub x1: f64,
    /// No finite value is below this one; NaN if none is finite.
    pub min: f64,
    /// Nor one above this.
    pub max: f64,
    /// How many values are null, among those that count and others of the piece.
    pub nulls: u64,
    /// How many are NaN.
    pub nans: u64,
    /// How many are infinite.
    pub infinite: u64,
}

impl Envelope {
    /// The envelopes of a request, one for each column. No values are read, except of pieces that are not sealed: the
    /// newest rows of a file that is being written, and files of other programs.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::Row;
    /// use qstore_view::{Cache, Envelope, Request};
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// for step in 0..100_i64 {
    ///     log.append(&Row::from([("step", step as f64), ("loss", 9.0 - step as f64)]), Instant::now());
    /// }
    /// log.close()?;
    ///
    /// let (file, request) = (MetricsFile::open(&path)?, Request::new(["loss"]));
    /// let envelope = &Envelope::of(&file, &request, &mut Cache::new())?[0];
    /// let band = &envelope.bands[0];
    /// assert_eq!((band.x0, band.x1, band.min, band.max), (0.0, 99.0, -90.0, 9.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`exact`](crate::exact).
    pub fn of(
        file: &MetricsFile,
        request: &Request,
        cache: &mut Cache,
    ) -> Result<Vec<Self>, ViewError> {
        let mut x_of = XOf::new(file, request);
        let pieces = source::pieces(file, request, cache)?;
        if x_of.x == XAxis::Relative {
            let absolute = XOf::absolute(&x_of);
            let ranges = pieces.iter().map(|piece| absolute.range_around(file, piece));
            let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
            let first = ranges.into_iter().flatten().map(|(least, _)| least).reduce(f64::min);
            x_of.origin = first.unwrap_or(0.0);
        }
        let ranges = pieces.iter().map(|piece| x_of.range_around(file, piece));
        let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        // Where a log axis begins among numbers of which only the largest is known, is a matter of taste.
        let shown = |(least, largest): (f64, f64)| {
            let is_known = !x_of.is_positive || least > f64::MIN_POSITIVE;
            (if is_known { least } else { largest.min(1.0) }, largest)
        };
        let shown: Vec<_> = ranges.iter().map(|range| range.map(shown)).collect();
        let grid = exact::grid(request, &shown)?;
        let mut envelopes = Vec::with_capacity(request.columns.len());
        for (number, column) in request.columns.iter().enumerate() {
            let mut bands = Vec::new();
            for (piece, range) in pieces.iter().zip(&ranges) {
                if let Some(range) = range {
                    bands.extend(band(file, piece, (number, column), *range)?);
                }
            }
            let (run, column) = (String::new(), column.clone());
            envelopes.push(Self { run, column, x: request.x, grid, bands });
        }
        Ok(envelopes)
    }

    /// The same as a series that can be drawn: each pixel column is filled as far as its rows may reach. No line leads
    /// from one to another.
    #[must_use]
    pub fn to_series(&self) -> Series {
        let last = i64::from(self.grid.columns()) - 1;
        let mut traces = Vec::<(usize, BTreeMap<u32, Bucket>)>::new();
        for band in &self.bands {
            if traces.last().is_none_or(|(attempt, _)| *attempt != band.attempt) {
                traces.push((band.attempt, BTreeMap::new()));
            }
            let bucket = Bucket {
                x0: band.x0,
                x1: band.x1,
                n: band.rows.end - band.rows.start,
                nulls: band.nulls,
                nans: band.nans,
                min: band.min,
                max: band.max,
                first: band.min,
                last: band.max,
                argmin: band.x0,
                argmax: band.x1,
                is_broken_before: true,
                is_broken_after: true,
                ..Bucket::EMPTY
            };
            // What is not finite has no sign here, so only NaN is a tick.
            let n = bucket.nans + u64::from(band.min.is_finite());
            let (from, to) = (self.grid.column(band.x0), self.grid.column(band.x1));
            let from = from.unwrap_or(0).clamp(0, last + 1);
            for column in from..=to.unwrap_or(-1).min(last) {
                if let Some((_, columns)) = traces.last_mut() {
                    let known = columns.entry(column as u32).or_insert(Bucket::EMPTY);
                    *known = known.merge(&Bucket { n, ..bucket });
                }
            }
        }
        let traces = traces.into_iter().map(|(attempt, columns)| Trace {
            buckets: columns.into_iter().collect(),
            ..Trace::new(attempt)
        });
        Series {
            run: self.run.clone(),
            column: self.column.clone(),
            x: self.x,
            grid: self.grid,
            traces: traces.filter(|trace| !trace.buckets.is_empty()).collect(),
            nulls: self.bands.iter().map(|band| band.nulls).sum(),
            left_out: 0,
        }
    }
}

/// The band of a piece in a column, if it has values.
fn band(
    file: &MetricsFile,
    piece: &Piece,
    (number, column): (usize, &str),
    (x0, x1): (f64, f64),
) -> Result<Option<Band>, ReadError> {
    let known = piece.values.get(number).and_then(|values| values.bounds.clone());
    let Some(bounds) =
        known.map_or_else(|| read(file, column, piece), |bounds| Ok(Some(bounds)))?
    else {
        return Ok(None);
    };
    if bounds.nulls == bounds.rows.end - bounds.rows.start {
        return Ok(None);
    }
    let end = |bound: &Option<_>| bound.as_ref().and_then(float).unwrap_or(f64::NAN);
    Ok(Some(Band {
        attempt: piece.attempt,
        rows: piece.rows.clone(),
        x0,
        x1,
        min: end(&bounds.min),
        max: end(&bounds.max),
        nulls: bounds.nulls,
        nans: bounds.nans,
        infinite: bounds.infinite,
    }))
}

/// The bounds of a chunk about which the file says nothing.
fn read(file: &MetricsFile, column: &str, piece: &Piece) -> Result<Option<Bounds>, ReadError> {
    let rows = piece.rows.clone();
    // A piece is in one chunk.
    Ok(file.bounds(column, rows)?.into_iter().next())
}

impl XOf {
    /// The same without an origin.
    fn absolute(&self) -> Self {
        Self { origin: 0.0, ..*self }
    }

    /// Between what the x of a piece are, or less exactly if the file does not say it exactly; `None` if it has none.
    fn range_around(
        &self,
        file: &MetricsFile,
        piece: &Piece,
    ) -> Result<Option<(f64, f64)>, ReadError> {
        if let Some(known) = self.known_range(piece) {
            return Ok(known.ends());
        }
        let Some(name) = self.x.column() else { return Ok(None) };
        let known = piece.x.as_ref().and_then(|x| x.bounds.clone());
        let bounds = known.map_or_else(|| read(file, name, piece), |bounds| Ok(Some(bounds)))?;
        let end = |bound: &Option<_>| bound.as_ref().and_then(float).map(|bound| self.place(bound));
        let ends = bounds.and_then(|bounds| end(&bounds.min).zip(end(&bounds.max)));
        let ends = ends.filter(|(_, largest)| self.is_allowed(*largest));
        Ok(ends.map(|(least, largest)| {
            let least = if self.is_positive && least <= 0.0 {
                f64::MIN_POSITIVE
            } else if self.x == XAxis::Step {
                least.max(0.0)
            } else {
                least
            };
            (least, largest)
        }))
    }
}
