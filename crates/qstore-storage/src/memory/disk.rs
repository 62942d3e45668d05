//! The simulated disk: files and directories, each as it is visible and as it is durable.

use super::pending::{Change, Pending};
use crate::file_system::EntryKind;
use crate::in_place::Stamp;
use crate::tree::parent_of;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

#[derive(Debug, Clone)]
pub(super) struct Disk {
    /// Never removed, so that an open file stays readable; number 0 is the root directory.
    pub(super) inodes: Vec<Inode>,
    /// The directory and the name of each lock that is held, and a number that no other lock has.
    pub(super) locked: BTreeMap<(usize, OsString), u64>,
    /// How many locks there have been.
    pub(super) locks: u64,
    /// Directories that were removed while a handle on them may be open.
    removed: BTreeSet<usize>,
    /// How many open handles each inode has.
    pub(super) opened: BTreeMap<usize, usize>,
    /// How often each inode was changed.
    changes: BTreeMap<usize, i64>,
    /// Inodes that cannot be opened at present.
    pub(super) claimed: BTreeSet<usize>,
    /// Changes of names that are not durable yet.
    pub(super) pending: Pending,
    /// The most bytes that all files together may have.
    pub(super) capacity: Option<u64>,
}

/// A file or a directory: as readers see it, and as a power cut would leave it.
#[derive(Debug, Clone)]
pub(super) enum Inode {
    File { live: Vec<u8>, durable: Vec<u8> },
    Dir { live: Names, durable: Names },
}

pub(super) type Names = BTreeMap<OsString, usize>;
pub(super) const ROOT: usize = 0;

/// A path, and the directory that it begins at if it is relative.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'p> {
    pub(super) dir: usize,
    pub(super) path: &'p Path,
}

impl At<'_> {
    fn parent(self) -> Self {
        Self { path: parent_of(self.path), ..self }
    }
}

impl Inode {
    pub(super) fn dir() -> Self {
        Self::Dir { live: Names::new(), durable: Names::new() }
    }
}

impl Disk {
    /// A disk with an empty root directory.
    pub(super) fn new() -> Self {
        Self {
            inodes: vec![Inode::dir()],
            locked: BTreeMap::new(),
            locks: 0,
            removed: BTreeSet::new(),
            opened: BTreeMap::new(),
            changes: BTreeMap::new(),
            claimed: BTreeSet::new(),
            pending: Pending::default(),
            capacity: None,
        }
    }

    /// Forgets what belongs to processes: locks, claims and open files.
    pub(super) fn forget_processes(&mut self) {
        self.locked.clear();
        self.removed.clear();
        self.opened.clear();
        self.claimed.clear();
    }

    pub(super) fn stamp(&self, inode: usize) -> Stamp {
        let names = self.inodes.iter().map(|dir| match dir {
            Inode::Dir { live, .. } => live.values().filter(|found| **found == inode).count(),
            Inode::File { .. } => 0,
        });
        Stamp {
            identity: (0, inode as u64),
            names: names.sum::<usize>() as u64,
            len: self.bytes(inode).map_or(0, |bytes| bytes.len() as u64),
            modified: (self.changes.get(&inode).copied().unwrap_or(0), 0),
        }
    }

    pub(super) fn find(&self, at: At<'_>) -> io::Result<usize> {
        let mut inode = at.dir;
        for component in at.path.components() {
            inode = match component {
                Component::RootDir => ROOT,
                Component::CurDir => inode,
                Component::Normal(name) => {
                    *self.names(inode)?.get(name).ok_or(io::ErrorKind::NotFound)?
                }
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
            };
        }
        Ok(inode)
    }

