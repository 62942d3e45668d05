//! What a log and a dataset tell each other about a part.

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartOf {
    /// The value of the partition column.
    pub(crate) rank: u32,
    /// Whether a new file is published at once, before it has rows.
    pub(crate) is_shown: bool,
    /// Whether engines may read it while it is written.
    pub(crate) is_live: bool,
}
