//! Identifies a checkpoint: its number, and the part if several ranks save it together.

use qstore_settings::SettingError;
use smol_str::SmolStr;
use std::fmt;

/// What the checkpoints of a directory are numbered by.
///
/// It determines the names, `epoch_0042` or `step_00000042`, and the attribute that other Zarr readers
/// see. A directory has one counter, set by the first manager that opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Counter {
    /// Passes over the training data. The default.
    #[default]
    Epoch,
    /// Optimizer steps.
    Step,
}

impl Counter {
    /// Every counter.
    pub const ALL: [Self; 2] = [Self::Epoch, Self::Step];

    /// `epoch` or `step`, the prefix of checkpoint names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Step => "step",
        }
    }

    /// The number of digits a number is padded to in a name. Longer numbers are written in full.
    pub(crate) const fn digits(self) -> usize {
        match self {
            Self::Epoch => 4,
            Self::Step => 8,
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A checkpoint, or one rank's part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct CheckpointId {
    /// The epoch or step. Compared as a number, never as text.
    pub number: u64,
    /// The part, if several ranks save one checkpoint together. A part is never listed: only the joint
    /// manifest makes the checkpoint visible.
    pub part: Option<Part>,
}

/// One rank's part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Part {
    /// The attempt of the run that wrote it. Parts of different attempts are never joined.
    pub attempt: Attempt,
    /// The rank that wrote it.
    pub rank: Rank,
}

impl CheckpointId {
    /// The whole checkpoint with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self { number, part: None }
    }

    /// The part of it that `rank` saves in `attempt`.
    #[must_use]
    pub fn part(number: u64, attempt: Attempt, rank: Rank) -> Self {
        Self { number, part: Some(Part { attempt, rank }) }
    }
}

impl From<u64> for CheckpointId {
    fn from(number: u64) -> Self {
        Self::new(number)
    }
}

/// One of the processes that train together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    index: u32,
    count: u32,
}

impl Rank {
    /// Rank `index` of `count`, counted from 0.
    ///
    /// # Errors
    /// If `index` is not less than `count`.
    pub fn new(index: u32, count: u32) -> Result<Self, SettingError> {
        if index < count {
            return Ok(Self { index, count });
        }
        Err(SettingError::new("rank", index, format!("a value less than the {count} ranks"), 0))
    }

    /// The index, counted from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The number of ranks.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.index, self.count)
    }
}

/// One start of a run. A resumed run begins a new attempt; all its ranks use the same name for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(SmolStr);

impl Attempt {
    /// The maximum length of a name in bytes.
    pub const LEN_MAX: usize = 64;

    /// The attempt with this name: 1 to 64 bytes of `A-Z a-z 0-9 _ -`.
    ///
    /// # Errors
    /// If the name has other bytes or another length.
    pub fn new(name: impl Into<SmolStr>) -> Result<Self, SettingError> {
        let name = name.into();
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=Self::LEN_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
            return Ok(Self(name));
        }
        let choices = "1 to 64 letters, digits, `_` or `-`";
        Err(SettingError::new("attempt", format!("`{name}`"), choices, "none"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        let mut ids = [10, 9, 100, 2].map(CheckpointId::new);
        ids.sort();
        assert_eq!(ids.map(|id| id.number), [2, 9, 10, 100]);
    }

    #[test]
    fn a_rank_is_less_than_the_number_of_ranks() {
        assert_eq!(Rank::new(3, 4).unwrap().to_string(), "rank 3 of 4");
        let error = Rank::new(4, 4).unwrap_err().to_string();
        assert_eq!(error, "rank is 4; choose a value less than the 4 ranks (default 0)");
    }

    #[test]
    fn the_name_of_an_attempt_is_safe_in_a_path() {
        assert!(Attempt::new("7f3a_2").is_ok());
        for unsafe_name in ["", "..", "a/b", "a b", "größe", &"x".repeat(65)] {
            assert!(Attempt::new(unsafe_name).is_err(), "{unsafe_name}");
        }
    }
}
