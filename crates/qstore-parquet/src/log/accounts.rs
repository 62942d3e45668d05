//! The accounts of a session: rows that the ring accepted and lost, and rows that did not fit.
//!
//! They are written into the footer; see [`Audit`].

use crate::format::audit::{Audit, FORMAT_VERSION, Segment};
use crate::format::published::Published;
use crate::log::settings::WriterSettings;
use qstore_buffer::BufferStats;

/// The number of columns whose omitted values are counted one by one.
const OMITTED_NAMES_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Accounts {
    /// The sessions before this one.
    earlier: Vec<Segment>,
    this: Segment,
    /// Whether the rows are copies, of which the sessions before have given account.
    is_copy: bool,
    /// Whether there is a ring that reports what it accepted.
    is_observed: bool,
}

impl Accounts {
    pub(crate) fn new(published: Option<&Published>, settings: &WriterSettings) -> Self {
        let earlier = published.and_then(|file| Audit::read(&file.keys)).unwrap_or_default();
        let first_row = published.map_or(0, Published::rows);
        let this = Segment {
            first_row,
            run_id: settings.run_id.clone().unwrap_or_else(random_id),
            resumed_epoch: settings.resumed_epoch,
            attempt: settings.attempt,
            cut_row: settings.cut_row.map(|row| row.min(first_row)),
            ..Segment::default()
        };
        Self { earlier: earlier.segments, this, is_copy: false, is_observed: false }
    }

    /// The accounts of files whose rows are copied, one after the other, with the number of rows of each.
    pub(crate) fn of_copy<'a>(files: impl Iterator<Item = (Option<&'a Audit>, u64)>) -> Self {
        let (mut earlier, mut rows) = (Vec::new(), 0);
        for (audit, len) in files {
            for segment in audit.iter().flat_map(|audit| &audit.segments) {
                // What a footer claims may be anything.
                let first_row = segment.first_row.saturating_add(rows);
                let cut_row = segment.cut_row.map(|row| row.saturating_add(rows));
                earlier.push(Segment { first_row, cut_row, ..segment.clone() });
            }
            rows = rows.saturating_add(len);
        }
        Self { earlier, this: Segment::default(), is_copy: true, is_observed: false }
    }

    pub(crate) fn observe(&mut self, intake: &BufferStats) {
        self.is_observed = true;
        self.this.accepted = intake.pushed;
        self.this.dropped = intake.dropped;
        self.this.refused = intake.refused;
        self.this.evicted = intake.evicted;
        self.this.cleared = intake.cleared;
        self.this.lost_labels = intake.lost_first.zip(intake.lost_last);
    }

    pub(crate) fn rejected(&mut self, label: Option<i64>) {
        self.this.rejected += 1;
        if let Some(label) = label {
            let (first, _) = self.this.rejected_labels.unwrap_or((label, label));
            self.this.rejected_labels = Some((first, label));
        }
    }

    pub(crate) fn omitted(&mut self, column: &str) {
        self.this.omitted_values += 1;
        let omitted = &mut self.this.omitted;
        if let Some(count) = omitted.get_mut(column) {
            *count += 1;
        } else if omitted.len() < OMITTED_NAMES_MAX {
            omitted.insert(column.to_owned(), 1);
        } // The footer is written at every flush: of further names only the total is counted.
    }

    pub(crate) fn omitted_values(&self) -> u64 {
        self.this.omitted_values
    }

    /// What the file records when it holds `written` rows of this session.
    pub(crate) fn audit(&self, written: u64, closed: bool) -> Audit {
        let mut this = Segment { written, closed, ..self.this.clone() };
        if !self.is_observed {
            this.accepted = written + this.rejected;
        }
        let mut segments = self.earlier.clone();
        if !self.is_copy {
            segments.push(this);
        }
        Audit { format_version: FORMAT_VERSION.into(), closed, segments }
    }
}

/// Sixteen hexadecimal digits that identify a session, or make a name unique.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::time::{SystemTime, UNIX_EPOCH};
    // The standard library seeds these from the system's random numbers, but only once in each thread: the
    // children of one process would have the same number.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u128(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos()));
    let number = hasher.finish();
    format!("{number:016x}")
}
