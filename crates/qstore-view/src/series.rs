//! What a picture shows of a column of metrics: the same for a terminal, an SVG, a page and a report.

use crate::axis::XAxis;
use crate::bucket::Bucket;
use crate::fold::Fold;
use crate::grid::Grid;
use crate::leaf::Leaf;
use crate::trace::Trace;

/// What a legend says: a title if all series are of one column, and a name for each.
pub(crate) fn legend(series: &[Series]) -> (Option<&str>, Vec<String>) {
    let first = series.first().map(|first| &*first.column).filter(|column| !column.is_empty());
    let is_common = |column: &&str| {
        series.iter().all(|series| series.column == *column && !series.run.is_empty())
    };
    let title = first.filter(is_common);
    let name = |Series { run, column, .. }: &Series| match (&**run, &**column) {
        ("", column) => column.to_owned(),
        (run, "") => run.to_owned(),
        (run, _) if title.is_some() => run.to_owned(),
        (run, column) => format!("{run} {column}"),
    };
    (title, series.iter().map(name).collect())
}

/// A column of metrics over an x axis, reduced to pixel columns.
///
/// ```
/// use qstore_view::{Axis, Grid, Series, XAxis};
///
/// // A million rows, and one of them is a spike.
/// let xs: Vec<f64> = (0..1_000_000).map(f64::from).collect();
/// let mut values = vec![0.5; xs.len()];
/// values[123_456] = 1_000.0;
///
/// let grid = Grid::covering(0.0, 999_999.0, 400, Axis::Linear)?;
/// let series = Series::of_rows(&xs, &values, grid);
/// let [x, min, max, first, last, n] = series.points().find(|point| point[2] > 0.5).expect("a spike");
/// assert_eq!((min, max, first, last), (0.5, 1_000.0, 0.5, 0.5));
/// assert!(x <= 123_456.0 && n < 2_600.0);
/// # Ok::<(), qstore_view::ViewError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// The name of the run, for a legend.
    pub run: String,
    /// The column.
    pub column: String,
    /// What x is.
    pub x: XAxis,
    /// The x axis.
    pub grid: Grid,
    /// The lines, in the order of the file.
    pub traces: Vec<Trace>,
    /// How many rows have no value. Chunks that lie wholly outside a [window](crate::Request::window) do not count.
    pub nulls: u64,
    /// How many rows with a value have no place on the axis: x is null, or cannot be on it. The same chunks count.
    pub left_out: u64,
}

impl Series {
    /// A series of rows in memory. A row whose x is not finite has no place.
    ///
    /// # Panics
    /// If there are not as many values as there are x.
    #[must_use]
    pub fn of_rows(xs: &[f64], values: &[f64], grid: Grid) -> Self {
        assert_eq!(xs.len(), values.len(), "one value for each x");
        let leaf = Leaf::of(xs, None, values, grid.cells());
        Self::of_leaves(grid, [vec![&leaf]])
    }

    /// A series of the chunks of each attempt.
    pub(crate) fn of_leaves<'a>(
        grid: Grid,
        attempts: impl IntoIterator<Item = Vec<&'a Leaf>>,
    ) -> Self {
        let mut fold = Fold::new(&grid);
        for leaves in attempts {
            for leaf in leaves {
                fold.leaf(leaf);
            }
            fold.end_attempt();
        }
        let (nulls, left_out, traces) = (fold.nulls, fold.left_out, fold.traces());
        let (run, column, x) = (String::new(), String::new(), XAxis::Row);
        Self { run, column, x, grid, traces, nulls, left_out }
    }

    /// The same series under that name in the legend.
    #[must_use]
    pub fn named(self, run: impl Into<String>) -> Self {
        Self { run: run.into(), ..self }
    }

    /// All buckets, in the order of the file.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.traces.iter().flat_map(|trace| trace.buckets.iter().map(|(_, bucket)| bucket))
    }

    /// The values that the y axis must reach: the bounds of each bucket.
    pub fn extremes(&self) -> impl Iterator<Item = f64> {
        let finite = self.buckets().filter(|bucket| bucket.finite() > 0);
        finite.flat_map(|bucket| [bucket.min, bucket.max, bucket.first, bucket.last])
    }

    /// All rows in the picture as one bucket.
    #[must_use]
    pub fn total(&self) -> Bucket {
        self.buckets().fold(Bucket::EMPTY, |all, bucket| all.merge(bucket))
    }

    /// One point for each bucket, for a page or another program: the x of its first row, then `min`, `max`, `first`,
    /// `last`, and the number of rows. The values are NaN where none is finite.
    pub fn points(&self) -> impl Iterator<Item = [f64; 6]> {
        self.buckets()
            .map(|rows| [rows.x0, rows.min, rows.max, rows.first, rows.last, rows.n as f64])
    }

    /// Whether nothing can be shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;

    #[test]
    fn a_legend_names_what_differs() {
        let grid = Grid::covering(0.0, 9.0, 10, Axis::Linear).unwrap();
        let series = |run: &str, column: &str| {
            let series = Series::of_rows(&[1.0], &[0.5], grid).named(run);
            Series { column: column.into(), ..series }
        };
        let check = |all: &[Series], title: Option<&str>, names: &[&str]| {
            let (found, of_each) = legend(all);
            assert_eq!(found, title);
            assert_eq!(of_each, names);
        };
        check(&[series("", "loss"), series("", "acc")], None, &["loss", "acc"]);
        check(&[series("a", "loss"), series("b", "loss")], Some("loss"), &["a", "b"]);
        check(&[series("a", "loss"), series("b", "acc")], None, &["a loss", "b acc"]);
        check(&[series("a", "")], None, &["a"]);
        check(&[], None, &[]);
    }
}
