//! Some of a checkpoint's tensors, without reading the others.
//!
//! Tensors go by the paths of their arrays, as any Zarr reader sees them: `model/layer.0.weight`,
//! `optimizer/state/0/exp_avg`.

use crate::Error;
use crate::directory::CheckpointDir;
use crate::fetch::read_tensors;
use crate::load::CheckpointInfo;
use crate::manifest::Sealed;
use crate::root::Root;
use qstore_schema::{Dtype, Tensor};
use std::fmt;

/// Which tensors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Select {
    /// All of them.
    All,
    /// The one of that path.
    Name(String),
    /// Those in that group, at any depth: `model/block`, `optimizer`.
    Group(String),
    /// Those whose path fits: `*` stands for any characters but `/`, `**` for any at all, `?` for
    /// one. `model/h.*.attn.*` are the attention weights of every layer.
    Glob(String),
}

impl Select {
    /// Whether a tensor of that path is meant.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(name) => name == path,
            Self::Group(group) => {
                let rest = path.strip_prefix(group.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.starts_with('/'))
            }
            Self::Glob(glob) => fits(glob.as_bytes(), path.as_bytes()),
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all tensors"),
            Self::Name(name) => write!(f, "tensor `{name}`"),
            Self::Group(group) => write!(f, "group `{group}`"),
            Self::Glob(glob) => write!(f, "pattern `{glob}`"),
        }
    }
}

/// Whether a path fits a pattern. Two places to go back to, one for each kind of star, are enough:
/// what a later star can take, an earlier one of its kind need not.
fn fits(glob: &[u8], path: &[u8]) -> bool {
    /// Where the pattern goes on after a star, and what the star has taken so far.
    type Star = Option<(usize, usize)>;
    let (mut at, mut read) = (0, 0);
    let (mut star, mut deep): (Star, Star) = (None, None);
    loop {
        if glob[at..].starts_with(b"**") {
            at += 2;
            (deep, star) = (Some((at, read)), None);
            continue;
        }
        match (glob.get(at), path.get(read)) {
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, read));
                continue;
            }
            (None, None) => return true,
            (Some(b'?'), Some(byte)) if *byte != b'/' => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            (Some(wanted), Some(byte)) if wanted == byte => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            _ => {}
        }
        match (star, deep) {
            (Some((after, taken)), _) if path.get(taken).is_some_and(|byte| *byte != b'/') => {
                (at, read) = (after, taken + 1);
                star = Some((after, taken + 1));
            }
            (_, Some((after, taken))) if taken < path.len() => {
                (at, read) = (after, taken + 1);
                (star, deep) = (None, Some((after, taken + 1)));
            }
            _ => return false,
        }
    }
}

/// What is known about a tensor without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The path of its array.
    pub path: String,
    /// What its elements are.
    pub dtype: Dtype,
    /// The length of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// Bytes in memory.
    pub bytes: u64,
    /// Bytes on the disk.
    pub stored_bytes: u64,
}

/// An open checkpoint whose tensors are read when they are asked for.
///
/// In the single-file layout it stays what it was, whatever happens to its name. A directory can be
/// replaced or removed; then the next read says [`Error::Replaced`].
#[derive(Debug)]
pub struct CheckpointReader {
    epoch: u64,
    sealed: Sealed,
    root: Root,
    workers: usize,
}

impl CheckpointReader {
    pub(crate) fn open(dir: &CheckpointDir, epoch: u64, workers: usize) -> Result<Self, Error> {
        let sealed = dir.open_epoch(epoch)?;
        match Root::read(&sealed) {
            Ok(root) => Ok(Self { epoch, sealed, root, workers }),
            Err(error) => Err(if sealed.container.is_replaced() {
                let path = sealed.container.path().into();
                Error::Replaced { epoch, path }
            } else {
                error
            }),
        }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What is known about the checkpoint.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn info(&self) -> Result<CheckpointInfo, Error> {
        self.root.info(&self.sealed)
    }

    /// Its tensors, in the order of the state. None is read.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn tensors(&self) -> Result<Vec<TensorInfo>, Error> {
        let info = |path: &str| {
            let array = self.root.array(&self.sealed, path)?;
            let stored = array.entries.iter().map(|entry| self.sealed.container.len_of(*entry));
            Ok(TensorInfo {
                path: path.into(),
                dtype: array.form.dtype,
                bytes: array.len as u64,
                stored_bytes: stored.sum(),
                shape: array.form.shape,
            })
        };
        self.root.paths().into_iter().map(info).collect()
    }

