//! The exact series of a request: every row that counts is in it.
//!
//! Chunks that were reduced before come from the cache; the others are read on all cores, the newest first.
//! Which chunks a window needs is known from the bounds in the file.

use crate::cache::{Cache, LeafKey};
use crate::error::ViewError;
use crate::grid::Grid;
use crate::leaf::Leaf;
use crate::request::Request;
use crate::series::Series;
use crate::source::{self, Piece, XOf};
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

    let needed = needed(&pieces, &ranges, &grid, request.columns.len());
    let leaves = leaves(file, request, (&pieces, &needed), (&x_of, &grid), threads, cache)?;
    let attempts = pieces.last().map_or(0, |last| last.attempt + 1);
    let series = request.columns.iter().enumerate().map(|(column, name)| {
        let mut of_attempts = vec![Vec::new(); attempts];
        for (piece, leaves) in pieces.iter().zip(&leaves) {
            of_attempts[piece.attempt].extend(leaves[column].as_deref());
        }
        let series = Series::of_leaves(grid, of_attempts);
        Series { column: name.clone(), x: request.x, ..series }
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

/// Which columns of which pieces have rows in the picture, or the ends of lines that lead into it.
fn needed(
    pieces: &[Piece],
    ranges: &[Option<(f64, f64)>],
    grid: &Grid,
    columns: usize,
) -> Vec<Vec<bool>> {
    let side = |(least, largest): (f64, f64)| match (grid.column(least), grid.column(largest)) {
        (_, Some(last)) if last < 0 => Side::Left,
        (Some(first), _) if first >= i64::from(grid.columns()) => Side::Right,
        _ => Side::Inside,
    };
    let sides: Vec<_> = ranges.iter().map(|range| range.map(side)).collect();
    let mut needed = vec![vec![false; columns]; pieces.len()];
    // The last piece that has a value, by column.
    let mut before = vec![None; columns];
    for (number, piece) in pieces.iter().enumerate() {
        let Some(side) = sides[number] else { continue };
        for (column, before) in before.iter_mut().enumerate() {
            if piece.values.get(column).is_none_or(source::PieceOf::is_null) {
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

type Leaves = Vec<Vec<Option<Arc<Leaf>>>>;

/// The reduced chunks that are needed, for each piece and column.
fn leaves(
    file: &MetricsFile,
    request: &Request,
    (pieces, needed): (&[Piece], &[Vec<bool>]),
    (x_of, grid): (&XOf, &Grid),
    threads: usize,
    cache: &mut Cache,
) -> Result<Leaves, ReadError> {
    let cells = grid.cells();
    let key = |piece: &Piece, column: usize| LeafKey {
        x: x_of.key(piece),
        value: piece.values[column].extent,
        cells,
    };
    let mut leaves: Leaves = Vec::with_capacity(pieces.len());
    let mut missing = Vec::new();
    for (number, (piece, needed)) in pieces.iter().zip(needed).enumerate() {
        let (mut found, mut to_read) = (vec![None; needed.len()], Vec::new());
        for (column, _) in needed.iter().enumerate().filter(|(_, is_needed)| **is_needed) {
            found[column] = cache.leaf(&key(piece, column));
            if found[column].is_none() {
                to_read.push(column);
            }
        }
        if !to_read.is_empty() {
            missing.push((number, to_read));
        }
        leaves.push(found);
    }
    // What is newest is what is looked at.
    missing.reverse();
    let read = threads::run(&missing, threads, |(number, columns)| {
        let piece = &pieces[*number];
        let xs = x_of.read(file, piece)?;
        let leaf = |column: &usize| {
            let numbers = file.numbers(&request.columns[*column], piece.rows.clone())?;
            let (present, values) = (numbers.present.as_deref(), &numbers.values);
            Ok(Arc::new(Leaf::of(&xs, present, values, cells)))
        };
        columns.iter().map(leaf).collect::<Result<Vec<_>, ReadError>>()
    })?;
    for ((number, columns), read) in missing.into_iter().zip(read) {
        for (column, leaf) in columns.into_iter().zip(read) {
            cache.keep_leaf(key(&pieces[number], column), Arc::clone(&leaf));
            leaves[number][column] = Some(leaf);
        }
    }
    Ok(leaves)
}
