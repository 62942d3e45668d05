//! How a drain ended.

use crate::buffer::stats::BufferStats;

/// The result of [`Drain::stop`](crate::Drain::stop).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DrainSummary<C> {
    /// What was pushed into the buffer, taken out, and lost.
    pub intake: BufferStats,
    /// The sink's own statistics.
    pub sink: C,
    /// Number of errors of the sink, all of which were overcome;
    /// [`Drain::first_error`](crate::Drain::first_error) is the first.
    pub errors: u64,
}
