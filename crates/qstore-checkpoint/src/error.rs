//! The errors of opening, saving and loading, one type each.
//!
//! A save that the caller's policy skipped or superseded, and a durable save that could not remove old
//! checkpoints, are not errors but [outcomes](crate::Outcome). An I/O error is never reported as damage:
//! damage means that bytes were read and are not the ones that were written.

use crate::damage::Damage;
use crate::repository::RepositoryError;
use qstore_settings::SettingError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A repository could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting is out of range, or contradicts what is already stored.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The path is not a directory.
    #[error("{location} is not a directory; name the directory that contains the checkpoints")]
    NotADirectory {
        /// The given path.
        location: String,
    },
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository was written by a newer version.
    #[error("{location} has format version {found}, this version reads {known}; update Q-Store")]
    UnsupportedVersion {
        /// The document with the version.
        location: String,
        /// The version found.
        found: u64,
        /// The newest version that can be read.
        known: u64,
    },
    /// The document that describes the repository is not valid.
    #[error(
        "{location} is not valid ({reason}); restore it, or remove it to start with new settings"
    )]
    Malformed {
        /// The document.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// The operating system could not start the background thread.
    #[error("the background thread could not be started: {source}")]
    Spawn {
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
}

impl From<qstore_storage::Error> for OpenError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}

/// A state that cannot be saved. No save has started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// An empty name.
    #[error("`{at}` has an entry with an empty name; give every entry a name")]
    EmptyName {
        /// The dict, as a path through the state.
        at: String,
    },
    /// Nesting deeper than JSON readers accept.
    #[error("`{at}` is nested more than {limit} levels deep; flatten the state")]
    TooDeep {
        /// The node, as a path through the state.
        at: String,
        /// The maximum depth.
        limit: usize,
    },
    /// A tensor with more dimensions than numpy supports.
    #[error(
        "tensor `{at}` has {found} dimensions, more than the {limit} that numpy supports; reshape it"
    )]
    TooManyDimensions {
        /// The tensor, as a path through the state.
        at: String,
        /// Its number of dimensions.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A tensor where only plain values are allowed.
    #[error("metadata contains a tensor at `{at}`; put it into a part")]
    TensorInMetadata {
        /// The tensor, as a path through the metadata.
        at: String,
    },
    /// A node of a kind that this version does not know.
    #[error("`{at}` is of a kind that this version cannot save; update Q-Store")]
    UnknownNode {
        /// The node, as a path through the state.
        at: String,
    },
}

