//! Reading a tree of entries by its manifest: a Zarr hierarchy with the manifest at its root.
//!
//! Entries are opened by name, so a tree can be replaced while it is read. A reader that finds damage
//! checks [`Tree::is_replaced`] before reporting it. Names cannot escape the tree.

use crate::container::archive::DOCUMENT_MAX;
use crate::container::manifest::Manifest;
use crate::container::repacked::Corrupt;
use crate::format::aligned::{NoMemory, grow_to};
use qstore_checkpoint::repository::{Repository, RepositoryError, TreeSource};
use qstore_checkpoint::seal::MANIFEST;
use qstore_checkpoint::{Damage, LoadError};
use std::collections::HashMap;

/// An open tree, readable from any number of threads.
#[derive(Debug)]
pub(crate) struct Tree {
    source: Box<dyn TreeSource>,
    name: String,
    location: String,
    /// Name and length of every entry except the manifest, as the manifest lists them.
    entries: Vec<(String, u32)>,
    by_name: HashMap<String, usize>,
    manifest: Vec<u8>,
    len: u64,
}

impl Tree {
    /// Opens a tree by its manifest.
    pub(crate) fn open(
        repository: &dyn Repository,
        name: &str,
    ) -> Result<(Self, Manifest), LoadError> {
        let source = repository.open_tree(name)?;
        let location = format!("{}/{name}", repository.location());
        match Self::of(source, name, location) {
            Err(LoadError::Repository(error)) if error.is_not_found() => {
                let gone = repository.open_tree(name).err(); // perhaps the whole tree is gone
                Err(gone.map_or_else(
                    || LoadError::Damaged {
                        location: format!("{}/{name}", repository.location()),
                        damage: Damage::Manifest { reason: "there is none".into() },
                    },
                    LoadError::from,
                ))
            }
            opened => opened,
        }
    }

    /// Reads the manifest of a tree that is open. If there is none, that is reported as not found.
    pub(crate) fn of(
        source: Box<dyn TreeSource>,
        name: &str,
        location: String,
    ) -> Result<(Self, Manifest), LoadError> {
        let damaged = |reason| {
            let damage = Damage::Manifest { reason };
            LoadError::Damaged { location: location.clone(), damage }
        };
        let bytes = match read_manifest(&*source) {
            Err(Unread::TooLong { len }) => {
                return Err(damaged(format!(
                    "it has {len} bytes, more than the limit of {DOCUMENT_MAX}"
                )));
            }
            Err(Unread::OutOfMemory { len: needed }) => {
                let what = "its manifest".into();
                return Err(LoadError::OutOfMemory { location, what, needed });
            }
            Err(Unread::Failed(error)) if Corrupt::is_cause(&error) => {
                return Err(damaged(error.to_string()));
            }
            Err(Unread::Failed(error)) => return Err(error.into()),
            Ok(bytes) => bytes,
        };
        let manifest = Manifest::parse(&bytes, &location)?;
        let entries: Vec<_> =
            manifest.entries().map(|(name, len)| (name.to_owned(), len)).collect();
        let mut by_name = HashMap::new();
        for (index, (name, _)) in entries.iter().enumerate() {
            if !is_inside(name) {
                return Err(damaged(format!("it lists `{name}`, which is not a valid entry name")));
            }
            if by_name.insert(name.clone(), index).is_some() {
                return Err(damaged(format!("it lists `{name}` twice")));
            }
        }
        let len = entries.iter().map(|(_, len)| u64::from(*len)).sum::<u64>() + bytes.len() as u64;
        let name = name.to_owned();
        Ok((Self { source, name, location, entries, by_name, manifest: bytes, len }, manifest))
    }

    /// Whether this tree has been replaced by another one, or removed.
    pub(crate) fn is_replaced(&self) -> bool {
        read_manifest(&*self.source).map_or(true, |found| found != self.manifest)
    }

    pub(crate) fn entries(&self) -> &[(String, u32)] {
        &self.entries
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The total length of all entries in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Its name in the repository.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The bytes of an entry. `buffer` is scratch memory that is reused from one read to the next.
    pub(crate) fn read<'b>(
        &self,
        index: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], LoadError> {
        let (name, len) = &self.entries[index];
        let damaged = |damage| LoadError::Damaged { location: self.location.clone(), damage };
        let file = match self.source.open(name) {
            Err(error) if error.is_not_found() => {
                return Err(damaged(Damage::Missing { entry: name.clone() }));
            }
            Err(error) if Corrupt::is_cause(&error) => {
                return Err(damaged(Damage::Checksum { entry: name.clone() }));
            }
            opened => opened?,
        };
        let (found, expected) = (file.len()?, u64::from(*len));
        if found != expected {
            return Err(damaged(Damage::Length { entry: name.clone(), expected, found }));
        }
        let len = *len as usize;
        grow_to(buffer, len).map_err(|NoMemory| LoadError::OutOfMemory {
            location: self.location.clone(),
            what: name.clone(),
            needed: expected,
        })?;
        match file.read_at(0, &mut buffer[..len]) {
            Err(error) if Corrupt::is_cause(&error) => {
                Err(damaged(Damage::Checksum { entry: name.clone() }))
            }
            read => read.map(|()| &buffer[..len]).map_err(LoadError::from),
        }
    }

    /// An entry that the manifest does not list, if there is one.
    pub(crate) fn unexpected(&self) -> Result<Option<String>, LoadError> {
        let entries = self.source.entries()?;
        Ok(entries.into_iter().find(|name| self.find(name).is_none() && name != MANIFEST))
    }
}

/// Why a manifest could not be read.
enum Unread {
    TooLong { len: u64 },
    OutOfMemory { len: u64 },
    Failed(RepositoryError),
}

impl From<RepositoryError> for Unread {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error)
    }
}

fn read_manifest(tree: &dyn TreeSource) -> Result<Vec<u8>, Unread> {
    let file = tree.open(MANIFEST)?;
    let len = file.len()?;
    if len > DOCUMENT_MAX {
        return Err(Unread::TooLong { len });
    }
    let mut bytes = Vec::new();
    grow_to(&mut bytes, len as usize).map_err(|NoMemory| Unread::OutOfMemory { len })?;
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Whether a name stays inside the tree on every operating system.
fn is_inside(name: &str) -> bool {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"_.-%~".contains(&b);
    let is_plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_known);
    name != MANIFEST && name.split('/').all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_inside_the_tree_are_read() {
        for inside in ["zarr.json", "model/w/c/0/1", "model/a%2Fb~2/zarr.json"] {
            assert!(is_inside(inside), "{inside}");
        }
        for outside in
            ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.", "a\\b", "a\0", "c:x", MANIFEST]
        {
            assert!(!is_inside(outside), "{outside}");
        }
    }
}
