//! What can go wrong with a checkpoint, each with what is needed to mend it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything this crate refuses or fails at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting outside its limits.
    #[error("{setting} is {value}; choose a value from {min} to {max}")]
    OutOfRange {
        /// Which setting.
        setting: &'static str,
        /// What it was set to.
        value: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// Deduplication in a layout that has no files to share.
    #[error(
        "deduplicate needs the directory layout; set layout(Layout::Directory) or leave it out"
    )]
    NothingToLink,
    /// A name that no compression has.
    #[error("`{name}` is no known compression; choose zstd, lz4, gzip or none")]
    UnknownCompression {
        /// The name that was given.
        name: String,
    },
    /// The checkpoint directory is a file or something else.
    #[error("{} is not a directory; name the directory that holds the checkpoints", dir.display())]
    NotADirectory {
        /// The path that was given.
        dir: PathBuf,
    },
    /// Something that is no checkpoint of ours has the name that this one would get.
    #[error("{} is there and is no checkpoint of this program; move it away, then save again", path.display())]
    Foreign {
        /// What has the name.
        path: PathBuf,
    },
    /// Every name for a new file was in use.
    #[error("{} is full of files that are being written; try again", staging.display())]
    Busy {
        /// The directory for files that are being written.
        staging: PathBuf,
    },
    /// A [`CheckpointStore`](crate::CheckpointStore) of another kind failed.
    #[error("the checkpoint store failed: {source}")]
    Store {
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file system failed.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),

    /// A staging arena has lent out its whole budget.
    #[error(
        "{needed} bytes do not fit into the arena: {in_use} of its {budget} bytes hold snapshots that are not saved yet; wait for a save, or give it more"
    )]
    ArenaFull {
        /// Bytes of the tensor.
        needed: u64,
        /// The most the arena may hold.
        budget: u64,
        /// What it holds for snapshots.
        in_use: u64,
    },
    /// Bytes that are no tensor of that type and shape.
    #[error(transparent)]
    Tensor(#[from] qstore_schema::TensorError),
    /// There is not enough room for the checkpoint; nothing was written.
    #[error(
        "a checkpoint of about {needed} bytes does not fit into the {available} bytes that are free at {}; free some space, or keep fewer checkpoints", dir.display()
    )]
    NoSpace {
        /// The checkpoint directory.
        dir: PathBuf,
        /// What the checkpoint takes at least, by a sample of it.
        needed: u64,
        /// What is free.
        available: u64,
    },

    /// A dict with an empty name as a key.
    #[error("`{at}` has an entry without a name; give every entry a name")]
    EmptyName {
        /// The dict, as a path through the state.
        at: String,
    },
    /// Nesting beyond what the format's readers take.
    #[error("`{at}` is nested more than {limit} levels deep; flatten the state")]
    TooDeep {
        /// The node, as a path through the state.
        at: String,
        /// How deep a state may be.
        limit: usize,
    },
    /// A tensor where only numbers and texts belong.
    #[error("metadata holds a tensor at `{at}`; put it into the model or the optimizer")]
    TensorInMetadata {
        /// The tensor, as a path through the metadata.
        at: String,
    },
    /// A node of a kind this version does not know.
    #[error("`{at}` is of a kind that cannot be saved; update qstore-zarr")]
    UnknownNode {
        /// The node, as a path through the state.
        at: String,
    },
    /// A tensor that could not be encoded.
    #[error("tensor `{tensor}` could not be encoded: {reason}")]
    Encode {
        /// Where the tensor lies in the checkpoint.
        tensor: String,
        /// What the codec said.
        reason: String,
    },

    /// There is no such checkpoint.
    #[error("{} has no checkpoint of epoch {epoch}; {}", dir.display(), Available(available))]
    EpochNotFound {
        /// The epoch that was asked for.
        epoch: u64,
        /// The checkpoint directory.
        dir: PathBuf,
        /// The epochs that are there.
        available: Vec<u64>,
    },
    /// A checkpoint has no tensor that is meant.
    #[error("epoch {epoch} has no {wanted}; it has {}", Names(available))]
    TensorNotFound {
        /// The epoch.
        epoch: u64,
        /// What was asked for.
        wanted: String,
        /// The paths of the tensors that are there.
        available: Vec<String>,
    },
    /// A directory was replaced, or removed, while it was read.
    #[error("{} was replaced while it was read; open epoch {epoch} again", path.display())]
    Replaced {
        /// The epoch.
        epoch: u64,
        /// The checkpoint's directory.
        path: PathBuf,
    },
    /// There are checkpoints, but none that can be loaded.
    #[error("{} has no checkpoint that can be loaded; the newest fails because {}", dir.display(), First(skipped))]
    NoneValid {
        /// The checkpoint directory.
        dir: PathBuf,
        /// Each epoch with what is wrong, newest save first.
        skipped: Vec<(u64, Error)>,
    },
    /// A checkpoint whose bytes are not what was written.
    #[error("{} is damaged: {damage}; restore the file or load another epoch", path.display())]
    Damaged {
        /// The checkpoint's file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A checkpoint of a later version of the format.
    #[error("{} has format version {found}, this version reads {known}; update qstore-zarr", path.display())]
    UnsupportedVersion {
        /// The checkpoint's file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version this crate reads and writes.
        known: u64,
    },

    /// The save did not end well.
    #[error("the save of epoch {epoch} failed: {source}")]
    SaveFailed {
        /// The epoch.
        epoch: u64,
        /// Why.
        source: Arc<Error>,
    },
    /// An earlier save failed in the background, and nobody has looked at its ticket since. Reported
    /// once by the next save, which did nothing.
    #[error("an earlier save failed, and this one was not begun ({source}); save again to go on")]
    EarlierSaveFailed {
        /// What the earlier save's ticket says.
        source: Arc<Error>,
    },
    /// A part of the checkpoint that is read as a whole is larger than a reader would accept; nothing
    /// was saved.
    #[error(
        "{what} takes {len} bytes, more than the {limit} that can be read back; keep long texts out of the metadata, or take larger chunks"
    )]
    TooLarge {
        /// The part.
        what: String,
        /// Its length in bytes.
        len: u64,
        /// The most it may have.
        limit: u64,
    },
    /// There have been as many saves into this directory as can be counted.
    #[error("{} has used up its save numbers; save into a new directory", dir.display())]
    TooManySaves {
        /// The directory.
        dir: PathBuf,
    },
    /// The checkpoint is durable, but an older one could not be removed.
    #[error(
        "epoch {epoch} is saved, but removing the older epoch {older} failed: {source}; the next save tries again"
    )]
    Retention {
        /// The epoch that is saved.
        epoch: u64,
        /// The one that should have gone.
        older: u64,
        /// Why it did not.
        source: qstore_storage::Error,
    },
    /// [`Busy::Skip`](crate::Busy::Skip): an earlier save was still running.
    #[error("epoch {epoch} was skipped: an earlier save was still running")]
    Skipped {
        /// The epoch.
        epoch: u64,
    },
    /// [`Busy::CoalesceLatest`](crate::Busy::CoalesceLatest): a newer state took its place.
    #[error("epoch {epoch} was superseded by epoch {by} before its save began")]
    Superseded {
        /// The epoch.
        epoch: u64,
        /// The one that is saved instead.
        by: u64,
    },
    /// The background thread ended before this save was done.
    #[error("epoch {epoch} was not saved: the background thread ended before; open a new manager")]
    Lost {
        /// The epoch.
        epoch: u64,
    },
    /// The time allowed was not enough; the save goes on by itself.
    #[error("epoch {epoch} was not saved after {waited:?}; the save goes on by itself")]
    TimedOut {
        /// The epoch.
        epoch: u64,
        /// The time that was allowed.
        waited: Duration,
    },
    /// The manager was closed, or its background thread panicked.
    #[error("the checkpoint manager takes no more saves: {reason}; open a new one")]
    Closed {
        /// Why.
        reason: String,
    },
    /// Closing took longer than allowed.
    #[error("saves are still running after {waited:?}; they go on by themselves")]
    CloseTimedOut {
        /// The time that was allowed.
        waited: Duration,
    },
    /// The system would not start the background thread.
    #[error("the background thread could not be started: {source}")]
    Spawn {
        /// Why.
        source: Arc<std::io::Error>,
    },
}