/// A state was not saved, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The state cannot be saved; no save has started.
    #[error(transparent)]
    State(#[from] StateError),
    /// A tensor could not be encoded.
    #[error("tensor `{tensor}` could not be encoded: {reason}")]
    Encode {
        /// The path of the tensor in the checkpoint.
        tensor: String,
        /// The reason given by the codec.
        reason: String,
    },
    /// There is not enough space for the checkpoint; nothing was written.
    #[error(
        "a checkpoint of about {needed} bytes does not fit into the {available} bytes that are free at {location}; free some space, or keep fewer checkpoints"
    )]
    NoSpace {
        /// The repository.
        location: String,
        /// The least space the checkpoint needs, estimated from a sample of it.
        needed: u64,
        /// The free space.
        available: u64,
    },
    /// A document of the checkpoint, which must be read as a whole, is larger than readers accept; nothing
    /// was saved.
    #[error(
        "{what} has {len} bytes, more than the {limit} that can be read back; keep long texts out of the metadata, or use larger chunks"
    )]
    TooLarge {
        /// The document.
        what: String,
        /// Its length in bytes.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// The repository has used up the numbers that order its saves.
    #[error("{location} has used up its save numbers; save into a new directory")]
    TooManySaves {
        /// The repository.
        location: String,
    },
    /// The repository failed. An earlier checkpoint with the same number is unchanged, or completely
    /// replaced.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The existing checkpoints could not be read, so the save could not get a sequence number.
    #[error("the existing checkpoints could not be read: {0}")]
    Existing(Box<LoadError>),

    /// The save failed in the background.
    #[error("the save of {number} failed: {source}")]
    Failed {
        /// The epoch or step.
        number: u64,
        /// Why.
        source: Arc<SaveError>,
    },
    /// An earlier save failed in the background, and its ticket has not been polled since. Reported once, by
    /// the next save, which did nothing.
    #[error(
        "an earlier save failed, and this one was not started ({source}); save again to continue"
    )]
    EarlierFailed {
        /// The error of the earlier save, as its ticket reports it.
        source: Arc<SaveError>,
    },
    /// The checkpoint is durable, but older ones could not be removed. Only
    /// `health` reports this as an error; the save itself [has succeeded](crate::Saved::retention).
    #[error("{number} is saved, but {source}")]
    Retention {
        /// The epoch or step that was saved.
        number: u64,
        /// Why older ones could not be removed.
        source: RetentionError,
    },
    /// The background thread ended before this save was done.
    #[error("{number} was not saved: the background thread ended first; open a new manager")]
    Lost {
        /// The epoch or step.
        number: u64,
    },
    /// The timeout expired; the save continues.
    #[error("{number} was not saved within {waited:?}; the save continues")]
    TimedOut {
        /// The epoch or step.
        number: u64,
        /// The timeout.
        waited: Duration,
    },
    /// The manager was closed, or its background thread panicked.
    #[error("the checkpoint manager accepts no more saves: {reason}; open a new one")]
    Closed {
        /// Why.
        reason: String,
    },
    /// This process was forked from the one that opened the manager, whose background thread runs there only.
    /// Nothing was done here; the saves of the parent are not affected.
    #[error(
        "this process was forked from the one that opened the checkpoint manager, whose saves run there \
         only; open your own"
    )]
    Forked,
    /// Closing took longer than the timeout.
    #[error("saves are still running after {waited:?}; they continue")]
    CloseTimedOut {
        /// The timeout.
        waited: Duration,
    },
    /// The operating system could not start a thread.
    #[error("a background thread could not be started: {source}")]
    Spawn {
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
    /// A [`CheckpointStore`](crate::CheckpointStore) of another kind failed.
    #[error("the checkpoint store failed: {source}")]
    Store {
        /// The error of the store.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<qstore_storage::Error> for SaveError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}

impl SaveError {
    /// A copy of this error, for another caller.
    #[must_use]
    pub fn again(self: &Arc<Self>) -> Self {
        match &**self {
            Self::Failed { number, source } => {
                Self::Failed { number: *number, source: Arc::clone(source) }
            }
            Self::Retention { number, source } => {
                Self::Retention { number: *number, source: source.clone() }
            }
            Self::Lost { number } => Self::Lost { number: *number },
            Self::Forked => Self::Forked,
            _ => Self::EarlierFailed { source: Arc::clone(self) },
        }
    }
}

/// Older checkpoints could not be removed. The next save tries again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("older checkpoints could not be removed: {source}; the next save tries again")]
pub struct RetentionError {
    /// The repository's reason.
    pub source: Arc<RepositoryError>,
}

impl RetentionError {
    /// The error of a failed removal.
    #[must_use]
    pub fn new(source: RepositoryError) -> Self {
        Self { source: Arc::new(source) }
    }
}

impl PartialEq for RetentionError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// A checkpoint could not be loaded, listed or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such checkpoint.
    #[error("{location} has no checkpoint {number}; {}", Available(available))]
    NotFound {
        /// The requested epoch or step.
        number: u64,
        /// The repository.
        location: String,
        /// The checkpoints that exist.
        available: Vec<u64>,
    },
    /// No tensor of the checkpoint matches the selection.
    #[error("checkpoint {number} has no {wanted}; it has {}", Names(available))]
    TensorNotFound {
        /// The epoch or step.
        number: u64,
        /// The requested tensors.
        wanted: String,
        /// The paths of the tensors that exist.
        available: Vec<String>,
    },
    /// A directory was replaced or removed while it was being read.
    #[error("{location} was replaced while it was being read; open checkpoint {number} again")]
    Replaced {
        /// The epoch or step.
        number: u64,
        /// The checkpoint.
        location: String,
    },
    /// There are checkpoints, but none of them can be loaded.
    #[error(
        "no checkpoint in {location} can be loaded; the newest fails because {}",
        First(skipped)
    )]
    NoneValid {
        /// The repository.
        location: String,
        /// Each checkpoint with its error, newest save first.
        skipped: Vec<(u64, LoadError)>,
    },
    /// The checkpoint's bytes are not the ones that were written.
    #[error("{location} is damaged: {damage}; restore it or load another checkpoint")]
    Damaged {
        /// The checkpoint.
        location: String,
        /// What is wrong with it.
        damage: Damage,
    },
    /// What was opened by its path is something else, or a checkpoint in a form that cannot be read. Nothing
    /// is known to be damaged.
    #[error("{location} cannot be read as a checkpoint: {reason}")]
    NotACheckpoint {
        /// The given path.
        location: String,
        /// What it is instead, and what to do.
        reason: String,
    },
    /// The checkpoint was written by a newer version.
    #[error("{location} has format version {found}, this version reads {known}; update Q-Store")]
    UnsupportedVersion {
        /// The checkpoint.
        location: String,
        /// The version found.
        found: u64,
        /// The newest version that can be read.
        known: u64,
    },
    /// Nothing is known to be wrong, but the file has something that this version cannot read.
    #[error("{location} cannot be read by this version: {what}; {advice}")]
    Unsupported {
        /// The file or directory.
        location: String,
        /// What cannot be read, and where it is.
        what: String,
        /// What to do.
        advice: String,
    },
    /// Nothing is known to be wrong, but it does not fit into the memory that this process can have.
    #[error(
        "{location} needs {needed} bytes of memory at once for {what}, more than this process can have; \
         load less of it, or give the process more memory"
    )]
    OutOfMemory {
        /// The file or directory.
        location: String,
        /// What the memory is needed for.
        what: String,
        /// The memory that is needed, in bytes.
        needed: u64,
    },
    /// A safetensors file has other tensors than the structure that was exported with it: another program
    /// changed them and kept the metadata.
    #[error(
        "{location} was changed after its export{}{}; import it with `import_safetensors_flat`, which takes \
         its tensors as they are, or remove `qstore_structure` from its metadata",
        Changed(added, "added"),
        Changed(missing, "missing")
    )]
    StructureMismatch {
        /// The file.
        location: String,
        /// The tensors that the structure does not name.
        added: Vec<String>,
        /// The tensors that the structure names and the file does not have.
        missing: Vec<String>,
    },
    /// No retention policy is stored in the repository.
    #[error("{location} has no stored retention policy; give one")]
    NoPolicy {
        /// The repository.
        location: String,
    },
    /// The repository failed; nothing is known about the checkpoint.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The document that describes the repository could not be used.
    #[error(transparent)]
    Catalog(#[from] OpenError),
    /// The loading thread panicked.
    #[error("loading panicked: {reason}")]
    Panicked {
        /// The panic's message.
        reason: String,
    },
    /// The operating system could not start a thread.
    #[error("a background thread could not be started: {source}")]
    Spawn {
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
    /// A [`CheckpointStore`](crate::CheckpointStore) of another kind failed.
    #[error("the checkpoint store failed: {source}")]
    Store {
        /// The error of the store.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<qstore_storage::Error> for LoadError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}

impl LoadError {
    /// The damage, if this error reports damage.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Damaged { damage, .. } => Some(damage),
            _ => None,
        }
    }

    /// Whether this process has run out of a resource, such as memory or open files. Such an error says
    /// nothing about what is stored.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        match self {
            Self::OutOfMemory { .. } => true,
            Self::Repository(error) => error.is_exhausted(),
            _ => false,
        }
    }
}

