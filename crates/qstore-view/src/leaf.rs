//! The rows of one chunk, reduced to the cells of an axis: what a cache keeps of it.

use crate::bucket::Bucket;
use crate::grid::Cells;

/// Rows in the order of the file, reduced: a new run begins wherever x enters another cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaf {
    pub(crate) runs: Vec<Run>,
    /// How many rows with a value have no place on the axis.
    pub(crate) left_out: u64,
    /// How many rows have no value, wherever they are.
    pub(crate) nulls: u64,
}

/// Consecutive rows in one cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) cell: i64,
    pub(crate) bucket: Bucket,
}

impl Leaf {
    /// Reduces rows. A row whose x is not finite has no place; `values` are those of the rows that are `present`,
    /// `None` being all.
    pub(crate) fn of(xs: &[f64], present: Option<&[bool]>, values: &[f64], cells: Cells) -> Self {
        let nulls = (xs.len() - values.len()) as u64;
        let (mut leaf, mut row, mut value) = (Self { nulls, ..Self::default() }, 0, 0);
        while row < xs.len() {
            let cell = cells.of(xs[row]);
            let len = 1 + match cell.map(|cell| (cell, cells.range(cell))) {
                // It began in the cell, so as long as it rises, only the upper end is to be looked for.
                Some((_, Some((_, next)))) => {
                    let rises = |pair: &&[f64]| pair[0] <= pair[1] && pair[1] < next;
                    xs[row..].windows(2).take_while(rises).count()
                }
                Some((cell, None)) => {
                    let rises =
                        |pair: &&[f64]| pair[0] <= pair[1] && cells.of(pair[1]) == Some(cell);
                    xs[row..].windows(2).take_while(rises).count()
                }
                None => xs[row + 1..].iter().take_while(|x| cells.of(**x).is_none()).count(),
            };
            let rows = row..row + len;
            let present = present.map(|present| &present[rows.clone()]);
            let count = present.map_or(len, |present| present.iter().filter(|has| **has).count());
            let values = &values[value..value + count];
            match cell {
                Some(cell) => leaf.push(cell, &Bucket::of_rows(&xs[rows], present, values)),
                None => leaf.left_out += count as u64,
            }
            row += len;
            value += count;
        }
        leaf.runs.shrink_to_fit();
        leaf
    }

    fn push(&mut self, cell: i64, bucket: &Bucket) {
        match self.runs.last_mut() {
            // Between them x went back a little, or a row has no place.
            Some(last) if last.cell == cell => last.bucket = last.bucket.merge(bucket),
            _ => self.runs.push(Run { cell, bucket: *bucket }),
        }
    }

    /// Whether a row that has a place on the axis has a value.
    pub(crate) fn has_values(&self) -> bool {
        self.runs.iter().any(|run| run.bucket.n > 0)
    }

    /// About the memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.runs.capacity() * size_of::<Run>()
    }
}
