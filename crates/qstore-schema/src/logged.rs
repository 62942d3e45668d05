//! The outcome of a logging call.

/// What became of a row that was logged.
///
/// Logging calls return `Result<Logged, …>`. A row that was dropped by the overflow policy the caller
/// chose is an outcome, not an error: `logger.log_step(row)?` never ends a run because a ring was full.
/// An `Err` always means that the row was not taken, and that no later one will be taken either or that
/// the call itself was wrong.
///
/// Most callers ignore the outcome: every drop is counted in the statistics of the buffer, and the
/// first is also reported as a `tracing` warning. A caller that can slow down uses it:
///
/// ```
/// use qstore_schema::Logged;
///
/// fn pause_after(logged: Logged) -> bool {
///     !logged.is_accepted() // let the background thread catch up
/// }
/// assert!(pause_after(Logged::Dropped));
/// assert!(!pause_after(Logged::Accepted));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Logged {
    /// The row is in the ring; the background thread hands it to the sink.
    Accepted,
    /// The ring was full. The row is gone, and counted as dropped.
    Dropped,
}

impl Logged {
    /// Whether the row was taken.
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted)
    }
}
