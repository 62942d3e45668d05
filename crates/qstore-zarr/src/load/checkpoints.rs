//! The checkpoints of a repository as any process sees them, with or without a live writer.

use super::follow::Follow;
use super::memory::{Loading, TensorMemory};
use super::reader::CheckpointReader;
use crate::catalog::{Catalog, Found, pins, retain};
use crate::load;
use qstore_checkpoint::repository::Repository;
use qstore_checkpoint::retention::{self, Candidate, Decision, Policy};
use qstore_checkpoint::{
    Checkpoint, CheckpointInfo, Counter, Latest, LoadError, LocalRepository, OpenError, Select,
};
use qstore_schema::Tensor;
use qstore_storage::{FileSystem, LocalFs};
use std::path::Path;
use std::sync::Arc;

/// Lists, loads, follows, explains, pins and prunes checkpoints. Needs no manager and starts no thread
/// that outlives a call; several threads may share it.
///
/// Opening and reading write nothing and take no lock. Pinning and pruning change the repository: like a
/// manager's saves, they briefly take its lock, `.qstore.lock` in a local directory.
///
/// ```
/// use qstore_checkpoint::{Select, Snapshot};
/// use qstore_schema::{StateDict, Tensor};
/// use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let manager = CheckpointManager::open(dir, CheckpointSettings::default())?;
/// let model = StateDict::from_iter([("w", Tensor::scalar(1.0_f32)), ("b", Tensor::scalar(2.0_f32))]);
/// manager.save(Snapshot::new(7).model(model))?.wait(std::time::Duration::from_secs(60))?;
///
/// let checkpoints = Checkpoints::open(dir)?; // in another process, perhaps
/// let some = checkpoints.load_tensors(7, &Select::Glob("model/w*".into()))?;
/// assert_eq!(some[0].1.as_slice::<f32>()?, [1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoints {
    pub(crate) catalog: Catalog,
    pub(crate) loading: Loading,
}