struct Changed<'a>(&'a [String], &'static str);

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, ", {}: {}", self.1, Names(names)),
        }
    }
}

struct First<'a>(&'a [(u64, LoadError)]);

impl fmt::Display for First<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.first().map_or(Ok(()), |(_, error)| error.fmt(f))
    }
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        match self.0.split_at_checked(SHOWN) {
            Some((shown, rest)) => write!(f, "{} and {} more", shown.join(", "), rest.len()),
            None if self.0.is_empty() => f.write_str("none"),
            None => f.write_str(&self.0.join(", ")),
        }
    }
}

struct Available<'a>(&'a [u64]);

impl fmt::Display for Available<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        let Some(left) = self.0.len().checked_sub(SHOWN) else {
            return match self.0 {
                [] => f.write_str("it has none"),
                numbers => write!(f, "it has {numbers:?}"),
            };
        };
        write!(f, "it has {:?} and {left} earlier ones", &self.0[left..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_changed_after_an_export_are_named() {
        let error = |added: &[&str], missing: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let (added, missing) = (names(added), names(missing));
            LoadError::StructureMismatch { location: "m".into(), added, missing }.to_string()
        };
        assert!(
            error(&["a", "b"], &[]).starts_with("m was changed after its export, added: a, b; ")
        );
        assert!(error(&["a"], &["c"]).contains("export, added: a, missing: c; import"));
        let many = vec!["x"; 200];
        assert!(error(&[], &many).contains("and 190 more; import"));
    }

    #[test]
    fn memory_that_is_missing_says_nothing_about_the_file() {
        let (location, what) = ("m".to_owned(), "its tensors".to_owned());
        let error = LoadError::OutOfMemory { location, what, needed: 1 << 40 };
        assert!(error.is_exhausted() && error.damage().is_none());
        assert!(error.to_string().contains("needs 1099511627776 bytes of memory"), "{error}");
    }

    #[test]
    fn a_missing_checkpoint_lists_those_that_exist() {
        let error = |available| {
            LoadError::NotFound { number: 7, location: "ckpt".into(), available }.to_string()
        };
        assert_eq!(error(vec![1, 2]), "ckpt has no checkpoint 7; it has [1, 2]");
        assert_eq!(error(vec![]), "ckpt has no checkpoint 7; it has none");
        let many = error((0..30).collect());
        assert!(many.ends_with("28, 29] and 10 earlier ones"), "{many}");
    }
}
