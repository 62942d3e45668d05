//! Numbers that were read, without nulls between them: what a picture or a sum needs of a column.
//!
//! `Values` has an `Option` for each row, which is twice the memory and a branch for each value.

use std::ops::Range;

/// The numbers in a column, in some consecutive rows; see
/// [`MetricsFile::numbers`](crate::MetricsFile::numbers).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Numbers {
    /// The rows, counted from 0.
    pub rows: Range<u64>,
    /// The values of the rows that have one, in order. Integers are rounded to floats, which is exact up to
    /// 2⁵³; flags are 0 and 1.
    pub values: Vec<f64>,
    /// Whether each row has a value; `None` if all have.
    pub present: Option<Vec<bool>>,
}

impl Numbers {
    /// One value for each row, `None` for null.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// # let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// # log.append(&Row::from([("loss", 0.5)]), Instant::now());
    /// # log.append(&Row::from([("step", 1)]), Instant::now());
    /// # log.close()?;
    /// let numbers = MetricsFile::open(&path)?.numbers("loss", 0..u64::MAX)?;
    /// assert_eq!(numbers.iter().collect::<Vec<_>>(), [Some(0.5), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        let mut values = self.values.iter().copied();
        let rows = (self.rows.end - self.rows.start) as usize;
        let present = self.present.as_deref();
        (0..rows).map(move |row| {
            let has = present.is_none_or(|present| present.get(row).is_some_and(|has| *has));
            if has { values.next() } else { None }
        })
    }

    /// No rows, before row number `row`.
    pub(crate) fn empty(row: u64) -> Self {
        Self { rows: row..row, values: Vec::new(), present: None }
    }

    /// Null in all of these rows.
    pub(crate) fn nulls(rows: usize) -> Self {
        // bounded: a row group has at most `GROUP_ROWS_MAX` rows
        Self { rows: 0..rows as u64, values: Vec::new(), present: Some(vec![false; rows]) }
    }

    /// Keeps only these rows, counted from the first that is here.
    pub(crate) fn cut(&mut self, rows: &Range<usize>) {
        let len = (self.rows.end - self.rows.start) as usize;
        let (start, end) = (rows.start.min(len), rows.end.min(len));
        let values = match &mut self.present {
            Some(present) => {
                let before = count(&present[..start]);
                let values = before..before + count(&present[start..end]);
                present.truncate(end);
                present.drain(..start);
                values
            }
            None => start..end,
        };
        self.values.truncate(values.end);
        self.values.drain(..values.start);
        self.rows = self.rows.start + start as u64..self.rows.start + end as u64;
    }

    /// Adds the rows after these.
    pub(crate) fn append(&mut self, mut more: Self) {
        if self.rows.is_empty() {
            *self = more;
            return;
        }
        if self.present.is_some() || more.present.is_some() {
            let all = |rows: &Range<u64>| vec![true; (rows.end - rows.start) as usize];
            let theirs = more.present.take().unwrap_or_else(|| all(&more.rows));
            self.present.get_or_insert_with(|| all(&self.rows)).extend(theirs);
        }
        self.rows.end = more.rows.end;
        self.values.append(&mut more.values);
    }
}

fn count(present: &[bool]) -> usize {
    present.iter().filter(|has| **has).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(first: u64, values: &[Option<f64>]) -> Numbers {
        let present: Vec<_> = values.iter().map(Option::is_some).collect();
        Numbers {
            rows: first..first + values.len() as u64,
            values: values.iter().copied().flatten().collect(),
            present: (!present.iter().all(|has| *has)).then_some(present),
        }
    }

    proptest! {
        #[test]
        fn parts_put_together_are_the_whole(
            values in prop::collection::vec(prop::option::weighted(0.7, -9.0..9.0_f64), 1..40),
            at: prop::sample::Index,
        ) {
            let at = at.index(values.len() + 1);
            let whole = of(3, &values);
            prop_assert_eq!(whole.iter().collect::<Vec<_>>(), values.clone());
            let (mut first, mut second) = (whole.clone(), whole.clone());
            first.cut(&(0..at));
            second.cut(&(at..values.len()));
            prop_assert_eq!(first.iter().collect::<Vec<_>>(), values[..at].to_vec());
            prop_assert_eq!(second.rows.clone(), 3 + at as u64..whole.rows.end);
            let mut all = Numbers::empty(3);
            all.append(first);
            all.append(second);
            prop_assert_eq!(all.rows.clone(), whole.rows.clone());
            prop_assert_eq!(all.iter().collect::<Vec<_>>(), values);
        }
    }
}
