//! The exit codes of the command. They are a promise: a script may rely on each of them.

/// How a call of the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// Something could not be done; the message says what and why.
    Failed = 1,
    /// The command line cannot be used as it is. Nothing was done.
    Usage = 2,
    /// Stored bytes are not the ones that were written.
    Damaged = 3,
    /// Nothing has the name that was given: a path, a column, a checkpoint, a tensor.
    Missing = 4,
    /// A writer is at work on what this verb wants to write.
    Busy = 5,
    /// A threshold given with `--fail-if` was crossed.
    Crossed = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code with the name that the manual uses.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Done, "done"),
        (Self::Failed, "it failed"),
        (Self::Usage, "wrong usage"),
        (Self::Damaged, "damage was found"),
        (Self::Missing, "nothing has that name"),
        (Self::Busy, "a writer is at work"),
        (Self::Crossed, "a threshold of --fail-if was crossed"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}
