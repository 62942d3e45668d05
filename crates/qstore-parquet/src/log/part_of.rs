//! What a log and a dataset tell each other about a part.

use qstore_schema::Field;

/// What became of a file that was to get the name that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealing {
    /// It has the name, and that is durable.
    Done,
    /// Someone has removed it.
    Missing,
    /// It can be tried again.
    Failed,
}

/// What a log must know that writes a part of a dataset.
pub(crate) struct PartOf<'a> {
    /// The value of the partition column.
    pub(crate) rank: u32,
    /// Columns that the file is to have in addition to the declared ones.
    pub(crate) columns: &'a [Field],
    /// Whether a new file is published at once, before it has rows.
    pub(crate) is_shown: bool,
    /// Whether engines may read it while it is written.
    pub(crate) is_live: bool,
}