/// What is wrong with a checkpoint's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file is not the archive that was written; above all, it was cut short.
    #[error("it is no complete checkpoint archive ({reason})")]
    Archive {
        /// What is wrong.
        reason: &'static str,
    },
    /// The list of contents is not what was written.
    #[error("its manifest is not valid ({reason})")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// An entry that should be there is not.
    #[error("entry `{entry}`{} is missing", Tensor(entry))]
    Missing {
        /// The entry's name.
        entry: String,
    },
    /// An entry that should not be there.
    #[error("entry `{entry}`{} is not in the manifest", Tensor(entry))]
    Unexpected {
        /// The entry's name.
        entry: String,
    },
    /// An entry is shorter or longer than it should be.
    #[error("entry `{entry}`{} has {found} bytes instead of {expected}", Tensor(entry))]
    Length {
        /// The entry's name.
        entry: String,
        /// Its length according to the manifest.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// An entry's bytes are not those that were written.
    #[error("entry `{entry}`{} does not match its checksum", Tensor(entry))]
    Checksum {
        /// The entry's name.
        entry: String,
    },
    /// An entry says something that makes no sense.
    #[error("entry `{entry}`{} makes no sense ({reason})", Tensor(entry))]
    Malformed {
        /// The entry's name.
        entry: String,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// A failed save's error once more, for whoever asks again.
    pub(crate) fn again(self: &Arc<Self>) -> Self {
        match &**self {
            Self::SaveFailed { epoch, source } => {
                Self::SaveFailed { epoch: *epoch, source: Arc::clone(source) }
            }
            Self::Lost { epoch } => Self::Lost { epoch: *epoch },
            _ => Self::EarlierSaveFailed { source: Arc::clone(self) },
        }
    }

    /// What is wrong with the checkpoint's bytes, if that is what this error is about.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Damaged { damage, .. } => Some(damage),
            _ => None,
        }
    }
}

