//! What a reader remembers of a version: enough to recognize a later version of the same file, and
//! another file that has taken its path.

use crate::format::audit::Audit;
use crate::format::footer::Fingerprint;

/// What is remembered of a version after it was closed.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) rows: u64,
    pub(crate) is_closed: bool,
    sessions: Vec<Session>,
}

#[derive(Debug, Clone)]
struct Session {
    run_id: String,
    first_row: u64,
    written: u64,
}

impl History {
    /// The history of a version with these rows and this audit.
    pub(crate) fn new(fingerprint: Fingerprint, rows: u64, audit: Option<&Audit>) -> Self {
        let segments = audit.into_iter().flat_map(|audit| &audit.segments);
        let sessions = segments.map(|segment| Session {
            run_id: segment.run_id.clone(),
            first_row: segment.first_row,
            written: segment.written,
        });
        let is_closed = audit.is_some_and(|audit| audit.closed);
        Self { fingerprint, rows, is_closed, sessions: sessions.collect() }
    }

    /// Whether the other version can have come from this one: the same sessions and perhaps more, and
    /// no row less. Anything else is another file under the same path.
    pub(crate) fn is_continued_by(&self, newer: &Self) -> bool {
        let last = self.sessions.len().wrapping_sub(1);
        newer.rows >= self.rows
            && newer.sessions.len() >= self.sessions.len()
            && self.sessions.iter().zip(&newer.sessions).enumerate().all(|(number, (old, new))| {
                let is_written = if number == last {
                    new.written >= old.written
                } else {
                    new.written == old.written
                };
                is_written && new.run_id == old.run_id && new.first_row == old.first_row
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(rows: u64, sessions: &[(&str, u64, u64)]) -> History {
        let session = |(run_id, first_row, written): &(&str, u64, u64)| Session {
            run_id: (*run_id).to_owned(),
            first_row: *first_row,
            written: *written,
        };
        let sessions = sessions.iter().map(session).collect();
        let fingerprint = Fingerprint::default();
        History { fingerprint, rows, is_closed: false, sessions }
    }

    #[test]
    fn a_file_is_continued_only_by_one_with_its_sessions_and_rows() {
        let old = history(30, &[("a", 0, 10), ("b", 10, 20)]);
        for (rows, sessions, is_continued) in [
            (30, &[("a", 0, 10), ("b", 10, 20)][..], true),
            (35, &[("a", 0, 10), ("b", 10, 25)], true),
            (40, &[("a", 0, 10), ("b", 10, 20), ("c", 30, 10)], true),
            (25, &[("a", 0, 10), ("b", 10, 15)], false),
            (40, &[("a", 0, 20), ("b", 20, 20)], false),
            (40, &[("a", 0, 10), ("x", 10, 30)], false),
            (40, &[("x", 0, 40)], false),
            (40, &[], false),
        ] {
            let new = history(rows, sessions);
            assert_eq!(old.is_continued_by(&new), is_continued, "{sessions:?}");
        }
        // A file of another program, which a session of ours continues.
        assert!(history(5, &[]).is_continued_by(&history(6, &[("a", 5, 1)])));
    }
}
