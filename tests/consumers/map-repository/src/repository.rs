//! A repository of checkpoints over a plain map from names to bytes, as a user would write one.

use qstore_checkpoint::repository::{
    Created, Exclusion, FileDraft, FileSource, Leftovers, Listed, Repository, RepositoryError,
    Result,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

type Bytes = Arc<Vec<u8>>;

/// Clones share the map.
#[derive(Debug, Clone, Default)]
pub struct MapRepository {
    map: Arc<Mutex<HashMap<String, Bytes>>>,
}

impl MapRepository {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        self.map.lock().unwrap()
    }

    /// A map of its own with what is in this one now: what a power cut would leave.
    pub fn copy(&self) -> Self {
        Self { map: Arc::new(Mutex::new(self.map().clone())) }
    }
}

impl Repository for MapRepository {
    fn location(&self) -> String {
        "a map".into()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let map = self.map();
        let below = map.keys().filter_map(|name| name.strip_prefix(prefix));
        Ok(below.filter(|name| !name.contains('/')).map(Listed::file).collect())
    }

    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>> {
        Ok(Box::new(Draft { repository: self.clone(), name: name.into(), bytes: Vec::new() }))
    }

    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>> {
        match self.map().get(name) {
            Some(bytes) => Ok(Box::new(Source(Arc::clone(bytes)))),
            None => Err(RepositoryError::NotFound { name: name.into(), location: self.location() }),
        }
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created> {
        let mut map = self.map();
        if let Some(existing) = map.get(name) {
            return Ok(Created::Exists(existing.to_vec()));
        }
        map.insert(name.into(), Arc::new(bytes.to_vec()));
        Ok(Created::New)
    }

    fn remove(&self, names: &[String]) -> Result<Leftovers> {
        let mut map = self.map();
        names.iter().for_each(|name| drop(map.remove(name)));
        Ok(Leftovers::none())
    }

    fn exclude(&self) -> Result<Exclusion> {
        Ok(Exclusion::Unavailable) // as in a bucket: saves are ordered by `create`
    }
}

#[derive(Debug)]
struct Draft {
    repository: MapRepository,
    name: String,
    bytes: Vec<u8>,
}

impl FileDraft for Draft {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        self.repository.map().insert(self.name, Arc::new(self.bytes));
        Ok(Leftovers::none())
    }
}

#[derive(Debug)]
struct Source(Bytes);

impl FileSource for Source {
    fn len(&self) -> Result<u64> {
        Ok(self.0.as_slice().len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let start = offset as usize;
        let Some(found) = self.0.get(start..start + buffer.len()) else {
            return Err(RepositoryError::other("map", "the read goes beyond the end"));
        };
        buffer.copy_from_slice(found);
        Ok(())
    }
}
