//! What went through a buffer, as numbers.

use std::time::Duration;

/// A buffer's counters at one moment. While pushes and pops are going on they may be off by the
/// calls in progress; they never run backwards.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BufferStats {
    /// The buffer's name.
    pub name: String,
    /// Items inside.
    pub size: usize,
    /// How many fit.
    pub maxsize: usize,
    /// Items stored so far.
    pub pushed: u64,
    /// Items taken out so far.
    pub popped: u64,
    /// Items thrown away by [`clear`](crate::AsyncBuffer::clear).
    pub cleared: u64,
    /// Items thrown away to make room for newer ones, under
    /// [`Overflow::DropOldest`](crate::Overflow::DropOldest).
    pub evicted: u64,
    /// Items handed back because the buffer was full.
    pub dropped: u64,
    /// Items handed back because the buffer was closed.
    pub refused: u64,
    /// What the first lost item is called, where the buffer can [tell](crate::Hooks::label). Lost are
    /// the dropped and the evicted.
    pub lost_first: Option<i64>,
    /// What the last lost item is called.
    pub lost_last: Option<i64>,
    /// Lost items as a share of all: `(dropped + evicted) / (pushed + dropped)`; 0 when nothing was
    /// pushed.
    pub drop_rate: f64,
    /// `size / maxsize`.
    pub utilization: f64,
    /// Time since the buffer was made.
    pub uptime: Duration,
}
