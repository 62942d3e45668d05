//! How the bytes of a checkpoint can be damaged.

use std::fmt;

/// How a checkpoint's bytes differ from those that were written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file is not a complete checkpoint archive.
    #[error("it is not a complete checkpoint archive ({reason})")]
    Archive {
        /// What is wrong.
        reason: String,
    },
    /// The manifest is not the one that was written.
    #[error("its manifest is not valid ({reason})")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// An entry is missing.
    #[error("entry `{entry}`{} is missing", OfTensor(entry))]
    Missing {
        /// The entry's name.
        entry: String,
    },
    /// There is an entry that the manifest does not list.
    #[error("entry `{entry}`{} is not in the manifest", OfTensor(entry))]
    Unexpected {
        /// The entry's name.
        entry: String,
    },
    /// An entry has the wrong length.
    #[error("entry `{entry}`{} has {found} bytes instead of {expected}", OfTensor(entry))]
    Length {
        /// The entry's name.
        entry: String,
        /// Its length according to the manifest.
        expected: u64,
        /// Its actual length.
        found: u64,
    },
    /// An entry's bytes do not match their checksum.
    #[error("entry `{entry}`{} does not match its checksum", OfTensor(entry))]
    Checksum {
        /// The entry's name.
        entry: String,
    },
    /// An entry cannot be parsed, or contradicts another one.
    #[error("entry `{entry}`{} is malformed ({reason})", OfTensor(entry))]
    Malformed {
        /// The entry's name.
        entry: String,
        /// What is wrong.
        reason: String,
    },
}

impl Damage {
    /// The entry cannot be parsed, for this reason.
    #[must_use]
    pub fn malformed(entry: &str, reason: impl fmt::Display) -> Self {
        Self::Malformed { entry: entry.into(), reason: reason.to_string() }
    }

    /// The path of the affected tensor in the checkpoint, if there is one.
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

/// The array that an entry is a chunk of. A node with the name `c` and only numbers as children is an
/// array's chunk directory, or a group that a user called `c`; for a message, either reading is close
/// enough.
fn tensor_of(entry: &str) -> Option<&str> {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let is_chunk = |key: &str| {
        key == "c"
            || key.strip_prefix("c/").is_some_and(|key| key.split('/').all(is_number))
            || key.strip_prefix("c.").is_some_and(|key| key.split('.').all(is_number))
    };
    let mut slashes = entry.rmatch_indices('/').map(|(at, _)| at);
    slashes.find(|at| is_chunk(&entry[at + 1..])).map(|at| &entry[..at])
}

struct OfTensor<'a>(&'a str);

impl fmt::Display for OfTensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match tensor_of(self.0) {
            Some(tensor) => write!(f, " of tensor `{tensor}`"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_names_the_tensor_it_affects() {
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
}
