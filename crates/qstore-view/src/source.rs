//! The chunks of x and of the columns that a picture needs, side by side.
//!
//! All columns of a row group have the same chunks, so a piece is one chunk of x and one of each column.

use crate::axis::{Axis, XAxis};
use crate::cache::{Cache, Content, RangeKey, Reach, table_key};
use crate::request::Request;
use crate::threads;
use qstore_parquet::{Bounds, Chunk, MetricsFile, ReadError, RowGroup, TimeUnit};
use qstore_schema::Value;
use std::ops::Range;
use std::sync::Arc;

/// How the numbers in a column become x.
#[derive(Debug, Clone, Copy)]
pub(crate) struct XOf {
    pub(crate) x: XAxis,
    /// What is subtracted, in seconds.
    pub(crate) origin: f64,
    /// How many of the column's units are a second, or 1.
    pub(crate) unit: f64,
    pub(crate) is_positive: bool,
}

/// Rows that are read together.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) attempt: usize,
    /// Those that count.
    pub(crate) rows: Range<u64>,
    /// `None` if x is the number of the row.
    pub(crate) x: Option<PieceOf>,
    pub(crate) values: Vec<PieceOf>,
}

/// What is known about the rows of a piece in one column.
#[derive(Debug, Clone)]
pub(crate) struct PieceOf {
    pub(crate) content: Content,
    /// Of the whole chunk, which may have rows that do not count.
    pub(crate) bounds: Option<Bounds>,
    is_whole: bool,
}

impl Piece {
    /// The number of its rows.
    pub(crate) fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

impl PieceOf {
    /// Whether all of its values are null, as far as the file says.
    pub(crate) fn is_null(&self) -> bool {
        let rows = |bounds: &Bounds| bounds.rows.end - bounds.rows.start;
        self.bounds.as_ref().is_some_and(|bounds| bounds.nulls == rows(bounds))
    }

    /// How many of `rows` rows, which are those of the piece, are null, if the file says it.
    pub(crate) fn known_nulls(&self, rows: u64) -> Option<u64> {
        if self.is_null() {
            return Some(rows);
        }
        self.bounds.as_ref().filter(|_| self.is_whole).map(|bounds| bounds.nulls)
    }
}

impl XOf {
    pub(crate) fn new(file: &MetricsFile, request: &Request) -> Self {
        let seconds = |unit| match unit {
            TimeUnit::Milliseconds => 1e3,
            TimeUnit::Microseconds => 1e6,
            TimeUnit::Nanoseconds => 1e9,
            // Days are divided by a part of one.
            _ => 1.0 / 86_400.0,
        };
        let time = match request.x {
            XAxis::Time | XAxis::Relative => {
                request.x.column().and_then(|name| file.time_type(name))
            }
            _ => None,
        };
        let unit = time.map_or(1.0, |time| seconds(time.unit));
        Self { x: request.x, origin: 0.0, unit, is_positive: request.log_x == Axis::Log }
    }

    /// The x of a number; NaN if it has no place on the axis.
    pub(crate) fn of(&self, number: f64) -> f64 {
        let x = self.place(number);
        if self.is_allowed(x) { x } else { f64::NAN }
    }

    /// The x of a number, wherever it is.
    pub(crate) fn place(&self, number: f64) -> f64 {
        number / self.unit - self.origin
    }

    /// Whether an x has a place on the axis.
    pub(crate) fn is_allowed(&self, x: f64) -> bool {
        let is_epoch = self.x == XAxis::Step && x < 0.0;
        x.is_finite() && !is_epoch && (!self.is_positive || x > 0.0)
    }

    /// The x of each row of a piece, NaN where it has no place.
    pub(crate) fn read(&self, file: &MetricsFile, piece: &Piece) -> Result<Vec<f64>, ReadError> {
        let Some(name) = self.x.column() else {
            return Ok(piece.rows.clone().map(|row| self.of(row as f64)).collect());
        };
        let numbers = file.numbers(name, piece.rows.clone())?;
        if numbers.present.is_none() {
            let mut xs = numbers.values;
            for x in &mut xs {
                *x = self.of(*x);
            }
            return Ok(xs);
        }
        Ok(numbers.iter().map(|number| number.map_or(f64::NAN, |number| self.of(number))).collect())
    }

    pub(crate) fn key(&self, piece: &Piece) -> RangeKey {
        RangeKey {
            rows: piece.rows.clone(),
            x: self.x,
            content: piece.x.as_ref().map(|x| x.content),
            origin: self.origin.to_bits(),
            unit: self.unit.to_bits(),
            is_positive: self.is_positive,
        }
    }

