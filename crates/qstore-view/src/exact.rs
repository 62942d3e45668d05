//! The exact series of a request: every row that counts is in it.
//!
//! Chunks that were reduced before come from the cache; the others are read on all cores, the newest first.
//! Which chunks a window needs is known from the bounds in the file.

use crate::cache::{Cache, LeafKey};
use crate::error::ViewError;
use crate::grid::{Cells, Grid};
use crate::leaf::Leaf;
use crate::request::Request;
use crate::series::Series;
use crate::source::{self, Piece, PieceOf, XOf};
use crate::threads;
use qstore_parquet::{MetricsFile, ReadError};
use std::sync::Arc;

/// The series of a request, one for each column, in the order of the request. Empty if no row has a place on
/// the axis.
///
/// ```
/// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
/// use qstore_schema::Row;
/// use qstore_view::{Cache, Request, exact};
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
/// for step in 0..100_i64 {
///     let row = Row::from([("step", step as f64), ("loss", 1.0 / (1.0 + step as f64))]);
///     log.append(&row, Instant::now());
/// }
/// log.close()?;
///
/// let (file, mut cache) = (MetricsFile::open(&path)?, Cache::new());
/// let series = exact(&file, &Request::new(["loss"]).width(10), &mut cache)?;
/// assert_eq!(series[0].total().n, 100);
/// assert_eq!(series[0].total().max, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ViewError::Read`] when the file does not have one of the columns or the one that x is in, when one of them does not hold
/// numbers, or a chunk that is needed cannot be read; [`ViewError::EmptyWindow`] and [`ViewError::Width`] for a request that
/// shows nothing.
pub fn exact(
    file: &MetricsFile,
    request: &Request,
    cache: &mut Cache,
) -> Result<Vec<Series>, ViewError> {
    let threads = threads::count(request.threads);
    let mut x_of = XOf::new(file, request);
    let pieces = source::pieces(file, request, cache)?;
    let ranges = source::placed(file, &pieces, &mut x_of, threads, cache)?;
    let grid = grid(request, &ranges)?;

    let of = Reading { file, request, pieces: &pieces, x_of: &x_of, cells: grid.cells(), threads };
    let sides: Vec<_> = ranges.iter().map(|range| range.map(|range| side(&grid, range))).collect();
    let mut leaves: Leaves = vec![vec![None; request.columns.len()]; pieces.len()];
    // A chunk that turns out to have no value of a column is not where its line comes from: the one before it is.
    while of.read(&needed(&pieces, &sides, &leaves), &mut leaves, cache)? {}
    let attempts = pieces.last().map_or(0, |last| last.attempt + 1);
    let series = request.columns.iter().enumerate().map(|(column, name)| {
        let mut of_attempts = vec![Vec::new(); attempts];
        for (piece, leaves) in pieces.iter().zip(&leaves) {
            of_attempts[piece.attempt].extend(leaves[column].as_deref());
        }
        let series = Series::of_leaves(grid, of_attempts);
        let (nulls, left_out) = without_place(column, &pieces, &sides, &leaves);
        Series { column: name.clone(), x: request.x, nulls, left_out, ..series }
    });
    let series = series.collect();
    cache.trim();
    Ok(series)
}

/// The x axis of a request.
pub(crate) fn grid(request: &Request, ranges: &[Option<(f64, f64)>]) -> Result<Grid, ViewError> {
    let ends = ranges.iter().flatten().copied();
    let found = ends.reduce(|(least, largest), (from, to)| (least.min(from), largest.max(to)));
    // Without a row any axis will do, as long as it has the ends that were asked for.
    let (least, largest) = found.unwrap_or_else(|| {
        let from = request.from.or(request.to).unwrap_or(1.0);
        (from, request.to.unwrap_or(from))
    });
    let from = request.from.unwrap_or(least.min(request.to.unwrap_or(least)));
    let to = request.to.unwrap_or(largest.max(request.from.unwrap_or(largest)));
    Grid::covering(from, to, request.width, request.log_x)
}

/// Where the x of a piece are, relative to the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Inside,
    Right,
}

fn side(grid: &Grid, (from, to): (f64, f64)) -> Side {
    match (grid.column(from), grid.column(to)) {
        (_, Some(end)) if end < 0 => Side::Left,
        (Some(start), _) if start >= i64::from(grid.columns()) => Side::Right,
        _ => Side::Inside,
    }
}

/// The reduced chunks that were read, for each piece and column.
type Leaves = Vec<Vec<Option<Arc<Leaf>>>>;

