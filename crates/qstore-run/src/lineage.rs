//! Which checkpoint a resumed run goes on from, and which rows count then.
//!
//! Attempts form a tree: each goes on from a checkpoint of an earlier one, which need not be the last. What was
//! given up stays on the disk, so "the newest" is the newest on the way back from the last attempt.

use crate::run_file::{RunAttempt, RunFile, RunOrigin};
use qstore_checkpoint::CheckpointInfo;
use qstore_parquet::{MetricsFile, ReadError, Segment, Values};
use qstore_schema::StateDict;
use std::ops::Range;

/// The entry in the metadata of a checkpoint of a run.
pub(crate) const META: &str = "qstore";

/// What a checkpoint records of the run that saved it.
pub(crate) fn meta(run: &str, attempt: u64, step: i64, rows_accepted: u64) -> StateDict {
    let mut meta = StateDict::new();
    meta.insert("run", run);
    meta.insert("attempt", attempt as i64);
    meta.insert("step", step);
    meta.insert("rows_accepted", rows_accepted as i64);
    meta
}

/// Where an attempt that goes on from a checkpoint comes from. One of another run has no place in this one.
pub(crate) fn origin(run: &RunFile, info: &CheckpointInfo) -> RunOrigin {
    let mut origin = RunOrigin::new(info.number, info.save_seq);
    let meta = info.metadata.dict(META).filter(|meta| meta.text("run") == Some(&run.id));
    if let Some(meta) = meta {
        let count = |name: &str| meta.int(name).and_then(|count| u64::try_from(count).ok());
        origin.attempt = count("attempt");
        origin.step = meta.int("step");
        origin.rows_accepted = count("rows_accepted");
    }
    origin
}

/// Whether a checkpoint is on the way back from the last attempt. One that was saved without a run is.
pub(crate) fn is_current(attempts: &[RunAttempt], origin: &RunOrigin) -> bool {
    let (Some(saved_by), Some(mark)) = (origin.attempt, origin.rows_accepted) else { return true };
    let mut rows_max = u64::MAX;
    let mut next = attempts.last();
    // Each step goes to a lower number, so the walk ends.
    while let Some(attempt) = next {
        if attempt.number == saved_by {
            return mark <= rows_max;
        }
        let Some(from) = &attempt.from else { return false };
        rows_max = from.rows_accepted.unwrap_or(u64::MAX);
        let Some(number) = from.attempt.filter(|number| *number < attempt.number) else {
            // It went on from a checkpoint without a place: nothing is known of what is before.
            return true;
        };
        next = attempts.iter().find(|attempt| attempt.number == number);
    }
    false
}

/// Which rows count for an attempt that goes on from a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The first row that does not count anymore.
    pub(crate) row: u64,
    /// Rows that the checkpoint has seen, and the file does not have.
    pub(crate) rows_missing: u64,
}

/// The cut of an attempt that goes on from this checkpoint.
pub(crate) fn cut(
    file: &MetricsFile,
    attempts: &[RunAttempt],
    origin: &RunOrigin,
) -> Result<Cut, ReadError> {
    let segments = file.audit().map_or(&[][..], |audit| &audit.segments);
    let Some((attempt, mark)) = origin.attempt.zip(origin.rows_accepted) else {
        // Saved without a run: the columns tell which rows come later.
        let ranges = file.current();
        let mut row = ranges.last().map_or(0, |range| range.end);
        for range in ranges.into_iter().rev() {
            row = rows_until(file, range.clone(), origin)?;
            if row > range.start {
                break;
            }
        }
        return Ok(Cut { row, rows_missing: 0 });
    };
    let found = segments.iter().find(|segment| segment.attempt == Some(attempt));
    match found.filter(|_| mark > 0) {
        Some(segment) if is_exact(segment) => {
            let rows = mark.min(segment.written);
            Ok(Cut { row: segment.first_row + rows, rows_missing: mark - rows })
        }
        // Some of the rows that it accepted are not in the file, so counting does not find the place.
        Some(segment) => {
            let rows = segment.first_row..segment.first_row + segment.written.min(mark);
            Ok(Cut { row: rows_until(file, rows, origin)?, rows_missing: 0 })
        }
        // It has saved before it has logged: what counts is what counted for it.
        None => {
            let own = attempts.iter().find(|found| found.number == attempt);
            let first_row = found.map_or(0, |segment| segment.first_row);
            let row = own.and_then(|own| own.cut_row).unwrap_or(first_row);
            Ok(Cut { row, rows_missing: mark })
        }
    }
}

