//! Which checkpoint a resumed run goes on from, and which rows count then.
//!
//! Attempts form a tree: each goes on from a checkpoint of an earlier one, which need not be the last. What was
//! given up stays on the disk, so "the newest" is the newest on the way back from the last attempt.

use crate::run_file::{RunAttempt, RunFile, RunOrigin};
use qstore_checkpoint::{CheckpointInfo, Counter};
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
    let (mut rows_max, mut seq_max) = (u64::MAX, u64::MAX);
    let mut next = attempts.last();
    // Each step goes to a lower number, so the walk ends.
    while let Some(attempt) = next {
        if attempt.number == saved_by {
            // Saves without a row between them have the same mark.
            // mutant: given_up_by_rows_alone
            return mark <= rows_max && origin.save_seq <= seq_max;
        }
        let Some(from) = &attempt.from else { return false };
        (rows_max, seq_max) = (from.rows_accepted.unwrap_or(u64::MAX), from.save_seq);
        let Some(number) = from.attempt.filter(|number| *number < attempt.number) else {
            // It went on from a checkpoint without a place: of what is before only the order is known.
            return origin.save_seq <= seq_max;
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

/// The cut of an attempt that goes on from this checkpoint, in a directory that counts epochs or steps.
pub(crate) fn cut(
    file: &MetricsFile,
    run: &RunFile,
    origin: &RunOrigin,
    counter: Counter,
) -> Result<Cut, ReadError> {
    let segments = file.audit().map_or(&[][..], |audit| &audit.segments);
    let Some((attempt, mark)) = origin.attempt.zip(origin.rows_accepted) else {
        // Saved without a run: the columns tell which rows come later.
        let ranges = file.current();
        let mut row = ranges.last().map_or(0, |range| range.end);
        for range in ranges.into_iter().rev() {
            row = rows_until(file, range.clone(), origin, counter)?;
            if row > range.start {
                break;
            }
        }
        return Ok(Cut { row, rows_missing: 0 });
    };
    // A process that was killed before it had recorded its attempt has left a session with the same number.
    let is_own = |segment: &&Segment| segment.attempt == Some(attempt) && segment.run_id == run.id;
    // mutant: session_of_a_killed_process_taken_for_its_own
    let found = segments.iter().rfind(is_own);
    let Some(segment) = found.filter(|_| mark > 0) else {
        // It has saved before it has logged: what counts is what counted for it.
        let own = run.attempts.iter().find(|found| found.number == attempt);
        let first_row = found.map_or(0, |segment| segment.first_row);
        let row = own.and_then(|own| own.cut_row).unwrap_or(first_row);
        return Ok(Cut { row: row.min(file.rows()), rows_missing: mark });
    };
    // The footer may be damaged, and claim anything.
    let first_row = segment.first_row.min(file.rows());
    let end = first_row.saturating_add(segment.written.min(mark)).min(file.rows());
    let elsewhere = [segment.rejected, segment.evicted, segment.cleared];
    let elsewhere = elsewhere.into_iter().fold(0, u64::saturating_add);
    let rows_missing = mark.saturating_sub(segment.written.saturating_add(elsewhere));
    let row = match elsewhere {
        0 => end,
        // Some of the rows that it accepted are not in the file, so counting does not find the place.
        _ => rows_until(file, first_row..end, origin, counter)?,
    };
    Ok(Cut { row, rows_missing })
}

/// The end of the rows in this range that were logged before the checkpoint: the others have a later step or, if
/// they sum up an epoch, a later epoch. Where steps are counted, the epoch of a checkpoint is not known; a row that
/// sums up an epoch is later then if a later step is before it.
fn rows_until(
    file: &MetricsFile,
    range: Range<u64>,
    origin: &RunOrigin,
    counter: Counter,
) -> Result<u64, ReadError> {
    const BLOCK: u64 = 65_536;
    let has = |name: &str| file.fields().iter().any(|field| field.name == name);
    let number = i64::try_from(origin.number).unwrap_or(i64::MAX);
    let (names, saved, epoch): (&[&str], _, _) = match counter {
        Counter::Step => (&["step"], Some(origin.step.unwrap_or(number)), None),
        _ => (&["step", "epoch"], origin.step, Some(number)),
    };
    if !names.iter().all(|name| has(name)) {
        return Ok(range.end);
    }
    let is_later = |row_step: Option<i64>, row_epoch: Option<i64>| match (saved, row_step) {
        (Some(saved), Some(step)) if step >= 0 => Some(step > saved),
        _ => epoch.map(|epoch| row_epoch.is_some_and(|found| found > epoch)),
    };
    let (mut end, mut left) = (range.end, range.end);
    while left > range.start {
        let start = left.saturating_sub(BLOCK).max(range.start);
        let table = file.read(names, start..left)?;
        let ints = |name| match table.column(name) {
            Some(Values::Int(values)) => Some(values),
            _ => None,
        };
        let Some(steps) = ints("step") else { return Ok(range.end) };
        let epochs = ints("epoch");
        if epoch.is_some() && epochs.is_none() {
            return Ok(range.end);
        }
        for (at, step) in steps.iter().enumerate().rev() {
            match is_later(*step, epochs.and_then(|epochs| epochs[at])) {
                Some(true) => end = start + at as u64,
                Some(false) => return Ok(end),
                None => {}
            }
        }
        left = start;
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
        // Saves without a row between them: attempt 2 went back to the first of the two.
        let mut attempts = [attempt(1, None), attempt(2, Some((1, 80)))];
        attempts[1].from.as_mut().unwrap().save_seq = 7;
        for (save_seq, expected) in [(6, true), (7, true), (8, false)] {
            let origin = RunOrigin { save_seq, ..origin(1, 80) };
            assert_eq!(is_current(&attempts, &origin), expected, "{save_seq}");
        }
        // Attempt 2 went on from a checkpoint that was saved without a run, behind those of attempt 1.
        attempts[1].from = Some(RunOrigin::new(3, 7));
        for (save_seq, expected) in [(6, true), (8, false)] {
            let origin = RunOrigin { save_seq, ..origin(1, 80) };
            assert_eq!(is_current(&attempts, &origin), expected, "{save_seq}");
        }
        // Attempt 2 began at the beginning.
        let attempts = [attempt(1, None), attempt(2, None)];
        assert!(!is_current(&attempts, &origin(1, 0)));
        // Without a run nothing is given up.
        assert!(is_current(&attempts, &RunOrigin::new(3, 4)));
    }
}