    /// Reads one tensor, by the path of its array.
    ///
    /// # Errors
    /// [`Error::TensorNotFound`], [`Error::Damaged`], [`Error::Replaced`], [`Error::Storage`].
    pub fn tensor(&self, path: &str) -> Result<Tensor, Error> {
        let found = self.load(&Select::Name(path.into()))?;
        let first = found.into_iter().next();
        first.map(|(_, tensor)| tensor).ok_or_else(|| self.not_found(&Select::Name(path.into())))
    }

    /// Reads the tensors that are meant, in the order of the state, on several threads. Every byte of
    /// them is verified; the others are not read.
    ///
    /// # Errors
    /// [`Error::TensorNotFound`] when none is meant, [`Error::Damaged`], [`Error::Replaced`],
    /// [`Error::Storage`].
    pub fn load(&self, select: &Select) -> Result<Vec<(String, Tensor)>, Error> {
        let read = || {
            let meant = self.root.paths().into_iter().filter(|path| select.matches(path));
            let arrays = meant.map(|path| self.root.checked_array(&self.sealed, path));
            let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
            if arrays.is_empty() && *select != Select::All {
                return Err(self.not_found(select));
            }
            read_tensors(&self.sealed, arrays, self.workers)
        };
        read().map_err(|error| {
            if !matches!(error, Error::TensorNotFound { .. }) && self.sealed.container.is_replaced()
            {
                return Error::Replaced {
                    epoch: self.epoch,
                    path: self.sealed.container.path().into(),
                };
            }
            error
        })
    }

    fn not_found(&self, select: &Select) -> Error {
        let available = self.root.paths().into_iter().map(ToOwned::to_owned).collect();
        Error::TensorNotFound { epoch: self.epoch, wanted: select.to_string(), available }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_fits_what_it_says() {
        let check = |glob: &str, path: &str, fits: bool| {
            assert_eq!(Select::Glob(glob.into()).matches(path), fits, "{glob} {path}");
        };
        check("model/w", "model/w", true);
        check("model/*", "model/w", true);
        check("model/*", "model/block/w", false);
        check("model/**", "model/block/w", true);
        check("**", "model/block/w", true);
        check("**/w", "model/block/w", true);
        check("**/w", "model/block/ww", false);
        check("model/h.*.attn.*", "model/h.11.attn.weight", true);
        check("model/h.?.attn.*", "model/h.11.attn.weight", false);
        check("model/?", "model//", false);
        check("*/**/exp_*", "optimizer/state/0/exp_avg", true);
        check("", "", true);
        check("*", "", true);
        check("a", "", false);
        let group = |group: &str, path: &str| Select::Group(group.into()).matches(path);
        assert!(group("model", "model/w") && group("model/", "model/a/w"));
        assert!(!group("model", "model2/w") && !group("model/w", "model/w"));
    }

    /// The same by trying everything.
    fn model(glob: &[u8], path: &[u8]) -> bool {
        match (glob, path) {
            ([], []) => true,
            ([b'*', b'*', rest @ ..], _) => {
                (0..=path.len()).any(|taken| model(rest, &path[taken..]))
            }
            ([b'*', rest @ ..], _) => {
                let most = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
                (0..=most).any(|taken| model(rest, &path[taken..]))
            }
            ([b'?', glob @ ..], [byte, path @ ..]) => *byte != b'/' && model(glob, path),
            ([wanted, glob @ ..], [byte, path @ ..]) => wanted == byte && model(glob, path),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn patterns_fit_as_trying_everything_would_find(
            glob in "[ab/*?]{0,8}", path in "[ab/]{0,10}",
        ) {
            let found = Select::Glob(glob.clone()).matches(&path);
            prop_assert_eq!(found, model(glob.as_bytes(), path.as_bytes()));
        }
    }
}
