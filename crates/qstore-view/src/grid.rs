//! The x axis of a picture, cut into pixel columns.
//!
//! A pixel column is a whole number of cells, and a cell is a power of two wide, at a multiple of its width. So
//! while a run grows, its cells stay the same; only the number of them in a column changes. Rows that were
//! reduced to cells need not be read again, and the columns are exact all the same. The price is that the axis
//! may end up to a sixteenth of its length after the last row.

use crate::axis::Axis;
use crate::error::ViewError;

/// The maximum width of a picture in pixels.
pub(crate) const WIDTH_MAX: u32 = 1 << 16;

/// The least number of cells in a column: what is wasted at the right end is less than a part in this number.
const CELLS_MIN: f64 = 16.0;

/// Cells are not narrower than the distance between the largest x and the next number.
const DIGITS: i32 = f64::MANTISSA_DIGITS as i32 - 2;

/// The x axis of a picture, and its pixel columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    axis: Axis,
    cells: Cells,
    /// The first cell of the first column.
    first: i64,
    /// The number of cells in a column.
    in_column: i64,
    columns: u32,
}

/// The x axis cut into cells of 2^`exponent`; on a log axis the logarithm to base 2 of x is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cells {
    axis: Axis,
    exponent: i32,
}

impl Grid {
    /// An axis of that many pixel columns that shows everything from one x to another. A log axis begins at the
    /// least number above 0, if `from` is not above it.
    ///
    /// # Errors
    /// [`ViewError::Width`] for no columns or more than 65 536, [`ViewError::EmptyWindow`] if an end is not
    /// finite, or the first is after the second, or a log axis would end at 0 or before it.
    pub fn covering(from: f64, to: f64, columns: u32, axis: Axis) -> Result<Self, ViewError> {
        if columns == 0 || columns > WIDTH_MAX {
            return Err(ViewError::Width { width: columns, max: WIDTH_MAX });
        }
        let (start, end) = match axis {
            Axis::Linear => (from, to),
            Axis::Log => (from.max(f64::MIN_POSITIVE).log2(), to.log2()),
        };
        if !(start.is_finite() && end.is_finite() && start <= end) {
            return Err(ViewError::EmptyWindow { from, to });
        }
        let largest = start.abs().max(end.abs());
        // Of a single x: so that it is somewhere, and its neighbors are elsewhere.
        let (start, end) = if start >= end {
            let room = (largest * 2_f64.powi(-20)).max(0.5);
            (start - room, end + room)
        } else {
            (start, end)
        };
        let width = (end * 0.5 - start * 0.5) / (CELLS_MIN * f64::from(columns)) * 2.0;
        let exponent = exponent_of(width).max(exponent_of(largest) - DIGITS);
        let cells = Cells { axis, exponent: exponent.clamp(-1_000, 1_000) };
        let (first, last) = (cells.of_place(start), cells.of_place(end));
        let columns_len = i64::from(columns);
        let in_column = (last - first + 1).div_euclid(columns_len)
            + i64::from((last - first + 1).rem_euclid(columns_len) > 0);
        Ok(Self { axis, cells, first, in_column, columns })
    }

    /// The number of pixel columns.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.columns
    }

    /// How it is divided.
    #[must_use]
    pub fn axis(&self) -> Axis {
        self.axis
    }

    /// The pixel column of an x, which is not one of the picture's if the x is outside it; `None` if x is not
    /// finite, or cannot be on a log axis.
    #[must_use]
    pub fn column(&self, x: f64) -> Option<i64> {
        self.cells.of(x).map(|cell| self.column_of(cell))
    }

    /// The x at the left edge of a column, or that far from it.
    #[must_use]
    pub fn x_at(&self, column: f64) -> f64 {
        let place = (self.first as f64 + column * self.in_column as f64) * self.cells.width();
        match self.axis {
            Axis::Linear => place,
            Axis::Log => place.exp2(),
        }
    }

    /// Where an x is, in columns from the left edge of the picture.
    #[must_use]
    pub fn place(&self, x: f64) -> f64 {
        let place = match self.axis {
            Axis::Linear => x,
            Axis::Log => x.log2(),
        };
        (place / self.cells.width() - self.first as f64) / self.in_column as f64
    }

    /// The x at the left edge.
    #[must_use]
    pub fn from(&self) -> f64 {
        self.x_at(0.0)
    }

    /// The x at the right edge.
    #[must_use]
    pub fn to(&self) -> f64 {
        self.x_at(f64::from(self.columns))
    }

    pub(crate) fn cells(&self) -> Cells {
        self.cells
    }

    pub(crate) fn column_of(&self, cell: i64) -> i64 {
        (cell - self.first).div_euclid(self.in_column)
    }
}

