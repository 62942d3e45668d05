//! A file that is being written: an upload in parts. At most one part is in memory.

use super::ObjectRepository;
use qstore_checkpoint::repository::{
    FileDraft, Identify, Leftovers, RepositoryError, Result, Source,
};
use qstore_objects::{StoreError, Token, Upload, Written};
use std::time::Duration;

/// How long dropping a draft tries to abort its upload. What is left is an orphan with a name.
const ABORT: Duration = Duration::from_secs(10);
/// A store takes 10 000 parts. Their size doubles after this many, so that the length need not be known.
const PARTS_OF_ONE_SIZE: usize = 1000;

#[derive(Debug)]
pub(super) struct Draft {
    repository: ObjectRepository,
    name: String,
    token: Token,
    upload: Option<Upload>,
    tags: Vec<String>,
    part: Vec<u8>,
    len: u64,
}

impl Draft {
    pub(super) fn new(repository: &ObjectRepository, name: &str) -> Self {
        let (repository, name, token) = (repository.clone(), name.into(), Token::random());
        Self { repository, name, token, upload: None, tags: Vec::new(), part: Vec::new(), len: 0 }
    }

    fn part_bytes(&self) -> usize {
        let doubled = (self.tags.len() / PARTS_OF_ONE_SIZE).min(8);
        (self.repository.settings.part_bytes as usize) << doubled
    }

    /// Uploads what is in memory.
    fn send(&mut self) -> Result<()> {
        let Self { repository, name, token, upload, tags, part, .. } = self;
        let (store, failed) = (&repository.store, |error| repository.error(name, error));
        if upload.is_none() {
            *upload = Some(store.begin(&repository.key_of(name), token).map_err(failed)?);
        }
        let known = upload.as_ref().expect("it was begun");
        let number = tags.len() as u32 + 1;
        tags.push(store.part(known, number, part).map_err(failed)?);
        part.clear();
        Ok(())
    }

    fn complete(mut self) -> Result<Leftovers> {
        if self.len == 0 {
            let Self { repository, name, .. } = &self;
            let written = repository.store.replace(&repository.key_of(name), b"", &self.token);
            return written.map(|_| Leftovers::none()).map_err(|e| repository.error(name, e));
        }
        if !self.part.is_empty() {
            self.send()?;
        }
        // From here on the store aborts it, or keeps it among its orphans.
        let upload = self.upload.take().expect("there is at least one part");
        let Self { repository, name, tags, len, .. } = &self;
        match repository.store.complete(&upload, tags, *len, false) {
            Ok(Written::Committed { .. }) => Ok(Leftovers::none()),
            Ok(Written::Taken { .. }) => {
                Err(RepositoryError::Taken { location: repository.shown(name) })
            }
            Err(error) => Err(repository.error(name, error)),
        }
    }
}

impl FileDraft for Draft {
    fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.part_bytes() - self.part.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.part.extend_from_slice(now);
            self.len += now.len() as u64;
            bytes = later;
            if self.part.len() >= self.part_bytes() {
                self.send()?;
            }
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        self.complete()
    }

    fn commit_over(self: Box<Self>, is_ours: Identify<'_>) -> Result<Leftovers> {
        match self.repository.open(&self.name) {
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
            Ok(found) => {
                // mutant: bucket_replaces_what_is_foreign
                if !is_ours(&self.name, Source::File(Box::new(found)))? {
                    let location = self.repository.shown(&self.name);
                    return Err(RepositoryError::Foreign { location });
                }
            }
        }
        self.complete()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            let aborted: Result<(), StoreError> =
                self.repository.store.within(ABORT).abort(&upload);
            drop(aborted); // an orphan now, if it failed
        }
    }
}
