//! A picture of dots: one-pixel lines, no smoothing of edges.
//!
//! It draws a series that was reduced, and it draws every row of a column in memory. By the rules below both
//! are the same picture, dot for dot; a test proves it, and the Braille picture is made of these dots.
//!
//! * Rows in one pixel column are joined: the column is filled from its lowest to its highest dot.
//! * A line leads from the last row in a column to the first row in a later one, unless a value between them
//!   is NaN or infinite. Each column that it crosses is filled from where it enters to where it leaves.
//! * No line leads to an earlier column.
//! * A value that is not finite is a tick on the rim of its column. A gap inside one column is only that tick:
//!   it is narrower than a dot.

use crate::axis::YAxis;
use crate::grid::Grid;
use crate::series::Series;

/// A picture of dots, and ticks on its rims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    columns: usize,
    rows: usize,
    dots: Vec<bool>,
    rims: Vec<Rim>,
}

/// What is on the rims of a pixel column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rim {
    /// A value is NaN.
    pub nan: bool,
    /// A value is +∞.
    pub above: bool,
    /// A value is −∞.
    pub below: bool,
}

impl Raster {
    /// An empty picture of that size in dots.
    #[must_use]
    pub fn new(columns: usize, rows: usize) -> Self {
        let rows = rows.max(1);
        let (dots, rims) = (vec![false; columns * rows], vec![Rim::default(); columns]);
        Self { columns, rows, dots, rims }
    }

    /// The width in dots.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The height in dots.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether a dot is set; row 0 is the highest. What is outside is not.
    #[must_use]
    pub fn dot(&self, column: usize, row: usize) -> bool {
        column < self.columns && row < self.rows && self.dots[column * self.rows + row]
    }

    /// The rims of a column.
    #[must_use]
    pub fn rim(&self, column: usize) -> Rim {
        self.rims.get(column).copied().unwrap_or_default()
    }

    /// Draws a series, of a grid as wide as the picture.
    pub fn draw(&mut self, series: &Series, y: &YAxis) {
        for trace in &series.traces {
            for (column, bucket) in &trace.buckets {
                let column = *column as usize;
                if let Some(rim) = self.rims.get_mut(column) {
                    rim.nan |= bucket.nans > 0;
                    rim.above |= bucket.above > 0;
                    rim.below |= bucket.below > 0;
                }
                if bucket.finite() > 0 {
                    let (low, high) = (y.row(bucket.min, self.rows), y.row(bucket.max, self.rows));
                    self.fill(column, high, low);
                }
            }
            for [(from, before), (to, after)] in trace.lines() {
                self.line((from, y.row(before, self.rows)), (to, y.row(after, self.rows)));
            }
        }
    }

    /// Draws every row of an attempt, one by one. It is what [`draw`](Self::draw) must be equal to.
    pub fn draw_rows(
        &mut self,
        rows: impl IntoIterator<Item = (f64, Option<f64>)>,
        grid: &Grid,
        y: &YAxis,
    ) {
        // The last row with a value: its column, its dot, and whether a line may lead away from it.
        let mut before: Option<(i64, usize)> = None;
        let (mut is_broken, mut reached) = (false, i64::MIN);
        for (x, value) in rows {
            let (Some(column), Some(value)) = (grid.column(x), value) else { continue };
            let is_inside = usize::try_from(column).is_ok_and(|column| column < self.columns);
            if column < reached {
                // A new trace: whatever came before is not joined to it.
                (before, is_broken) = (None, false);
            }
            reached = column;
            if !value.is_finite() {
                is_broken = true;
                if is_inside {
                    let rim = &mut self.rims[column as usize];
                    rim.nan |= value.is_nan();
                    rim.above |= value == f64::INFINITY;
                    rim.below |= value == f64::NEG_INFINITY;
                }
                continue;
            }
            let row = y.row(value, self.rows);
            match before {
                Some((last, from)) if last == column => {
                    if is_inside {
                        self.fill(column as usize, from, row);
                    }
                }
                Some(from) if !is_broken => self.line(from, (column, row)),
                _ => {
                    if is_inside {
                        self.fill(column as usize, row, row);
                    }
                }
            }
            (before, is_broken) = (Some((column, row)), false);
        }
    }

    /// Sets the dots of a column between two of its rows.
    fn fill(&mut self, column: usize, one: usize, other: usize) {
        if column < self.columns {
            let start = column * self.rows;
            self.dots[start + one.min(other)..=start + one.max(other)].fill(true);
        }
    }

    /// Draws a line to a later column; both ends may be outside the picture.
    fn line(&mut self, (from, from_row): (i64, usize), (to, to_row): (i64, usize)) {
        let last = i64::try_from(self.columns).unwrap_or(i64::MAX).saturating_sub(1);
        let (rise, run) = (to_row as i128 - from_row as i128, i128::from(to) - i128::from(from));
        // The row where the line is, in half columns from its beginning, to the nearest.
        let row_at = |halves: i128| {
            let halves = halves.clamp(0, 2 * run);
            (from_row as i128 + (2 * rise * halves + 2 * run).div_euclid(4 * run)) as usize
        };
        for column in from.max(0)..=to.min(last) {
            let middle = 2 * (i128::from(column) - i128::from(from));
            self.fill(column as usize, row_at(middle - 1), row_at(middle + 1));
        }
    }
}

#[cfg(test)]
mod tests;
