//! A line of a picture: the pixel columns that it goes through, and where it comes from and leads to.

use crate::bucket::Bucket;

/// Consecutive rows of an attempt whose x does not go back to an earlier pixel column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Trace {
    /// The number of the attempt that the rows are of, counted from 0.
    pub attempt: usize,
    /// The last row before the picture, if a line leads from it into the picture.
    pub lead: Option<Point>,
    /// The pixel columns that have rows, from left to right, each with its number.
    pub buckets: Vec<(u32, Bucket)>,
    /// The first row after the picture, if a line leads to it.
    pub tail: Option<Point>,
}

/// The end of a line outside the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// The pixel column; less than 0, or not less than the number of columns.
    pub column: i64,
    /// The value.
    pub value: f64,
}

impl Trace {
    pub(crate) fn new(attempt: usize) -> Self {
        Self { attempt, lead: None, buckets: Vec::new(), tail: None }
    }

    /// The lines between its columns, from the last value of one to the first value of the next: two columns and
    /// values each. Its first and its last line may begin and end outside the picture.
    pub(crate) fn lines(&self) -> impl Iterator<Item = [(i64, f64); 2]> + '_ {
        let first = self.lead.map(|lead| (lead.column, lead.value));
        let last = self.tail.map(|tail| (tail.column, tail.value));
        let pairs = self.buckets.windows(2).filter_map(|pair| {
            let [(from, before), (to, after)] = pair else { return None };
            let is_joined = !before.is_broken_after && !after.is_broken_before;
            is_joined.then_some([(i64::from(*from), before.last), (i64::from(*to), after.first)])
        });
        let begin = self.buckets.first().map(|(column, bucket)| (i64::from(*column), bucket.first));
        let end = self.buckets.last().map(|(column, bucket)| (i64::from(*column), bucket.last));
        let into = first.zip(begin.or(last)).map(|(from, to)| [from, to]);
        let out = end.zip(last).map(|(from, to)| [from, to]);
        into.into_iter().chain(pairs).chain(out)
    }
}
