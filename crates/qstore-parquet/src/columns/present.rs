//! Which rows of a column have a value.
//!
//! Runs of rows, so that a column which is set once in a thousand rows costs as little as its values, and
//! one that is set in every row costs nothing for it.

use std::ops::Range;

/// The rows that have a value, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Present {
    runs: Vec<Run>,
    /// The number of values.
    values: u32,
}

/// Rows with a value, up to the first value of the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    row: u32,
    /// The number of values before it.
    value: u32,
}

impl Present {
    /// The first `rows` rows.
    pub(crate) fn all(rows: usize) -> Self {
        let mut all = Self::default();
        if rows > 0 {
            all.runs.push(Run { row: 0, value: 0 });
            all.values = rows as u32;
        }
        all
    }

    /// The number of the row after the last one with a value.
    pub(crate) fn end(&self) -> usize {
        self.runs.last().map_or(0, |run| (run.row + (self.values - run.value)) as usize)
    }

    /// Adds a row, which comes after all others.
    pub(crate) fn push(&mut self, row: usize) {
        // Rows in memory are far fewer than 2^32.
        if self.runs.is_empty() || row > self.end() {
            self.runs.push(Run { row: row as u32, value: self.values });
        }
        self.values += 1;
    }

    /// Removes the last row.
    pub(crate) fn pop(&mut self) {
        self.values = self.values.saturating_sub(1);
        self.runs.pop_if(|run| run.value == self.values);
    }

    /// The number of values before a row.
    pub(crate) fn before(&self, row: usize) -> usize {
        let later = self.runs.partition_point(|run| (run.row as usize) < row);
        let Some(run) = later.checked_sub(1).map(|last| self.runs[last]) else { return 0 };
        let end = self.runs.get(later).map_or(self.values, |next| next.value);
        (row - run.row as usize).saturating_add(run.value as usize).min(end as usize)
    }

    /// Becomes some rows of another, counted from the first of them.
    pub(crate) fn copy_from(&mut self, other: &Self, rows: &Range<usize>) {
        self.runs.clear();
        self.values = 0;
        // Of ten thousand columns that are set now and then, most have no value in the rows of a flush.
        if other.end() <= rows.start || rows.is_empty() {
            return;
        }
        let (start, end) = (rows.start as u32, u32::try_from(rows.end).unwrap_or(u32::MAX));
        let from = other.before(rows.start) as u32;
        let first = other.runs.partition_point(|run| run.row < start);
        // The run that began before these rows, if it reaches into them.
        let next = other.runs.get(first).map_or(other.values, |run| run.value);
        if from < next {
            self.runs.push(Run { row: 0, value: 0 });
        }
        let later = other.runs[first..].iter().take_while(|run| run.row < end);
        self.runs.extend(later.map(|run| Run { row: run.row - start, value: run.value - from }));
        self.values = other.before(rows.end) as u32 - from;
    }

    /// Drops the first rows; the others are counted from there.
    pub(crate) fn forget(&mut self, rows: usize) {
        let all = std::mem::take(self);
        self.copy_from(&all, &(rows..usize::MAX));
    }

    /// The runs of rows.
    pub(crate) fn runs(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.runs_from(0)
    }

    fn runs_from(&self, first: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
        (first..self.runs.len()).map(|number| {
            let run = self.runs[number];
            let end = self.runs.get(number + 1).map_or(self.values, |next| next.value);
            run.row as usize..(run.row + (end - run.value)) as usize
        })
    }

    /// A level for each of `rows` rows: 1 for a value, 0 for null.
    pub(crate) fn levels(&self, rows: usize) -> Vec<i16> {
        let mut levels = vec![0; rows];
        for run in self.runs() {
            levels[run].fill(1);
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(levels: &[bool]) -> Present {
        let mut present = Present::default();
        levels.iter().enumerate().filter(|(_, is)| **is).for_each(|(row, _)| present.push(row));
        present
    }

    fn levels(levels: &[bool]) -> Vec<i16> {
        levels.iter().map(|is| i16::from(*is)).collect()
    }

    proptest! {
        #[test]
        fn runs_are_the_same_as_a_level_for_each_row(
            all in prop::collection::vec(prop::bool::weighted(0.6), 1..60),
            from: prop::sample::Index,
            len: prop::sample::Index,
        ) {
            let present = of(&all);
            prop_assert_eq!(present.levels(all.len()), levels(&all));
            let last = all.iter().rposition(|is| *is);
            prop_assert_eq!(present.end(), last.map_or(0, |last| last + 1));
            for row in 0..=all.len() {
                let before = all[..row].iter().filter(|is| **is).count();
                prop_assert_eq!(present.before(row), before);
            }
            let start = from.index(all.len());
            let end = start + len.index(all.len() - start + 1);
            let mut part = Present::all(3);
            part.copy_from(&present, &(start..end));
            prop_assert_eq!(part.levels(end - start), levels(&all[start..end]));
            prop_assert_eq!(&part, &of(&all[start..end]));
            let mut rest = present.clone();
            rest.forget(start);
            prop_assert_eq!(rest.levels(all.len() - start), levels(&all[start..]));
            if let Some(last) = last {
                let mut fewer = present;
                fewer.pop();
                prop_assert_eq!(fewer, of(&all[..last]));
            }
        }
    }

    #[test]
    fn all_rows_are_one_run() {
        assert_eq!(Present::all(5), of(&[true; 5]));
        assert_eq!(Present::all(0), Present::default());
    }
}