/// Which columns of which pieces have rows in the picture, or the ends of lines that lead into it.
fn needed(pieces: &[Piece], sides: &[Option<Side>], leaves: &Leaves) -> Vec<Vec<bool>> {
    let columns = leaves.first().map_or(0, Vec::len);
    let mut needed = vec![vec![false; columns]; pieces.len()];
    // The last piece that has a value, or may have one, by column.
    let mut before = vec![None; columns];
    for (number, piece) in pieces.iter().enumerate() {
        let Some(side) = sides[number] else {
            // It is not in the picture, but the rows in it are counted.
            for (column, needed) in needed[number].iter_mut().enumerate() {
                let known =
                    piece.values.get(column).and_then(|values| values.known_nulls(piece.len()));
                *needed |= known.is_none();
            }
            continue;
        };
        for (column, before) in before.iter_mut().enumerate() {
            let is_empty = match &leaves[number][column] {
                Some(leaf) => !leaf.has_values(),
                None => piece.values.get(column).is_none_or(PieceOf::is_null),
            };
            if is_empty {
                continue;
            }
            let last = before.replace(number);
            let last = last.filter(|last: &usize| pieces[*last].attempt == piece.attempt);
            let was = last.and_then(|last| sides[last]);
            let crosses = (was, side) == (Some(Side::Left), Side::Right);
            // A line leads from the one before into the picture or across it, or from there to this one.
            let is_needed = side == Side::Inside || was == Some(Side::Inside) || crosses;
            needed[number][column] |= is_needed;
            if let Some(last) = last.filter(|_| is_needed) {
                needed[last][column] = true;
            }
        }
    }
    needed
}

/// How many rows are null, and how many with a value have no place on the axis, of the pieces that reach into the
/// picture or have no place at all.
fn without_place(
    column: usize,
    pieces: &[Piece],
    sides: &[Option<Side>],
    leaves: &Leaves,
) -> (u64, u64) {
    let (mut nulls, mut left_out) = (0, 0);
    for ((piece, side), leaves) in pieces.iter().zip(sides).zip(leaves) {
        if matches!(side, Some(Side::Left | Side::Right)) {
            continue;
        }
        if let Some(leaf) = &leaves[column] {
            nulls += leaf.nulls;
            left_out += leaf.left_out;
            continue;
        }
        // It was not read, because the file says how many are null: all of them, if it is inside.
        let values = piece.values.get(column);
        let known = values.and_then(|values| values.known_nulls(piece.len())).unwrap_or(0);
        nulls += known;
        if side.is_none() {
            left_out += piece.len() - known;
        }
    }
    (nulls, left_out)
}

/// What chunks are reduced from, and to what.
struct Reading<'a> {
    file: &'a MetricsFile,
    request: &'a Request,
    pieces: &'a [Piece],
    x_of: &'a XOf,
    cells: Cells,
    threads: usize,
}

impl Reading<'_> {
    /// Adds the chunks that are needed; `false` if all of them have been added before.
    fn read(
        &self,
        needed: &[Vec<bool>],
        leaves: &mut Leaves,
        cache: &mut Cache,
    ) -> Result<bool, ReadError> {
        let (mut missing, mut is_new) = (Vec::new(), false);
        for (number, needed) in needed.iter().enumerate() {
            let mut to_read = Vec::new();
            for (column, _) in needed.iter().enumerate().filter(|(_, is_needed)| **is_needed) {
                let leaf = &mut leaves[number][column];
                if leaf.is_none() {
                    is_new = true;
                    *leaf = cache.leaf(&self.key(number, column));
                }
                if leaf.is_none() {
                    to_read.push(column);
                }
            }
            if !to_read.is_empty() {
                missing.push((number, to_read));
            }
        }
        // What is newest is what is looked at.
        missing.reverse();
        let read = threads::run(&missing, self.threads, |(number, columns)| {
            let piece = &self.pieces[*number];
            let xs = self.x_of.read(self.file, piece)?;
            let leaf = |column: &usize| {
                let name = &self.request.columns[*column];
                let numbers = self.file.numbers(name, piece.rows.clone())?;
                let (present, values) = (numbers.present.as_deref(), &numbers.values);
                Ok(Arc::new(Leaf::of(&xs, present, values, self.cells)))
            };
            columns.iter().map(leaf).collect::<Result<Vec<_>, ReadError>>()
        })?;
        for ((number, columns), read) in missing.into_iter().zip(read) {
            for (column, leaf) in columns.into_iter().zip(read) {
                cache.keep_leaf(self.key(number, column), Arc::clone(&leaf));
                leaves[number][column] = Some(leaf);
            }
        }
        Ok(is_new)
    }

    fn key(&self, piece: usize, column: usize) -> LeafKey {
        let piece = &self.pieces[piece];
        LeafKey {
            x: self.x_of.key(piece),
            column: self.request.columns[column].clone(),
            value: piece.values[column].content,
            cells: self.cells,
        }
    }
}