    /// The directory a path lies in and its last component.
    pub(super) fn split<'p>(&self, at: At<'p>) -> io::Result<(usize, &'p OsStr)> {
        let name = at.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.find(at.parent())?;
        // As on a real disk: a directory without a name takes no new ones.
        if self.removed.contains(&dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok((dir, name))
    }

    /// The path of a directory; none if it was removed.
    pub(super) fn path_of(&self, dir: usize) -> io::Result<PathBuf> {
        let mut left = vec![(ROOT, PathBuf::from("/"))];
        while let Some((found, path)) = left.pop() {
            if found == dir {
                return Ok(path);
            }
            if let Inode::Dir { live, .. } = &self.inodes[found] {
                left.extend(live.iter().map(|(name, inode)| (*inode, path.join(name))));
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Whether a lock is still the one of its name.
    pub(super) fn is_locked_by(&self, lock: &(usize, OsString), number: u64) -> bool {
        self.locked.get(lock) == Some(&number) && !self.removed.contains(&lock.0)
    }

    pub(super) fn names(&self, inode: usize) -> io::Result<&Names> {
        match &self.inodes[inode] {
            Inode::Dir { live, .. } => Ok(live),
            Inode::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn names_mut(&mut self, inode: usize) -> io::Result<&mut Names> {
        match &mut self.inodes[inode] {
            Inode::Dir { live, .. } => Ok(live),
            Inode::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn bytes(&self, inode: usize) -> io::Result<&Vec<u8>> {
        match &self.inodes[inode] {
            Inode::File { live, .. } => Ok(live),
            Inode::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn bytes_mut(&mut self, inode: usize) -> io::Result<&mut Vec<u8>> {
        *self.changes.entry(inode).or_default() += 1;
        match &mut self.inodes[inode] {
            Inode::File { live, .. } => Ok(live),
            Inode::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Records a step that changed names.
    fn note(&mut self, changes: Vec<Change>) {
        let mut inodes = changes.iter().filter_map(|change| change.2);
        let moves_a_dir = inodes.any(|inode| self.kind(inode) == EntryKind::Dir);
        self.pending.add(changes, moves_a_dir);
    }

    /// Makes the names in a directory durable, as they are now.
    pub(super) fn sync_names(&mut self, inode: usize) -> io::Result<()> {
        match &mut self.inodes[inode] {
            Inode::Dir { live, durable } => durable.clone_from(live),
            Inode::File { .. } => return Err(io::ErrorKind::NotADirectory.into()),
        }
        for change in self.pending.settle(inode) {
            self.make_durable(change);
        }
        Ok(())
    }

    pub(super) fn make_durable(&mut self, (dir, name, inode): Change) {
        if let Inode::Dir { durable, .. } = &mut self.inodes[dir] {
            match inode {
                Some(inode) => durable.insert(name, inode),
                None => durable.remove(&name),
            };
        }
    }

    pub(super) fn insert(&mut self, at: At<'_>, inode: Inode) -> io::Result<usize> {
        let (dir, name) = self.split(at)?;
        if self.names(dir)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = self.inodes.len();
        self.inodes.push(inode);
        self.names_mut(dir)?.insert(name.to_os_string(), number);
        self.note(vec![(dir, name.to_os_string(), Some(number))]);
        Ok(number)
    }

    pub(super) fn rename(&mut self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        let inode = self.find(from)?;
        let ((from_dir, from_name), (to_dir, to_name)) = (self.split(from)?, self.split(to)?);
        if let Some(&replaced) = self.names(to_dir)?.get(to_name) {
            if replaced == inode {
                return Ok(()); // two names of one file: POSIX keeps both
            }
            match (self.names(inode).is_ok(), self.names(replaced)) {
                (true, Ok(names)) if names.is_empty() => {
                    self.removed.insert(replaced);
                }
                (true, Ok(_)) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
                (true, Err(error)) => return Err(error),
                (false, Ok(_)) => return Err(io::ErrorKind::IsADirectory.into()),
                (false, Err(_)) => {}
            }
        }
        let (from_name, to_name) = (from_name.to_os_string(), to_name.to_os_string());
        self.names_mut(from_dir)?.remove(&from_name);
        self.names_mut(to_dir)?.insert(to_name.clone(), inode);
        self.note(vec![(from_dir, from_name, None), (to_dir, to_name, Some(inode))]);
        Ok(())
    }

    pub(super) fn rename_new(&mut self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        let (dir, name) = self.split(to)?;
        if self.names(dir)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    pub(super) fn exchange(&mut self, one: At<'_>, other: At<'_>) -> io::Result<()> {
        let (first, second) = (self.find(one)?, self.find(other)?);
        let ((one_dir, one_name), (other_dir, other_name)) = (self.split(one)?, self.split(other)?);
        let (one_name, other_name) = (one_name.to_os_string(), other_name.to_os_string());
        self.names_mut(one_dir)?.insert(one_name.clone(), second);
        self.names_mut(other_dir)?.insert(other_name.clone(), first);
        self.note(vec![(one_dir, one_name, Some(second)), (other_dir, other_name, Some(first))]);
        Ok(())
    }

    pub(super) fn link(&mut self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        let inode = self.find(from)?;
        self.bytes(inode)?;
        let (dir, name) = self.split(to)?;
        if self.names(dir)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.names_mut(dir)?.insert(name.to_os_string(), inode);
        self.note(vec![(dir, name.to_os_string(), Some(inode))]);
        Ok(())
    }

    pub(super) fn remove(&mut self, at: At<'_>, want_dir: bool) -> io::Result<()> {
        let (dir, name) = self.split(at)?;
        let name = name.to_os_string();
        let inode = match self.find(at) {
            // The file of a lock, which is removed by hand; it is not listed, but it has a name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.locked.remove(&(dir, name)).map(drop).ok_or(error);
            }
            found => found?,
        };
        match (want_dir, self.names(inode)) {
            (true, Ok(names)) if !names.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            (true, Err(error)) => return Err(error),
            (false, Ok(_)) => return Err(io::ErrorKind::IsADirectory.into()),
            _ => {}
        }
        if want_dir {
            self.removed.insert(inode);
        }
        self.names_mut(dir)?.remove(&name);
        self.note(vec![(dir, name, None)]);
        Ok(())
    }

    pub(super) fn kind(&self, inode: usize) -> EntryKind {
        match self.inodes[inode] {
            Inode::File { .. } => EntryKind::File,
            Inode::Dir { .. } => EntryKind::Dir,
        }
    }
}