impl Damage {
    pub(crate) fn malformed(entry: &str, reason: impl fmt::Display) -> Self {
        Self::Malformed { entry: entry.into(), reason: reason.to_string() }
    }

    /// The tensor that is hit, as its path in the checkpoint, if it is one.
    #[must_use]
    pub fn tensor(&self) -> Option<&str> {
        match self {
            Self::Archive { .. } | Self::Manifest { .. } => None,
            Self::Missing { entry }
            | Self::Unexpected { entry }
            | Self::Length { entry, .. }
            | Self::Checksum { entry }
            | Self::Malformed { entry, .. } => tensor_of(entry),
        }
    }
}

/// The array that an entry is a chunk of. A node never has the name `c` *and* children that are
/// numbers only, unless it is an array's chunk directory, or a group a user called `c`; for a message
/// either reading is close enough.
fn tensor_of(entry: &str) -> Option<&str> {
    let is_chunk = |key: &str| {
        let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        key == "c"
            || key.strip_prefix("c/").is_some_and(|key| key.split('/').all(is_number))
            || key.strip_prefix("c.").is_some_and(|key| key.split('.').all(is_number))
    };
    let mut slashes = entry.rmatch_indices('/').map(|(at, _)| at);
    slashes.find(|at| is_chunk(&entry[at + 1..])).map(|at| &entry[..at])
}

struct Tensor<'a>(&'a str);

impl fmt::Display for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match tensor_of(self.0) {
            Some(tensor) => write!(f, " of tensor `{tensor}`"),
            None => Ok(()),
        }
    }
}

struct First<'a>(&'a [(u64, Error)]);

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
            None if self.0.is_empty() => f.write_str("none at all"),
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
                [] => f.write_str("it has none at all"),
                epochs => write!(f, "it has {epochs:?}"),
            };
        };
        write!(f, "it has {left} more and {:?}", &self.0[left..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_names_the_tensor_it_hits() {
        let check = |entry: &str, tensor: Option<&str>| {
            assert_eq!(Damage::Missing { entry: entry.into() }.tensor(), tensor, "{entry}");
        };
        check("model/layer.0.weight/c/0/12", Some("model/layer.0.weight"));
        check("model/scalar/c", Some("model/scalar"));
        check("model/c/c/0", Some("model/c"));
        check("model/w/c.0.12", Some("model/w"));
        check("model/zarr.json", None);
        check("manifest.json", None);
        let damage = Damage::Checksum { entry: "model/w/c/0".into() };
        assert_eq!(
            damage.to_string(),
            "entry `model/w/c/0` of tensor `model/w` does not match its checksum"
        );
    }

    #[test]
    fn a_missing_epoch_says_which_there_are() {
        let error = |available| Error::EpochNotFound { epoch: 7, dir: "ckpt".into(), available };
        assert_eq!(
            error(vec![1, 2]).to_string(),
            "ckpt has no checkpoint of epoch 7; it has [1, 2]"
        );
        assert_eq!(
            error(vec![]).to_string(),
            "ckpt has no checkpoint of epoch 7; it has none at all"
        );
        assert!(error((0..30).collect()).to_string().contains("10 more and [10, 11"));
    }
}