/// Whether every row that the session has accepted is in the file, up to the last one.
fn is_exact(segment: &Segment) -> bool {
    segment.rejected == 0 && segment.evicted == 0 && segment.cleared == 0
}

/// The end of the rows in this range that were logged before the checkpoint: the others have a later step or, if
/// they sum up an epoch, a later epoch.
fn rows_until(file: &MetricsFile, range: Range<u64>, origin: &RunOrigin) -> Result<u64, ReadError> {
    const BLOCK: u64 = 65_536;
    let has = |name: &str| file.fields().iter().any(|field| field.name == name);
    if !has("step") || !has("epoch") {
        return Ok(range.end);
    }
    let mut end = range.end;
    while end > range.start {
        let start = end.saturating_sub(BLOCK).max(range.start);
        let table = file.read(&["epoch", "step"], start..end)?;
        let (Some(Values::Int(epochs)), Some(Values::Int(steps))) =
            (table.column("epoch"), table.column("step"))
        else {
            return Ok(range.end);
        };
        let is_later = |(epoch, step): (&Option<i64>, &Option<i64>)| match (origin.step, step) {
            (Some(saved), Some(step)) if *step >= 0 => *step > saved,
            _ => epoch.is_some_and(|epoch| u64::try_from(epoch).is_ok_and(|e| e > origin.number)),
        };
        let later = epochs.iter().zip(steps).rev().take_while(|row| is_later(*row)).count() as u64;
        end -= later;
        if end > start {
            break;
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::utc_time::UtcTime;

    fn attempt(number: u64, from: Option<(u64, u64)>) -> RunAttempt {
        let mut attempt = RunAttempt::new(number, UtcTime::now(), 1);
        attempt.from = from.map(|(attempt, rows)| origin(attempt, rows));
        attempt
    }

    fn origin(attempt: u64, rows: u64) -> RunOrigin {
        RunOrigin { attempt: Some(attempt), rows_accepted: Some(rows), ..RunOrigin::new(0, 0) }
    }

    #[test]
    fn a_checkpoint_that_was_given_up_is_not_gone_on_from() {
        let attempts = [attempt(1, None), attempt(2, Some((1, 80))), attempt(3, Some((2, 20)))];
        for (saved_by, rows, expected) in [
            (3, 7, true),
            (2, 20, true),
            (2, 21, false),
            (1, 80, true),
            (1, 81, false),
            (4, 1, false),
        ] {
            assert_eq!(
                is_current(&attempts, &origin(saved_by, rows)),
                expected,
                "{saved_by} {rows}"
            );
        }
        // Attempt 3 has gone back behind attempt 2.
        let attempts = [attempt(1, None), attempt(2, Some((1, 80))), attempt(3, Some((1, 50)))];
        for (saved_by, rows, expected) in [(2, 1, false), (1, 50, true), (1, 60, false)] {
            assert_eq!(
                is_current(&attempts, &origin(saved_by, rows)),
                expected,
                "{saved_by} {rows}"
            );
        }
        // Attempt 2 began at the beginning.
        let attempts = [attempt(1, None), attempt(2, None)];
        assert!(!is_current(&attempts, &origin(1, 0)));
        // Without a run nothing is given up.
        assert!(is_current(&attempts, &RunOrigin::new(3, 4)));
    }
}