impl Cells {
    /// The cell of an x.
    pub(crate) fn of(self, x: f64) -> Option<i64> {
        let place = match self.axis {
            Axis::Linear => x,
            Axis::Log if x > 0.0 => x.log2(),
            Axis::Log => return None,
        };
        place.is_finite().then(|| self.of_place(place))
    }

    fn of_place(self, place: f64) -> i64 {
        // Exact: a power of two. It is far from the ends of the type, except for an x far outside.
        ((place / self.width()).floor() as i64).clamp(-(1 << 60), 1 << 60)
    }

    /// The least x that is in a cell, and the least that is after it. Only of a linear axis, where it is exact.
    pub(crate) fn range(self, cell: i64) -> Option<(f64, f64)> {
        let exact = |cell: i64| cell.unsigned_abs() < 1 << f64::MANTISSA_DIGITS;
        let is_exact = self.axis == Axis::Linear && exact(cell) && exact(cell + 1);
        is_exact.then(|| (cell as f64 * self.width(), (cell + 1) as f64 * self.width()))
    }

    fn width(self) -> f64 {
        2_f64.powi(self.exponent)
    }
}

/// The largest power of two that is not above a number; of 0 the least of all.
fn exponent_of(number: f64) -> i32 {
    const BIAS: i32 = 1_023;
    (number.to_bits() >> 52 & 0x7ff) as i32 - BIAS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_axis_covers_what_it_should_and_little_more(
            from in -1e9..1e9_f64,
            len in prop_oneof![1e-6..1.0_f64, 1.0..1e9_f64],
            columns in 1_u32..5_000,
            inside in 0.0..1.0_f64,
        ) {
            let to = from + len;
            let grid = Grid::covering(from, to, columns, Axis::Linear).unwrap();
            prop_assert_eq!(grid.column(from), Some(0));
            let last = grid.column(to).unwrap();
            prop_assert!((0..i64::from(columns)).contains(&last), "{last} {grid:?}");
            // Cells cannot be narrower than numbers are apart.
            let is_wide = len > from.abs().max(to.abs()) * 1e-9;
            prop_assert!(!is_wide || grid.to() - to <= len / 15.0, "{grid:?}");
            let x = from + inside * len;
            let (least, next) = grid.cells.range(grid.cells.of(x).unwrap()).unwrap();
            prop_assert!(least <= x && x < next);
            prop_assert!((grid.place(grid.x_at(3.0)) - 3.0).abs() < 1e-3);
        }

        #[test]
        fn a_log_axis_covers_what_it_should(
            from in 1e-9..1e3_f64, times in 1.01..1e9_f64, columns in 1_u32..5_000,
        ) {
            let to = from * times;
            let grid = Grid::covering(from, to, columns, Axis::Log).unwrap();
            prop_assert_eq!(grid.column(from), Some(0));
            prop_assert!((0..i64::from(columns)).contains(&grid.column(to).unwrap()));
            prop_assert_eq!(grid.column(0.0), None);
        }

        #[test]
        fn cells_stay_while_a_run_grows(end in 1_000.0..1e7_f64, columns in 50_u32..2_000) {
            let grid = |to: f64| Grid::covering(0.0, to, columns, Axis::Linear).unwrap();
            let (now, later) = (grid(end), grid(end * 1.01));
            let is_same = now.cells == later.cells;
            let is_next = now.cells.exponent + 1 == later.cells.exponent;
            prop_assert!(is_same || is_next);
        }
    }

    #[test]
    fn one_x_and_odd_windows() {
        for x in [0.0, 5.0, -1e15, 1.7e9, 1e300] {
            let grid = Grid::covering(x, x, 100, Axis::Linear).unwrap();
            assert!((30..70).contains(&grid.column(x).unwrap()), "{x}: {grid:?}");
        }
        let grid = |from, to, columns, axis| Grid::covering(from, to, columns, axis).is_ok();
        assert!(grid(0.0, 8.0, 1, Axis::Log));
        assert!(grid(-f64::MAX, f64::MAX, 100, Axis::Linear));
        assert!(!grid(0.0, 1.0, 0, Axis::Linear));
        assert!(!grid(0.0, 1.0, WIDTH_MAX + 1, Axis::Linear));
        assert!(!grid(1.0, 0.0, 9, Axis::Linear));
        assert!(!grid(f64::NAN, 0.0, 9, Axis::Linear));
        assert!(!grid(-1.0, 0.0, 9, Axis::Log));
    }
}
