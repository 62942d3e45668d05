//! The ticket of a mirrored save: durable on the disk first, then in the bucket.

use super::error::{MirrorError, MirrorFailure};
use qstore_checkpoint::{Outcome, SaveError};
use qstore_os::ForkCheck;
use qstore_zarr::SaveTicket;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How mirroring a save ended when nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MirrorOutcome {
    /// The checkpoint is in the bucket.
    Mirrored(Mirrored),
    /// It was not uploaded: a newer one was saved before its turn came.
    Superseded {
        /// The epoch or step of the newer one.
        by: u64,
    },
    /// It was not uploaded: its file was removed from the directory before its turn came.
    Removed,
    /// There was nothing to upload: the save failed, was skipped, or was superseded.
    NotSaved,
}

/// A checkpoint that is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mirrored {
    /// Its epoch or step.
    pub number: u64,
    /// The tag of the object.
    pub etag: String,
    /// Its length in bytes.
    pub len: u64,
    /// The checkpoints that retention removed from the bucket.
    pub removed: Vec<u64>,
    /// Why retention failed there, if it did. The next upload tries again.
    pub retention: Option<String>,
}

pub(super) type Resolution = Result<MirrorOutcome, Arc<MirrorFailure>>;

/// The pending result of a save and of its upload. All clones resolve the same way.
#[derive(Debug, Clone)]
#[must_use = "a save that fails is reported here"]
pub struct MirrorTicket {
    save: SaveTicket,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    resolution: Mutex<Option<Resolution>>,
    resolved: Condvar,
    home: ForkCheck,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Resolution>> {
        self.resolution.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MirrorTicket {
    pub(super) fn new(save: SaveTicket) -> (Self, Completion) {
        let shared = Arc::new(Shared {
            resolution: Mutex::default(),
            resolved: Condvar::new(),
            home: ForkCheck::new(),
        });
        (Self { save, shared: Arc::clone(&shared) }, Completion { shared })
    }

    /// The epoch or step that is being saved.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.save.number()
    }

    /// The ticket of the save itself, which can be awaited.
    pub fn saved(&self) -> &SaveTicket {
        &self.save
    }

    /// Waits until the checkpoint is durable on the disk, as without a mirror.
    ///
    /// # Errors
    /// As [`SaveTicket::wait`].
    pub fn wait(&self, timeout: Duration) -> Result<Outcome, SaveError> {
        self.save.wait(timeout)
    }

    /// Waits until the checkpoint is in the bucket, or never will be.
    ///
    /// # Errors
    /// [`MirrorError::Failed`] if the mirror was closed before it could be uploaded; the next mirror of the
    /// directory resumes an upload that has begun. [`MirrorError::TimedOut`], after which it goes on;
    /// [`MirrorError::Forked`] in a forked child.
    pub fn wait_mirrored(&self, timeout: Duration) -> Result<MirrorOutcome, MirrorError> {
        if self.shared.home.is_forked() {
            return Err(MirrorError::Forked);
        }
        let is_open = |resolution: &mut Option<Resolution>| resolution.is_none();
        let waited = self.shared.resolved.wait_timeout_while(self.shared.lock(), timeout, is_open);
        let number = self.number();
        match &*waited.unwrap_or_else(PoisonError::into_inner).0 {
            None => Err(MirrorError::TimedOut { number, waited: timeout }),
            Some(Ok(outcome)) => Ok(outcome.clone()),
            Some(Err(source)) => Err(MirrorError::Failed { number, source: Arc::clone(source) }),
        }
    }
}

/// The other end. Dropped without a resolution, it reports that the mirror has ended.
#[derive(Debug)]
pub(super) struct Completion {
    shared: Arc<Shared>,
}

impl Completion {
    pub(super) fn resolve(self, resolution: Resolution) {
        self.settle(resolution);
    }

    fn settle(&self, resolution: Resolution) {
        if self.shared.home.is_forked() {
            return;
        }
        let mut state = self.shared.lock();
        if state.is_none() {
            *state = Some(resolution);
            self.shared.resolved.notify_all();
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.settle(Err(Arc::new(MirrorFailure::Stopped)));
    }
}
