//! A repository in memory: a plain map from names to bytes.

use super::{
    Created, Exclusion, FileDraft, FileSource, Leftovers, Listed, Repository, RepositoryError,
    Result, TreeDraft, TreeSource,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A repository in memory, which lives as long as the last of its clones.
///
/// [`without_lock`](Self::without_lock) creates one that cannot exclude other writers, like a bucket;
/// saves are then ordered by conditional creation.
///
/// ```
/// use qstore_checkpoint::repository::{Created, MemoryRepository, Repository};
///
/// let repository = MemoryRepository::new();
/// let mut draft = repository.begin_file("epoch_0042.zarr.zip")?;
/// draft.append(b"all of it")?;
/// assert!(repository.list("")?.is_empty(), "a draft is invisible");
/// drop(draft.commit()?);
/// assert_eq!(repository.list("")?[0].name, "epoch_0042.zarr.zip");
///
/// assert_eq!(repository.create("epoch_0042.pin", b"")?, Created::New);
/// assert_eq!(repository.create("epoch_0042.pin", b"")?, Created::Exists(vec![]));
/// # Ok::<(), qstore_checkpoint::repository::RepositoryError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryRepository {
    shared: Arc<Shared>,
    has_no_lock: bool,
}

#[derive(Debug, Default)]
struct Shared {
    map: Mutex<Map>,
    is_excluded: Mutex<bool>,
    freed: Condvar,
}

type Bytes = Arc<Vec<u8>>;

#[derive(Debug, Default, Clone)]
struct Map {
    files: BTreeMap<String, Bytes>,
    trees: BTreeMap<String, BTreeMap<String, Bytes>>,
}

impl MemoryRepository {
    /// An empty repository.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty repository that cannot exclude other writers.
    #[must_use]
    pub fn without_lock() -> Self {
        Self { has_no_lock: true, ..Self::default() }
    }

    /// What would be left after a power cut: everything that was committed, and no lock. The two
    /// repositories are independent from then on.
    #[must_use]
    pub fn power_cut(&self) -> Self {
        let shared = Shared { map: Mutex::new(self.map().clone()), ..Shared::default() };
        Self { shared: Arc::new(shared), has_no_lock: self.has_no_lock }
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.shared.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(&self, name: &str) -> RepositoryError {
        RepositoryError::NotFound { name: name.into(), location: self.location() }
    }
}

impl Repository for MemoryRepository {
    fn location(&self) -> String {
        "memory".into()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let map = self.map();
        let below = |name: &String| {
            let rest = name.strip_prefix(prefix)?;
            (!rest.contains('/')).then(|| rest.to_owned())
        };
        let files = map.files.keys().filter_map(below).map(Listed::file);
        let trees = map.trees.keys().filter_map(below).map(Listed::tree);
        Ok(files.chain(trees).collect())
    }

    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>> {
        Ok(Box::new(MemoryFile { repository: self.clone(), name: name.into(), bytes: Vec::new() }))
    }

    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>> {
        match self.map().files.get(name) {
            Some(bytes) => Ok(Box::new(Arc::clone(bytes))),
            None => Err(self.not_found(name)),
        }
    }

    fn begin_tree(&self, name: &str, _: usize) -> Result<Box<dyn TreeDraft>> {
        let (repository, name) = (self.clone(), name.into());
        Ok(Box::new(MemoryTree { repository, name, entries: Mutex::default() }))
    }

    fn open_tree(&self, name: &str) -> Result<Box<dyn TreeSource>> {
        if !self.map().trees.contains_key(name) {
            return Err(self.not_found(name));
        }
        Ok(Box::new(OpenTree { repository: self.clone(), name: name.into() }))
    }

    fn has_trees(&self) -> bool {
        true
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created> {
        let mut map = self.map();
        if let Some(existing) = map.files.get(name) {
            return Ok(Created::Exists(existing.to_vec()));
        }
        map.files.insert(name.into(), Arc::new(bytes.to_vec()));
        Ok(Created::New)
    }

    fn remove(&self, names: &[String]) -> Result<Leftovers> {
        let mut map = self.map();
        for name in names {
            map.files.remove(name);
            map.trees.remove(name);
        }
        Ok(Leftovers::none())
    }

    fn exclude(&self) -> Result<Exclusion> {
        if self.has_no_lock {
            return Ok(Exclusion::Unavailable);
        }
        let is_excluded = self.shared.is_excluded.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.shared.freed.wait_while(is_excluded, |is_excluded| *is_excluded);
        *free.unwrap_or_else(PoisonError::into_inner) = true;
        Ok(Exclusion::Held(Box::new(Held { shared: Arc::clone(&self.shared) })))
    }
}

#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.shared.is_excluded.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.shared.freed.notify_one();
    }
}

#[derive(Debug)]
struct MemoryFile {
    repository: MemoryRepository,
    name: String,
    bytes: Vec<u8>,
}

impl FileDraft for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        self.repository.map().files.insert(self.name, Arc::new(self.bytes));
        Ok(Leftovers::none())
    }
}

impl FileSource for Bytes {
    fn len(&self) -> Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start.checked_add(buffer.len()).and_then(|end| self.get(start..end));
        let Some(found) = found else {
            return Err(RepositoryError::other(
                "memory",
                "the read goes beyond the end of the file",
            ));
        };
        buffer.copy_from_slice(found);
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryTree {
    repository: MemoryRepository,
    name: String,
    entries: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryTree {
    fn insert(&self, entry: &str, bytes: Bytes) -> Result<()> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.insert(entry.into(), bytes) {
            None => Ok(()),
            Some(_) => Err(RepositoryError::other(entry, "it was written twice")),
        }
    }
}

impl TreeDraft for MemoryTree {
    fn put(&self, entry: &str, pieces: &[&[u8]]) -> Result<()> {
        self.insert(entry, Arc::new(pieces.concat()))
    }

    fn link(&self, entry: &str, tree: &str) -> bool {
        let found = self.repository.map().trees.get(tree).and_then(|tree| tree.get(entry).cloned());
        found.is_some_and(|bytes| self.insert(entry, bytes).is_ok())
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        let entries = self.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.repository.map().trees.insert(self.name, entries);
        Ok(Leftovers::none())
    }
}

/// A tree that is looked up at each access. Like a directory, it can be replaced while it is read.
#[derive(Debug)]
struct OpenTree {
    repository: MemoryRepository,
    name: String,
}

impl TreeSource for OpenTree {
    fn open(&self, entry: &str) -> Result<Box<dyn FileSource>> {
        match self.repository.map().trees.get(&self.name).and_then(|tree| tree.get(entry)) {
            Some(bytes) => Ok(Box::new(Arc::clone(bytes))),
            None => Err(self.repository.not_found(&format!("{}/{entry}", self.name))),
        }
    }

    fn entries(&self) -> Result<Vec<String>> {
        let map = self.repository.map();
        let names = map.trees.get(&self.name).into_iter().flat_map(BTreeMap::keys);
        Ok(names.cloned().collect())
    }
}
