//! The checkpoints of a directory, to be read: needs no right to write, starts no thread.

use crate::directory::{CheckpointDir, Found};
use crate::load::{self, Checkpoint, CheckpointInfo, Latest};
use crate::reader::{CheckpointReader, Select};
use crate::retention::{self, Candidate, Decision, Policy};
use crate::{CheckpointSettings, Error};
use qstore_schema::Tensor;
use qstore_storage::{FileSystem, LocalFs};
use std::path::Path;
use std::sync::Arc;

/// Reads the checkpoints of a directory; several threads may share it.
///
/// ```
/// use qstore_schema::{StateDict, Tensor};
/// use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints, Select};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let manager = CheckpointManager::open(dir, CheckpointSettings::default())?;
/// let model = StateDict::from_iter([("w", Tensor::scalar(1.0_f32)), ("b", Tensor::scalar(2.0_f32))]);
/// manager.save(7, model, None, None)?.wait(std::time::Duration::from_secs(60))?;
///
/// let checkpoints = Checkpoints::open(dir)?; // in another program, perhaps
/// let some = checkpoints.load_tensors(7, &Select::Glob("model/w*".into()))?;
/// assert_eq!(some[0].1.as_slice::<f32>()?, [1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoints {
    pub(crate) dir: CheckpointDir,
    pub(crate) workers: usize,
}

impl Checkpoints {
    /// Opens a directory of the machine's file system, which must exist and is not written to.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::Storage`] when it does not exist.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_in(Arc::new(LocalFs::new()), dir)
    }

    /// As [`open`](Self::open), in a storage of your choice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(storage: Arc<dyn FileSystem>, dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = CheckpointDir::open_read_only(storage, dir.as_ref())?;
        Ok(Self { dir, workers: CheckpointSettings::default().workers })
    }

    /// How many threads read and decompress, at least 1. Default: the machine's cores, at most 2.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Loads a checkpoint, every byte of it verified.
    ///
    /// # Errors
    /// [`Error::EpochNotFound`], [`Error::Damaged`], [`Error::UnsupportedVersion`],
    /// [`Error::Storage`].
    pub fn load(&self, epoch: u64) -> Result<Checkpoint, Error> {
        load::load_checkpoint(&self.dir, epoch, self.workers)
    }

    /// Loads some of a checkpoint's tensors, by the paths of their arrays, in the order of the state.
    /// The others are not read.
    ///
    /// # Errors
    /// [`Error::TensorNotFound`] when none is meant; as [`load`](Self::load).
    pub fn load_tensors(
        &self,
        epoch: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, Error> {
        // A neighbour may save the epoch again as often as it likes.
        const ATTEMPTS: usize = 20;
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            match self.reader(epoch).and_then(|reader| reader.load(select)) {
                Err(Error::Replaced { .. }) if attempts > 0 => {}
                done => return done,
            }
        }
    }

    /// Opens a checkpoint whose tensors are read when they are asked for.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`Error::Replaced`].
    pub fn reader(&self, epoch: u64) -> Result<CheckpointReader, Error> {
        CheckpointReader::open(&self.dir, epoch, self.workers)
    }

    /// Loads the newest checkpoint that can be loaded, and says which ones were skipped and why;
    /// `None` when there is none at all.
    ///
    /// # Errors
    /// [`Error::NoneValid`] when there are some, none of which can be loaded; [`Error::Storage`].
    pub fn load_latest(&self) -> Result<Option<Latest>, Error> {
        load::load_latest(&self.dir, self.workers)
    }

    /// The epochs of the checkpoints, sorted. Files without a valid manifest are not listed.
    ///
    /// # Errors
    /// When the directory or one of its checkpoints cannot be read.
    pub fn list_checkpoints(&self) -> Result<Vec<u64>, Error> {
        Ok(self.candidates()?.into_iter().map(|saved| saved.epoch).collect())
    }

    /// The epoch that was saved last, whatever its number; `None` when there is none.
    ///
    /// # Errors
    /// As [`list_checkpoints`](Self::list_checkpoints).
    pub fn latest_checkpoint(&self) -> Result<Option<u64>, Error> {
        let newest = self.candidates()?.into_iter().max_by_key(|saved| saved.save_seq);
        Ok(newest.map(|saved| saved.epoch))
    }

    /// What is known about a checkpoint without reading its tensors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn get_checkpoint_info(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        load::checkpoint_info(&self.dir, epoch)
    }

    /// Reads a checkpoint as [`load`](Self::load) does and checks everything, but keeps nothing.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn verify(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        load::verify_checkpoint(&self.dir, epoch, self.workers)
    }

    /// What a policy would do with the checkpoints that are there now, newest save first, each with
    /// the reason. Nothing is removed.
    ///
    /// # Errors
    /// As [`list_checkpoints`](Self::list_checkpoints).
    pub fn explain(&self, policy: &Policy) -> Result<Vec<Decision>, Error> {
        Ok(retention::plan(&self.candidates()?, policy))
    }

    fn candidates(&self) -> Result<Vec<Candidate>, Error> {
        let candidate = |found: Found| found.candidate;
        Ok(self.dir.valid()?.into_iter().map(candidate).collect())
    }
}
