//! What has to be known before an open file may be written in place: that it is still the file it
//! was, and that nobody else has it open.
//!
//! Nothing here writes. A storage that cannot tell says so, and its user does without.

use std::fmt;

/// Which file it is and what was last done to it. Two equal stamps mean: the same file, untouched in
/// between, as far as the clock of the file system can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The file system and the number of the file in it.
    pub(crate) identity: (u64, u64),
    /// How many names it has.
    pub(crate) names: u64,
    pub(crate) len: u64,
    /// Seconds and nanoseconds of the last change, or a count of changes.
    pub(crate) modified: (i64, i64),
}

impl Stamp {
    /// How many names lead to the file; more than one if somebody linked to it.
    #[must_use]
    pub fn names(&self) -> u64 {
        self.names
    }

    /// Whether both are of one file, whatever was done to it in between.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

/// The answer to the question whether a file is open elsewhere.
#[must_use = "a claim that is dropped is released"]
pub enum Exclusive {
    /// It is not. Whoever opens it now waits until the claim is dropped, or, where the system loses
    /// patience (Linux after 45 s), goes on.
    Held(Box<dyn Claim>),
    /// It is, in this process or in another, or somebody keeps a mapping of it.
    Busy,
    /// This file system cannot tell.
    Unknown,
}

/// Keeps others from opening a file until it is dropped.
pub trait Claim: fmt::Debug + Send + Sync {}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held(_) => "Held",
            Self::Busy => "Busy",
            Self::Unknown => "Unknown",
        })
    }
}
