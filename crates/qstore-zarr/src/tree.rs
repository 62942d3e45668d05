//! The directory of a checkpoint: a Zarr hierarchy of plain files, with the manifest beside them.
//!
//! Written under a temporary name by as many threads as compress, synced as a whole where the system can,
//! and published as a whole. Where it cannot, the files are synced in [batches](Unsynced).
//!
//! A tree is read by its paths, so it can be replaced while it is read; whoever meets damage asks
//! [`Tree::is_replaced`] first. Links are never followed, and no name leads out of the tree.

use crate::archive::DOCUMENT_MAX;
use crate::manifest::{MANIFEST, Manifest};
use crate::unsynced::Unsynced;
use crate::{Damage, Error};
use qstore_storage::{EntryKind, FileSystem, StagedDir};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Writes the files of a staged directory, on any number of threads.
#[derive(Debug)]
pub(crate) struct TreeWriter {
    staged: StagedDir,
    unsynced: Unsynced,
    workers: usize,
}

impl TreeWriter {
    /// For so many threads.
    pub(crate) fn new(staged: StagedDir, workers: usize) -> Self {
        Self { staged, unsynced: Unsynced::new(workers), workers }
    }

    /// Writes one file, given in parts.
    pub(crate) fn append(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
        let file = self.staged.create_file(Path::new(name))?;
        let mut len = 0;
        for part in parts {
            file.write_at(len, part)?;
            len += part.len() as u64;
        }
        file.begin_write_out(0, len);
        if self.staged.is_synced_as_a_whole() { Ok(()) } else { self.unsynced.push(file) }
    }

    /// Links a file that is durable elsewhere; says whether it could. That the other one is gone, or
    /// has all the links it may have, is no error.
    pub(crate) fn link(&self, name: &str, stored: &Path) -> bool {
        self.staged.link_file(stored, Path::new(name)).is_ok()
    }

    /// Syncs what is left; the tree can be committed.
    pub(crate) fn finish(self) -> Result<StagedDir, Error> {
        // mutant: files_of_a_tree_not_synced
        self.unsynced.finish(self.workers)?;
        Ok(self.staged)
    }
}

/// A directory that is read, from any number of threads.
#[derive(Debug)]
pub(crate) struct Tree {
    storage: Arc<dyn FileSystem>,
    root: PathBuf,
    /// Name and length of every file but the manifest, as the manifest has them.
    entries: Vec<(String, u32)>,
    by_name: HashMap<String, usize>,
    manifest: Vec<u8>,
    len: u64,
}

impl Tree {
    /// Opens a directory by its manifest.
    pub(crate) fn open(
        storage: &Arc<dyn FileSystem>,
        root: &Path,
    ) -> Result<(Self, Manifest), Error> {
        let damaged = |damage| Error::Damaged { path: root.into(), damage };
        let bytes = match read_manifest(&**storage, root) {
            Err(Error::Storage(error)) if error.is_not_found() => {
                if storage.metadata(root)?.is_none() {
                    return Err(error.into()); // gone as a whole
                }
                let reason = "there is none".into();
                return Err(damaged(Damage::Manifest { reason }));
            }
            read => read?,
        };
        let manifest = Manifest::parse(&bytes, root)?;
        let entries: Vec<_> =
            manifest.entries().map(|(name, len)| (name.to_owned(), len)).collect();
        let mut by_name = HashMap::with_capacity(entries.len());
        for (index, (name, _)) in entries.iter().enumerate() {
            if !is_inside(name) || by_name.insert(name.clone(), index).is_some() {
                let reason = format!("it has no business with `{name}`");
                return Err(damaged(Damage::Manifest { reason }));
            }
        }
        let len = entries.iter().map(|(_, len)| u64::from(*len)).sum::<u64>() + bytes.len() as u64;
        let (storage, root) = (Arc::clone(storage), root.to_path_buf());
        Ok((Self { storage, root, entries, by_name, manifest: bytes, len }, manifest))
    }

    /// Whether there is another tree in this one's place now, or none.
    pub(crate) fn is_replaced(&self) -> bool {
        read_manifest(&*self.storage, &self.root).map_or(true, |found| found != self.manifest)
    }

    pub(crate) fn entries(&self) -> &[(String, u32)] {
        &self.entries
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Bytes of all files.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// Where a file lies.
    pub(crate) fn path_of(&self, index: usize) -> PathBuf {
        self.root.join(&self.entries[index].0)
    }

    /// The bytes of a file, in memory that is reused from one read to the next.
    pub(crate) fn read<'b>(
        &self,
        index: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Error> {
        let (name, len) = &self.entries[index];
        let damaged = |damage| Error::Damaged { path: self.root.clone(), damage };
        let missing = || damaged(Damage::Missing { entry: name.clone() });
        let path = self.root.join(name);
        // A link on the way would lead elsewhere.
        let file = self.storage.resolve(&path).and_then(|resolved| {
            // mutant: link_in_a_tree_followed
            if resolved == path { self.storage.open(&path).map(Some) } else { Ok(None) }
        });
        let file = match file {
            Ok(Some(file)) => file,
            Ok(None) => return Err(missing()),
            Err(error) if error.is_not_found() => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        let (found, expected) = (file.len()?, u64::from(*len));
        if found != expected {
            return Err(damaged(Damage::Length { entry: name.clone(), expected, found }));
        }
        let len = *len as usize;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        file.read_at(0, &mut buffer[..len])?;
        Ok(&buffer[..len])
    }

    /// A file in the tree that no manifest knows, if there is one.
    pub(crate) fn unexpected(&self) -> Result<Option<String>, Error> {
        let mut dirs = vec![String::new()];
        while let Some(dir) = dirs.pop() {
            for entry in self.storage.list(&self.root.join(&dir))? {
                let Some(name) = entry.name.to_str() else {
                    return Ok(Some(dir + &entry.name.to_string_lossy()));
                };
                let name = format!("{dir}{name}");
                match entry.kind {
                    EntryKind::Dir => dirs.push(name + "/"),
                    EntryKind::File if self.find(&name).is_some() || name == MANIFEST => {}
                    EntryKind::File | EntryKind::Other => return Ok(Some(name)),
                }
            }
        }
        Ok(None)
    }
}

fn read_manifest(storage: &dyn FileSystem, root: &Path) -> Result<Vec<u8>, Error> {
    let path = root.join(MANIFEST);
    if storage.resolve(&path)? != path {
        let reason = "it is a link".into();
        return Err(Error::Damaged { path: root.into(), damage: Damage::Manifest { reason } });
    }
    let file = storage.open(&path)?;
    let len = file.len()?;
    if len > DOCUMENT_MAX {
        let reason = "it is beyond all measure".into();
        return Err(Error::Damaged { path: root.into(), damage: Damage::Manifest { reason } });
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Whether a name stays in the tree, on every system.
fn is_inside(name: &str) -> bool {
    let is_plain = |part: &str| {
        let is_known = |b: u8| b.is_ascii_alphanumeric() || b"_.-%~".contains(&b);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_known)
    };
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
