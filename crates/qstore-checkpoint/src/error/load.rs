//! Why a checkpoint could not be loaded, listed or verified.

use crate::damage::Damage;
use crate::error::open::OpenError;
use crate::repository::RepositoryError;
use std::fmt;
use std::sync::Arc;

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
