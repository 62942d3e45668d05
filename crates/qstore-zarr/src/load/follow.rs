//! New saves in a repository since the last poll, for a second process next to a live writer.

use crate::catalog::Catalog;
use qstore_checkpoint::LoadError;

/// A save found by [`Follow::poll`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct NewSave {
    /// Its position in the sequence of all saves into the repository.
    pub save_seq: u64,
    /// Its epoch or step.
    pub number: u64,
}

/// Follows the saves into a repository. It takes no lock and never makes a writer wait.
///
/// Each call of [`poll`](Self::poll) returns the saves since the previous call, oldest first. A save that
/// was replaced or removed between two calls is not reported. Polling never waits for new saves; how often
/// to poll is up to the caller.
///
/// ```
/// use qstore_checkpoint::Snapshot;
/// use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let mut manager = CheckpointManager::open(dir, CheckpointSettings::default())?;
/// let mut follow = Checkpoints::open(dir)?.follow(); // in another process, perhaps
/// assert!(follow.poll()?.is_empty());
///
/// manager.save(Snapshot::new(7))?;
/// manager.close(std::time::Duration::from_secs(60))?;
/// let new: Vec<u64> = follow.poll()?.into_iter().map(|save| save.number).collect();
/// assert_eq!(new, [7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Follow {
    catalog: Catalog,
    last_seq: u64,
}

impl Follow {
    pub(crate) fn new(catalog: Catalog, last_seq: u64) -> Self {
        Self { catalog, last_seq }
    }

    /// The saves since the last call, oldest first.
    ///
    /// # Errors
    /// If the repository or one of its checkpoints cannot be read. The next call looks for the same saves
    /// again.
    pub fn poll(&mut self) -> Result<Vec<NewSave>, LoadError> {
        let valid = self.catalog.valid()?.into_iter();
        let saves = valid.map(|found| NewSave {
            save_seq: found.candidate.save_seq,
            number: found.candidate.number,
        });
        let mut new: Vec<_> = saves.filter(|save| save.save_seq > self.last_seq).collect();
        new.sort_unstable();
        self.last_seq = new.last().map_or(self.last_seq, |newest| newest.save_seq);
        Ok(new)
    }
}