    /// The least and the largest x of a piece, if the file says it.
    pub(crate) fn known_range(&self, piece: &Piece) -> Option<Reach> {
        let Some(x) = &piece.x else {
            let first = self.of(piece.rows.start as f64);
            // Row 0 is not on a log axis.
            let first = if first.is_nan() { self.of(piece.rows.start as f64 + 1.0) } else { first };
            let last = self.of(piece.rows.end as f64 - 1.0);
            return Some(Reach::of((first <= last).then_some([first, last]).into_iter().flatten()));
        };
        let bounds = x.bounds.as_ref()?;
        if bounds.nulls == bounds.rows.end - bounds.rows.start {
            return Some(Reach::Nowhere);
        }
        let ends = float(bounds.min.as_ref()?).zip(float(bounds.max.as_ref()?));
        let (least, largest) = ends?;
        let (least, largest) = (self.place(least), self.place(largest));
        if self.is_allowed(least) && x.is_whole {
            return Some(Reach::Between(least, largest));
        }
        // No row of it, whichever count.
        (!self.is_allowed(largest) && largest.is_finite()).then_some(Reach::Nowhere)
    }
}

/// The least and the largest x of each piece, as [`ranges`]. Relative times begin with the first of them.
pub(crate) fn placed(
    file: &MetricsFile,
    pieces: &[Piece],
    x_of: &mut XOf,
    threads: usize,
    cache: &mut Cache,
) -> Result<Vec<Option<(f64, f64)>>, ReadError> {
    if x_of.x == XAxis::Relative {
        let absolute = XOf { is_positive: false, ..*x_of };
        let ranges = ranges(file, pieces, &absolute, threads, cache)?;
        let first = ranges.iter().flatten().map(|(least, _)| *least).reduce(f64::min);
        x_of.origin = first.unwrap_or(0.0);
    }
    ranges(file, pieces, x_of, threads, cache)
}

/// The least and the largest x of each piece; what the file does not say is read.
fn ranges(
    file: &MetricsFile,
    pieces: &[Piece],
    x_of: &XOf,
    threads: usize,
    cache: &mut Cache,
) -> Result<Vec<Option<(f64, f64)>>, ReadError> {
    let mut found: Vec<_> = pieces
        .iter()
        .map(|piece| x_of.known_range(piece).or_else(|| cache.range(&x_of.key(piece))))
        .collect();
    let unknown: Vec<_> = (0..pieces.len()).filter(|number| found[*number].is_none()).collect();
    let read = threads::run(&unknown, threads, |number| {
        let xs = x_of.read(file, &pieces[*number])?;
        Ok::<_, ReadError>(Reach::of(xs))
    })?;
    for (number, range) in unknown.into_iter().zip(read) {
        cache.keep_range(x_of.key(&pieces[number]), range);
        found[number] = Some(range);
    }
    Ok(found.into_iter().map(|range| range.and_then(Reach::ends)).collect())
}

/// The pieces of a picture, in the order of the file.
pub(crate) fn pieces(
    file: &MetricsFile,
    request: &Request,
    cache: &mut Cache,
) -> Result<Vec<Piece>, ReadError> {
    let all = 0..file.rows();
    let attempts = request.rows.as_deref().unwrap_or(std::slice::from_ref(&all));
    let mut pieces = Vec::new();
    let mut groups = Vec::new();
    for group in file.groups() {
        let is_needed = |rows: &Range<u64>| {
            rows.start < group.rows.end && group.rows.start < rows.end && !rows.is_empty()
        };
        if attempts.iter().any(is_needed) {
            let mut chunks = |name: &str| chunks(file, name, &group, cache);
            let x = request.x.column().map(&mut chunks).transpose()?;
            let columns = request.columns.iter().map(|name| chunks(name));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            // All columns have the same pieces.
            let Some(of) = x.as_ref().or(columns.first()).cloned() else { continue };
            groups.push((of, x, columns));
        }
    }
    let type_of = |name: &str| {
        let field = file.fields().iter().find(|field| field.name == name);
        field.map(|field| field.data_type)
    };
    for (attempt, rows) in attempts.iter().enumerate() {
        for (of, x, columns) in &groups {
            for (number, chunk) in of.iter().enumerate() {
                let start = chunk.rows.start.max(rows.start);
                let counted = start..chunk.rows.end.min(rows.end);
                if counted.is_empty() {
                    continue;
                }
                let part = |chunks: &Arc<Vec<Chunk>>, name: &str| {
                    let chunk = chunks.get(number)?;
                    let is_whole = chunk.rows == counted;
                    Some(PieceOf {
                        content: Content::of(chunk.extent, type_of(name)),
                        bounds: chunk.bounds.clone(),
                        is_whole,
                    })
                };
                pieces.push(Piece {
                    attempt,
                    x: x.as_ref().zip(request.x.column()).and_then(|(x, name)| part(x, name)),
                    values: columns
                        .iter()
                        .zip(&request.columns)
                        .filter_map(|(column, name)| part(column, name))
                        .collect(),
                    rows: counted,
                });
            }
        }
    }
    Ok(pieces)
}

fn chunks(
    file: &MetricsFile,
    name: &str,
    group: &RowGroup,
    cache: &mut Cache,
) -> Result<Arc<Vec<Chunk>>, ReadError> {
    let Some(key) = table_key(group, name) else { return Ok(Arc::new(file.chunks(name, group)?)) };
    if let Some(known) = cache.table(&key) {
        return Ok(known);
    }
    let found = Arc::new(file.chunks(name, group)?);
    cache.keep_table(key, Arc::clone(&found));
    Ok(found)
}

/// A bound as a number.
pub(crate) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}
