//! A prefix of an object store as a repository: every checkpoint is one object, which appears whole.
//!
//! A file is an upload in parts, whatever its size, and completing it is the commit; decision 0131 says why.
//! There is no lock, so saves are ordered by claims, which exactly one writer gets. Nothing is removed but
//! the object that was looked at.

mod draft;
mod source;

use crate::settings::BucketSettings;
use draft::Draft;
use qstore_checkpoint::repository::{
    Created, Exclusion, FileDraft, FileSource, Identify, Leftovers, Listed, Repository,
    RepositoryError, Result, Source,
};
use qstore_objects::{Removed, Span, Store, StoreError, Token, Written};
use qstore_settings::SettingError;
use source::ObjectSource;

/// Checkpoints below a prefix of an object store.
///
/// ```
/// use qstore_bucket::{BucketSettings, ObjectRepository};
/// use qstore_objects::{Limits, MemoryObjects, Store};
/// use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot};
/// use std::{sync::Arc, time::Duration};
///
/// let store = Store::open(Arc::new(MemoryObjects::new()), Limits::default())?;
/// let bucket = ObjectRepository::new(store, "run_001/checkpoints", BucketSettings::default())?;
/// let mut manager = CheckpointManager::over(Arc::new(bucket), CheckpointSettings::default())?;
/// manager.save(Snapshot::new(7).meta("val_loss", 0.25))?;
/// manager.close(Duration::from_secs(60))?;
/// assert_eq!(manager.list_checkpoints()?, [7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ObjectRepository {
    store: Store,
    /// Empty, or ends with `/`.
    prefix: String,
    settings: BucketSettings,
}

impl ObjectRepository {
    /// The repository below `prefix`, such as `run_001/checkpoints`. Sends nothing.
    ///
    /// # Errors
    /// If the prefix has other characters than `A-Z a-z 0-9 . _ - = /`, or empty or dotted parts; if a setting
    /// is out of range.
    pub fn new(store: Store, prefix: &str, settings: BucketSettings) -> Result<Self, SettingError> {
        settings.check(store.part_bytes_min())?;
        let trimmed = prefix.trim_end_matches('/');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-=".contains(&b);
        let is_part = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_plain)
        };
        if !trimmed.is_empty() && !trimmed.split('/').all(is_part) {
            let choices = "parts of `A-Z a-z 0-9 . _ - =` between slashes";
            return Err(SettingError::new("prefix", format!("`{prefix}`"), choices, "empty"));
        }
        let prefix = if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") };
        Ok(Self { store, prefix, settings })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The sizes of requests.
    pub(crate) fn settings(&self) -> &BucketSettings {
        &self.settings
    }

    /// The key of a name.
    pub(crate) fn key_of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The location of a name, for messages.
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.location())
    }

    fn open(&self, name: &str) -> Result<ObjectSource> {
        let tail = Span::Last(self.settings.tail_bytes);
        let read = self.store.get(&self.key_of(name), tail, None);
        let body = read.map_err(|error| self.error(name, error))?;
        Ok(ObjectSource::new(self, name, body))
    }

    /// What an error of the store means for this name.
    pub(crate) fn error(&self, name: &str, error: StoreError) -> RepositoryError {
        match error {
            StoreError::NotFound { .. } => {
                RepositoryError::NotFound { name: name.into(), location: self.location() }
            }
            StoreError::Replaced { .. } => {
                RepositoryError::ReplacedWhileRead { location: self.shown(name) }
            }
            StoreError::Unsettled(_) | StoreError::Unremoved { .. } => {
                RepositoryError::Unsettled { name: name.into(), source: Box::new(error) }
            }
            other => RepositoryError::other(name, other),
        }
    }

    /// Removes one object, if it is the one that is due.
    fn remove_one(&self, name: &str, is_due: Option<Identify<'_>>) -> Result<()> {
        let key = self.key_of(name);
        let etag = match is_due {
            None => None,
            Some(is_due) => match self.open(name) {
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
                Ok(source) => {
                    let etag = source.etag().clone();
                    // mutant: bucket_removes_what_is_not_due
                    if !is_due(name, Source::File(Box::new(source)))? {
                        return Err(RepositoryError::Replaced { location: self.shown(name) });
                    }
                    Some(etag)
                }
            },
        };
        match self.store.delete(&key, etag.as_ref()) {
            Ok(Removed::Replaced) => Err(RepositoryError::Replaced { location: self.shown(name) }),
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(name, error)),
        }
    }

    fn remove_all(&self, names: &[String], is_due: Option<Identify<'_>>) -> Result<Leftovers> {
        let mut failure = None;
        for name in names {
            // One that cannot be removed does not keep the others.
            if let Err(error) = self.remove_one(name, is_due) {
                failure = failure.or(Some(error));
            }
        }
        failure.map_or(Ok(Leftovers::none()), Err)
    }
}

impl Repository for ObjectRepository {
    fn location(&self) -> String {
        let prefix = self.prefix.trim_end_matches('/');
        let store = self.store.location();
        if prefix.is_empty() { store } else { format!("{store}/{prefix}") }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let below = self.key_of(prefix);
        let listed = self.store.list(&below).map_err(|error| self.error(prefix, error))?;
        Ok(listed.into_iter().map(|object| Listed::file(&object.key[below.len()..])).collect())
    }

    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>> {
        Ok(Box::new(Draft::new(self, name)))
    }

    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>> {
        Ok(Box::new(self.open(name)?))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created> {
        // Between the conflict and the reading, the other's document may be removed.
        const ATTEMPTS: usize = 20;
        let (key, token) = (self.key_of(name), Token::random());
        let failed = |error| self.error(name, error);
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.store.create(&key, bytes, &token).map_err(failed)? {
                Written::Committed { .. } => return Ok(Created::New),
                Written::Taken { .. } => match self.store.get(&key, Span::All, None) {
                    Ok(body) => return Ok(Created::Exists(body.bytes)),
                    Err(error) if error.is_not_found() => last = Some(error),
                    Err(error) => return Err(failed(error)),
                },
            }
        }
        Err(RepositoryError::other(name, last.expect("every attempt but the last failed so")))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let written = self.store.replace(&self.key_of(name), bytes, &Token::random());
        written.map(drop).map_err(|error| self.error(name, error))
    }

    fn remove(&self, names: &[String]) -> Result<Leftovers> {
        self.remove_all(names, None)
    }

    fn remove_if(&self, names: &[String], is_due: Identify<'_>) -> Result<Leftovers> {
        self.remove_all(names, Some(is_due))
    }

    fn exclude(&self) -> Result<Exclusion> {
        Ok(Exclusion::Unavailable)
    }

    fn collect_leftovers(&self, _: Identify<'_>) {
        // Those of other processes are known to them only, and to the bucket's lifecycle rule.
        drop(self.store.abort_orphans());
    }
}
