//! Runs of rows, in the order of the file, become the traces of a picture.
//!
//! Consecutive rows in one pixel column are one bucket, whatever chunk they are in. Where x goes back to an
//! earlier column, a new trace begins: no line is drawn backwards.

use crate::bucket::Bucket;
use crate::grid::Grid;
use crate::leaf::Leaf;
use crate::trace::{Point, Trace};
use std::collections::BTreeMap;

/// An attempt with more traces, whose x goes back as often or more, has no lines, only its columns: as many lines would
/// hide each other.
const TRACES_MAX: usize = 256;

/// Puts the traces of a picture together.
#[derive(Debug)]
pub(crate) struct Fold<'a> {
    grid: &'a Grid,
    attempt: usize,
    /// The traces of all attempts so far.
    traces: Vec<Trace>,
    /// The first of this attempt.
    first: usize,
    /// The trace that grows.
    trace: Option<Trace>,
    /// The column that the rows read last are in, and what they are reduced to.
    open: Option<(i64, Bucket)>,
    /// The columns of this attempt, instead of its traces.
    cloud: Option<BTreeMap<u32, Bucket>>,
    pub(crate) nulls: u64,
    pub(crate) left_out: u64,
}

impl<'a> Fold<'a> {
    pub(crate) fn new(grid: &'a Grid) -> Self {
        Self {
            grid,
            attempt: 0,
            traces: Vec::new(),
            first: 0,
            trace: None,
            open: None,
            cloud: None,
            nulls: 0,
            left_out: 0,
        }
    }

    /// Adds the rows after those so far.
    pub(crate) fn leaf(&mut self, leaf: &Leaf) {
        self.left_out += leaf.left_out;
        self.nulls += leaf.nulls;
        for run in &leaf.runs {
            if run.bucket.n > 0 {
                self.add(self.grid.column_of(run.cell), &run.bucket);
            }
        }
    }

    fn add(&mut self, column: i64, bucket: &Bucket) {
        if let Some((at, rows)) = &mut self.open
            && *at == column
        {
            *rows = rows.merge(bucket);
            return;
        }
        self.close(Some((column, bucket)));
        match &mut self.cloud {
            Some(cloud) => {
                if let Some(column) = shown(self.grid, column) {
                    add_to(cloud, column, bucket);
                }
            }
            None => self.open = Some((column, *bucket)),
        }
    }

    /// The rows in a column are complete, and these come next.
    fn close(&mut self, next: Option<(i64, &Bucket)>) {
        let Some((at, rows)) = self.open.take() else { return };
        let is_shown = shown(self.grid, at);
        if let Some(column) = is_shown {
            let attempt = self.attempt;
            self.trace.get_or_insert_with(|| Trace::new(attempt)).buckets.push((column, rows));
        }
        let next = next.filter(|(column, _)| *column > at);
        let is_joined = |next: &Bucket| !rows.is_broken_after && !next.is_broken_before;
        let line = next.filter(|(_, next)| is_joined(next)).map(|(column, next)| {
            [Point { column: at, value: rows.last }, Point { column, value: next.first }]
        });
        let is_next_shown = next.is_some_and(|(column, _)| shown(self.grid, column).is_some());
        match (is_shown.is_some(), is_next_shown) {
            (true, true) => {}
            (true, false) => {
                let tail = line.map(|[_, tail]| tail);
                if let Some(trace) = &mut self.trace {
                    trace.tail = tail;
                }
                self.end_trace();
            }
            (false, true) => {
                let (attempt, lead) = (self.attempt, line.map(|[lead, _]| lead));
                self.trace = Some(Trace { lead, ..Trace::new(attempt) });
            }
            (false, false) => {
                // A line may cross the picture all the same.
                if let Some([lead, tail]) =
                    line.filter(|[lead, tail]| lead.column < 0 && tail.column >= 0)
                {
                    let (lead, tail) = (Some(lead), Some(tail));
                    self.trace = Some(Trace { lead, tail, ..Trace::new(self.attempt) });
                    self.end_trace();
                }
            }
        }
    }

    fn end_trace(&mut self) {
        self.traces.extend(self.trace.take());
        if self.traces.len() - self.first > TRACES_MAX {
            let cloud = self.cloud.get_or_insert_default();
            for (column, bucket) in self.traces.drain(self.first..).flat_map(|trace| trace.buckets)
            {
                add_to(cloud, column, &bucket);
            }
        }
    }

    /// The rows so far were all of an attempt.
    pub(crate) fn end_attempt(&mut self) {
        self.close(None);
        self.traces.extend(self.trace.take());
        if let Some(cloud) = self.cloud.take() {
            let apart = |(column, bucket): (u32, Bucket)| {
                (column, Bucket { is_broken_before: true, is_broken_after: true, ..bucket })
            };
            let buckets = cloud.into_iter().map(apart).collect();
            self.traces.push(Trace { buckets, ..Trace::new(self.attempt) });
        }
        self.first = self.traces.len();
        self.attempt += 1;
    }

    /// The traces of all attempts.
    pub(crate) fn traces(self) -> Vec<Trace> {
        self.traces
    }
}

fn add_to(cloud: &mut BTreeMap<u32, Bucket>, column: u32, bucket: &Bucket) {
    let known = cloud.entry(column).or_insert(Bucket::EMPTY);
    *known = known.merge(bucket);
}

/// The number of a column that is in the picture.
fn shown(grid: &Grid, column: i64) -> Option<u32> {
    u32::try_from(column).ok().filter(|column| *column < grid.columns())
}

#[cfg(test)]
mod tests {
    use crate::axis::Axis;
    use crate::grid::Grid;
    use crate::series::Series;

    /// A line that goes back that often, with a spike in the last trace.
    fn series(times: usize) -> Series {
        let xs: Vec<f64> = (0..=times).flat_map(|_| [1.0, 8.0]).collect();
        let mut values = vec![0.5; xs.len()];
        *values.last_mut().unwrap() = 9.0;
        Series::of_rows(&xs, &values, Grid::covering(0.0, 9.0, 10, Axis::Linear).unwrap())
    }

    #[test]
    fn an_attempt_that_goes_back_too_often_has_columns_and_no_lines() {
        let drawn = series(255);
        assert_eq!(drawn.traces.len(), 256);
        assert!(drawn.traces.iter().all(|trace| trace.lines().count() == 1));
        let cloud = series(256);
        assert_eq!(cloud.traces.len(), 1, "a trace for all of them");
        assert_eq!(cloud.traces[0].lines().count(), 0);
        // No value is lost by it.
        assert_eq!((cloud.total().n, cloud.total().max), (2 * 257, 9.0));
    }
}
