//! Which rows of a file still count: a run that went back to a checkpoint repeats the steps since then.
//!
//! Every row stays in the file. A session that repeats some of them says from which one on they do not count
//! anymore, and everything else is computed from that.

use crate::format::audit::{Audit, Segment};
use crate::read::reader::MetricsFile;
use std::ops::Range;

impl MetricsFile {
    /// The rows that count, in ascending order: those of an uninterrupted run, once a run that was resumed has
    /// repeated the steps since its checkpoint. All rows, unless a session has set
    /// [`cut_row`](crate::WriterSettings::cut_row). Nothing is read.
    ///
    /// A session continues the one to which the last row before its cut belongs, up to that row. So a run may go
    /// back any number of times, also to a state that an earlier attempt had given up.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::Row;
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let log = |settings: WriterSettings, steps: std::ops::Range<i64>| {
    ///     let mut log = MetricsLog::<Row>::open(&path, settings)?;
    ///     for step in steps {
    ///         log.append(&Row::from([("step", step)]), Instant::now());
    ///     }
    ///     log.close()?;
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// };
    /// log(WriterSettings::default(), 0..10)?;
    /// // The checkpoint was saved after step 6: steps 7 to 9 are repeated.
    /// log(WriterSettings::default().cut_row(7), 7..12)?;
    ///
    /// let file = MetricsFile::open(&path)?;
    /// assert_eq!(file.rows(), 15);
    /// assert_eq!(file.current(), [0..7, 10..15]);
    /// assert_eq!(file.superseded(), [7..10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn current(&self) -> Vec<Range<u64>> {
        self.current_after(None)
    }

    /// As [`current`](Self::current), for a session to come that will set this cut.
    #[must_use]
    pub fn current_after(&self, cut_row: Option<u64>) -> Vec<Range<u64>> {
        current(self.audit().map_or(&[], segments), self.rows(), cut_row)
    }

    /// The rows that do not count anymore, in ascending order: all that are not [current](Self::current).
    #[must_use]
    pub fn superseded(&self) -> Vec<Range<u64>> {
        self.superseded_after(None)
    }

    /// As [`superseded`](Self::superseded), for a session to come that will set this cut.
    #[must_use]
    pub fn superseded_after(&self, cut_row: Option<u64>) -> Vec<Range<u64>> {
        complement(&self.current_after(cut_row), self.rows())
    }
}

fn segments(audit: &Audit) -> &[Segment] {
    &audit.segments
}

/// `cut_row` is that of a session after the last one.
fn current(segments: &[Segment], rows: u64, cut_row: Option<u64>) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    // The rows from here on are decided.
    let mut next = rows;
    match (cut_row, segments.last()) {
        (Some(cut), _) => next = cut.min(rows),
        // The last session cuts also while it has no row yet.
        (None, Some(last)) if last.first_row >= rows => {
            next = last.cut_row.map_or(rows, |cut| cut.min(rows));
        }
        _ => {}
    }
    while next > 0 {
        let Some(owner) = segments.iter().rev().find(|segment| segment.first_row < next) else {
            // Another program has written the rows before the first session.
            push(&mut ranges, 0..next);
            break;
        };
        push(&mut ranges, owner.first_row..next);
        // Never more than the first row, so the walk ends.
        next = owner.cut_row.map_or(owner.first_row, |cut| cut.min(owner.first_row));
    }
    ranges.reverse();
    ranges
}

/// Ranges come last to first; what is contiguous becomes one.
fn push(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.start == range.end => last.start = range.start,
        _ => ranges.push(range),
    }
}

/// What is between the ranges, which are in ascending order.
fn complement(ranges: &[Range<u64>], rows: u64) -> Vec<Range<u64>> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain([rows]);
    starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end).collect()
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of one range are meant")]
mod tests {
    use super::*;

    fn check(sessions: &[(u64, Option<u64>)], rows: u64, expected: &[Range<u64>]) {
        let segments: Vec<_> = sessions
            .iter()
            .map(|&(first_row, cut_row)| Segment { first_row, cut_row, ..Segment::default() })
            .collect();
        assert_eq!(current(&segments, rows, None), expected, "{sessions:?}");
        let count = |ranges: &[Range<u64>]| ranges.iter().map(|r| r.end - r.start).sum::<u64>();
        assert_eq!(count(expected) + count(&complement(expected, rows)), rows);
    }

    #[test]
    fn what_counts_is_the_way_back_from_the_last_session() {
        check(&[], 0, &[]);
        check(&[], 7, &[0..7]);
        check(&[(0, None)], 7, &[0..7]);
        check(&[(0, None), (7, None)], 9, &[0..9]);
        check(&[(3, None)], 9, &[0..9]);
        check(&[(0, None), (100, Some(80))], 150, &[0..80, 100..150]);
        // Back once more, to before the first cut.
        check(&[(0, None), (100, Some(80)), (150, Some(60))], 160, &[0..60, 150..160]);
        // Back within the second attempt.
        check(&[(0, None), (100, Some(80)), (150, Some(120))], 160, &[0..80, 100..120, 150..160]);
        // On from a state that the second attempt had given up.
        check(&[(0, None), (100, Some(80)), (150, Some(90))], 160, &[0..90, 150..160]);
        // From the beginning.
        check(&[(0, None), (100, Some(0))], 150, &[100..150]);
        // No cut: everything counts.
        check(&[(0, None), (100, Some(100))], 150, &[0..150]);
    }

    #[test]
    fn a_session_without_rows_counts_only_as_the_last_one() {
        check(&[(0, None), (100, Some(80))], 100, &[0..80]);
        check(&[(0, None), (100, Some(80)), (100, Some(90))], 120, &[0..90, 100..120]);
        check(&[(0, None), (100, Some(100)), (100, None)], 100, &[0..100]);
        check(&[(0, Some(0))], 0, &[]);
    }

    #[test]
    fn a_session_to_come_cuts_as_if_it_were_there() {
        let segments = [Segment::default()];
        assert_eq!(current(&segments, 10, Some(4)), [0..4]);
        assert_eq!(current(&segments, 10, Some(0)), []);
        assert_eq!(current(&segments, 10, Some(99)), [0..10]);
    }

    #[test]
    fn what_a_damaged_footer_claims_is_bounded() {
        let segment = |first_row, cut_row| Segment { first_row, cut_row, ..Segment::default() };
        let odd = [segment(50, Some(u64::MAX)), segment(20, Some(30)), segment(u64::MAX, Some(9))];
        assert_eq!(current(&odd, 60, None), [0..9]);
        let odd = [segment(50, Some(u64::MAX)), segment(20, Some(30))];
        assert_eq!(current(&odd, 60, None), [0..60]);
    }
}