impl Checkpoints {
    /// Opens an existing directory of the local file system. Opening writes nothing.
    ///
    /// # Errors
    /// [`OpenError::NotADirectory`]; [`OpenError::Repository`] if it does not exist.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_in(Arc::new(LocalFs::new()), dir)
    }

    /// Like [`open`](Self::open), in a file system of your choice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(fs: Arc<dyn FileSystem>, dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Ok(Self::of(Arc::new(LocalRepository::open_read_only_in(fs, dir)?)))
    }

    /// The checkpoints of a repository of any kind.
    #[must_use]
    pub fn of(repository: Arc<dyn Repository>) -> Self {
        Self { catalog: Catalog::read_only(repository), loading: Loading::default() }
    }

    /// The checkpoints of a repository that is written to without a manager: a mirror. Stores what is counted
    /// and the policy with them, as a manager does.
    ///
    /// # Errors
    /// As [`CheckpointManager::over`](crate::CheckpointManager::over).
    pub fn described(
        repository: Arc<dyn Repository>,
        counter: Counter,
        policy: &Policy,
    ) -> Result<Self, OpenError> {
        let catalog = Catalog::writable(repository, Some(counter), policy)?;
        Ok(Self { catalog, loading: Loading::default() })
    }

    /// Gives later saves into this repository, by the manager that this value comes from, greater numbers
    /// than `save_seq`. For a mirror whose bucket has newer saves than a directory that was lost.
    pub fn continue_after(&self, save_seq: u64) {
        self.catalog.continue_after(save_seq);
    }

    /// Where the checkpoints are stored.
    #[must_use]
    pub fn repository(&self) -> &Arc<dyn Repository> {
        &self.catalog.repository
    }

    /// The greatest `save_seq` of the checkpoints; 0 if there are none.
    ///
    /// # Errors
    /// As [`list_checkpoints`](Self::list_checkpoints).
    pub fn last_save_seq(&self) -> Result<u64, LoadError> {
        Ok(self.candidates()?.into_iter().map(|saved| saved.save_seq).max().unwrap_or(0))
    }

    /// How many threads read and decompress, at least 1. Default: the number of cores, at most 2.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.loading.workers = workers.max(1);
        self
    }

    /// Puts the tensors of later loads into this memory. Default: the heap, in large pages where the system has them.
    #[must_use]
    pub fn memory(mut self, memory: Arc<dyn TensorMemory>) -> Self {
        self.loading.memory = Some(memory);
        self
    }

    /// Loads a checkpoint and verifies every byte of it.
    ///
    /// # Errors
    /// [`LoadError::NotFound`], [`LoadError::Damaged`], [`LoadError::UnsupportedVersion`],
    /// [`LoadError::Repository`].
    pub fn load(&self, number: u64) -> Result<Checkpoint, LoadError> {
        load::load_checkpoint(&self.catalog, number, &self.loading)
    }

    /// Loads the selected tensors of a checkpoint, by array path, in the order of the state. The others are
    /// not read.
    ///
    /// # Errors
    /// [`LoadError::TensorNotFound`] if none matches; otherwise as [`load`](Self::load).
    pub fn load_tensors(
        &self,
        number: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, LoadError> {
        // Another writer may save the same number again at any time.
        const ATTEMPTS: usize = 20;
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            match self.reader(number).and_then(|reader| reader.load(select)) {
                Err(LoadError::Replaced { .. }) if attempts > 0 => {}
                done => return done,
            }
        }
    }

    /// Opens a checkpoint for reading tensors on demand.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`LoadError::Replaced`].
    pub fn reader(&self, number: u64) -> Result<CheckpointReader, LoadError> {
        CheckpointReader::of_number(&self.catalog, number, self.loading.clone())
    }

    /// Loads the newest checkpoint that can be loaded, and reports which newer ones were skipped and why.
    /// `None` if there are no checkpoints.
    ///
    /// # Errors
    /// [`LoadError::NoneValid`] if there are checkpoints but none can be loaded;
    /// [`LoadError::Repository`].
    pub fn load_latest(&self) -> Result<Option<Latest>, LoadError> {
        load::load_latest(&self.catalog, &self.loading, None)
    }

    /// As [`load_latest`](Self::load_latest), among the checkpoints whose info is wanted. The others are neither
    /// loaded nor reported. A file without a valid manifest has no info to ask about: it is reported.
    ///
    /// ```
    /// use qstore_checkpoint::Snapshot;
    /// use qstore_zarr::{CheckpointManager, CheckpointSettings};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let mut manager = CheckpointManager::open(dir.path(), CheckpointSettings::default())?;
    /// for (epoch, loss) in [(1, 0.5), (2, f64::NAN)] {
    ///     manager.save(Snapshot::new(epoch).meta("loss", loss))?;
    /// }
    /// manager.close(std::time::Duration::from_secs(60))?;
    /// let is_finite = |loss: f64| loss.is_finite();
    /// let latest = manager.load_latest_where(|info| info.metadata.float("loss").is_some_and(is_finite))?;
    /// assert_eq!(latest.expect("one is finite").checkpoint.number(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_latest`](Self::load_latest).
    pub fn load_latest_where(
        &self,
        is_wanted: impl Fn(&CheckpointInfo) -> bool,
    ) -> Result<Option<Latest>, LoadError> {
        load::load_latest(&self.catalog, &self.loading, Some(&is_wanted))
    }

    /// What the numbers count. Epochs, unless something in the repository says otherwise.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub fn counter(&self) -> Result<Counter, LoadError> {
        self.catalog.counter()
    }

    /// The numbers of the checkpoints, in ascending order. Files without a valid manifest are not
    /// listed.
    ///
    /// # Errors
    /// If the repository or one of its checkpoints cannot be read.
    pub fn list_checkpoints(&self) -> Result<Vec<u64>, LoadError> {
        Ok(self.candidates()?.into_iter().map(|saved| saved.number).collect())
    }

    /// The number of the newest save, which need not be the largest. `None` if there are no checkpoints.
    ///
    /// # Errors
    /// As [`list_checkpoints`](Self::list_checkpoints).
    pub fn latest_checkpoint(&self) -> Result<Option<u64>, LoadError> {
        let newest = self.candidates()?.into_iter().max_by_key(|saved| saved.save_seq);
        Ok(newest.map(|saved| saved.number))
    }

    /// Describes a checkpoint without reading its tensors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn get_checkpoint_info(&self, number: u64) -> Result<CheckpointInfo, LoadError> {
        load::checkpoint_info(&self.catalog, number)
    }

    /// Reads and checks a checkpoint as [`load`](Self::load) does, but keeps nothing in memory.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn verify(&self, number: u64) -> Result<CheckpointInfo, LoadError> {
        load::verify_checkpoint(&self.catalog, number, self.loading.workers)
    }

    /// Follows saves. The first [`poll`](Follow::poll) returns those that already exist.
    #[must_use]
    pub fn follow(&self) -> Follow {
        self.follow_since(0)
    }

    /// Follows the saves after the one with this `save_seq`.
    #[must_use]
    pub fn follow_since(&self, save_seq: u64) -> Follow {
        Follow::new(self.catalog.clone(), save_seq)
    }

    /// The retention policy stored in the repository by the manager that opened it last.
    ///
    /// # Errors
    /// [`LoadError::NoPolicy`] if no manager has opened it yet.
    pub fn policy(&self) -> Result<Policy, LoadError> {
        self.catalog.policy()
    }

    /// What the stored policy would do with the existing checkpoints and why, newest save first. Nothing is
    /// removed. A checkpoint that the rule for the best cannot rank, perhaps because its metric is misspelt,
    /// says so, with similar names. Its metadata are read if the manifest does not note the metric.
    ///
    /// # Errors
    /// As [`policy`](Self::policy) and [`list_checkpoints`](Self::list_checkpoints).
    pub fn explain(&self) -> Result<Vec<Decision>, LoadError> {
        self.explain_with(&self.policy()?)
    }

    /// Like [`explain`](Self::explain), for another policy.
    ///
    /// # Errors
    /// As [`list_checkpoints`](Self::list_checkpoints).
    pub fn explain_with(&self, policy: &Policy) -> Result<Vec<Decision>, LoadError> {
        let mut history = self.catalog.valid()?;
        self.catalog.measure(&mut history, policy);
        let candidates: Vec<_> = history.into_iter().map(|found| found.candidate).collect();
        Ok(retention::plan(&candidates, policy))
    }

    /// Removes the checkpoints that a plan of [`explain`](Self::explain) or
    /// [`explain_with`](Self::explain_with) removes, and returns their numbers.
    ///
    /// Under the lock, the plan is compared with what exists. A checkpoint that was saved again, pinned or
    /// removed since the plan was made is left alone; so is the newest save, whatever the plan says.
    ///
    /// ```
    /// use qstore_checkpoint::Snapshot;
    /// use qstore_checkpoint::retention::Policy;
    /// use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// let mut manager = CheckpointManager::open(dir, CheckpointSettings::default().keep_last(0))?;
    /// for step in [10, 20, 30] {
    ///     manager.save(Snapshot::new(step))?;
    /// }
    /// manager.close(std::time::Duration::from_secs(60))?;
    ///
    /// let checkpoints = Checkpoints::open(dir)?;
    /// checkpoints.pin(10)?;
    /// let plan = checkpoints.explain_with(&Policy::keep_last(1))?;
    /// assert_eq!(checkpoints.prune(&plan)?, [20]);
    /// assert_eq!(checkpoints.list_checkpoints()?, [10, 30]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the repository cannot be read, or a checkpoint cannot be removed. The others are removed all the
    /// same.
    pub fn prune(&self, plan: &[Decision]) -> Result<Vec<u64>, LoadError> {
        let _exclusion = self.catalog.repository.exclude()?;
        let history = self.catalog.valid()?;
        let newest = history.iter().map(|found| found.candidate.save_seq).max();
        let is_due = |decision: &&Decision| {
            history.iter().any(|Found { candidate, .. }| {
                candidate.number == decision.number
                    && candidate.save_seq == decision.save_seq
                    && !candidate.is_pinned
                    && Some(candidate.save_seq) != newest
            })
        };
        let due: Vec<_> =
            plan.iter().filter(|decision| !decision.keep).filter(is_due).cloned().collect();
        let removal = retain::remove(&self.catalog, &history, &due);
        drop(removal.leftovers);
        match removal.failure {
            Some(error) => Err(error.into()),
            None => Ok(removal.removed),
        }
    }

    /// Keeps a checkpoint until it is unpinned, whatever the policy. The pin is an empty document,
    /// `epoch_0042.pin`, next to it. After `Ok` the pin survives a power cut. A number can be pinned before
    /// it is saved.
    ///
    /// # Errors
    /// If the document cannot be written.
    pub fn pin(&self, number: u64) -> Result<(), LoadError> {
        pins::pin(&self.catalog, number)
    }

    /// Removes a pin. If there is no pin, nothing happens.
    ///
    /// # Errors
    /// If the document cannot be removed.
    pub fn unpin(&self, number: u64) -> Result<(), LoadError> {
        pins::unpin(&self.catalog, number)
    }

    fn candidates(&self) -> Result<Vec<Candidate>, LoadError> {
        Ok(self.catalog.valid()?.into_iter().map(|found| found.candidate).collect())
    }
}

impl From<LocalRepository> for Checkpoints {
    fn from(repository: LocalRepository) -> Self {
        Self::of(Arc::new(repository))
    }
}
