//! Files that are written and wait for their sync, where a tree cannot be synced as a whole.
//!
//! They are synced in batches: the first sync then carries the others with it, where one sync behind
//! every file would cost a turn of the disk each. Whoever fills a batch takes it and syncs it, while the
//! others go on with the next one; so nobody waits for anybody.

use crate::Error;
use crate::ordered::in_order;
use qstore_storage::StorageFile;
use std::sync::{Mutex, PoisonError};

/// How many files are open at a time, those of all workers: well below what a process may open.
const OPEN_MAX: usize = 128;

#[derive(Debug)]
pub(crate) struct Unsynced {
    files: Mutex<Vec<Box<dyn StorageFile>>>,
    /// How many files are synced in a row. Each worker may be doing that at the same time.
    batch: usize,
}

impl Unsynced {
    /// For files that so many threads write.
    pub(crate) fn new(workers: usize) -> Self {
        Self { files: Mutex::default(), batch: (OPEN_MAX / workers).max(1) }
    }

    /// Takes a file that has all its bytes; syncs a batch, this file or others, when there is one.
    pub(crate) fn push(&self, file: Box<dyn StorageFile>) -> Result<(), Error> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(file);
        if files.len() < self.batch {
            return Ok(());
        }
        let batch = std::mem::take(&mut *files);
        drop(files);
        batch.iter().try_for_each(|file| Ok(file.sync()?))
    }

    /// Syncs what is left.
    pub(crate) fn finish(self, workers: usize) -> Result<(), Error> {
        let files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        in_order(workers, files.len(), |index| Ok(files[index].sync()?), |()| Ok(()))
    }
}
