//! The checkpoint manager: the asynchronous shell around saving, and the way to load.

use crate::directory::CheckpointDir;
use crate::intake::{Intake, Job, Pushed, SaveSink};
use crate::load::{Checkpoint, CheckpointInfo, Latest};
use crate::reader::Select;
use crate::retention::Decision;
use crate::save::Snapshot;
use crate::view::Checkpoints;
use crate::{Busy, CheckpointSettings, Error, SaveTicket, pin, staging};
use qstore_buffer::{Drain, DrainError, DrainSettings};
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Saves checkpoints in the background and loads them.
///
/// One manager saves one checkpoint at a time. Several managers, in one process or in several, may
/// work on one directory.
///
/// ```
/// use qstore_schema::{StateDict, Tensor};
/// use qstore_zarr::{CheckpointManager, CheckpointSettings};
/// use std::time::Duration;
///
/// # let tmp = tempfile::tempdir()?;
/// # let dir = tmp.path().join("checkpoints");
/// let mut manager = CheckpointManager::open(&dir, CheckpointSettings::default())?;
/// let model = StateDict::from_iter([("w", Tensor::from_vec(vec![1.0_f32, 2.0], [2])?)]);
/// let ticket = manager.save(0, model.clone(), None, None)?; // returns at once
/// ticket.wait(Duration::from_secs(60))?; // now it survives a power cut
/// assert_eq!(manager.load(0)?.model_state, model);
/// manager.close(Duration::from_secs(60))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a manager waits for its saves"]
pub struct CheckpointManager {
    checkpoints: Checkpoints,
    settings: CheckpointSettings,
    intake: Intake,
    drain: Drain<Job, SaveSink>,
}

impl CheckpointManager {
    /// Opens a directory of the machine's file system, which is made where it does not exist, and
    /// starts the background thread.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a setting, [`Error::NotADirectory`], [`Error::Storage`] when the
    /// directory cannot be made or written to, [`Error::Spawn`].
    pub fn open(dir: impl AsRef<Path>, settings: CheckpointSettings) -> Result<Self, Error> {
        Self::open_in(Arc::new(LocalFs::new()), dir, settings)
    }

    /// As [`open`](Self::open), in a storage of your choice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        storage: Arc<dyn FileSystem>,
        dir: impl AsRef<Path>,
        settings: CheckpointSettings,
    ) -> Result<Self, Error> {
        settings.validate()?;
        let dir = CheckpointDir::open(storage, dir.as_ref())?;
        staging::collect(&dir);
        let intake = Intake::new();
        let sink = SaveSink::new(dir.clone(), settings.clone(), intake.clone());
        let priority = settings.priority;
        let how = DrainSettings::default()
            .thread_name("qstore-checkpoints")
            .drop_timeout(settings.drop_timeout)
            .on_start(move || priority.apply());
        let drain = match Drain::spawn(intake.ring().clone(), sink, how) {
            Ok(drain) => drain,
            Err(DrainError::Spawn(source)) => return Err(Error::Spawn { source }),
            Err(error) => return Err(Error::Closed { reason: error.to_string() }),
        };
        let checkpoints = Checkpoints { dir, workers: settings.workers };
        Ok(Self { checkpoints, settings, intake, drain })
    }

    /// Saves a state in the background. The snapshot is the state as it is now: tensors are shared,
    /// not copied, and whatever the caller does afterwards does not reach the file.
    ///
    /// Returns at once, but for [`Busy::Wait`](crate::Busy::Wait) when one save runs and another
    /// waits. A checkpoint of the same epoch is replaced as a whole when this one is durable.
    ///
    /// # Errors
    /// [`Error::EmptyName`], [`Error::TooDeep`], [`Error::TensorInMetadata`] and [`Error::Encode`]
    /// for a state that cannot be saved; [`Error::EarlierSaveFailed`], once, after a failure in the
    /// background; [`Error::Closed`]. After an error nothing was begun.
    pub fn save(
        &self,
        epoch: u64,
        model_state: StateDict,
        optimizer_state: Option<StateDict>,
        metadata: Option<StateDict>,
    ) -> Result<SaveTicket, Error> {
        let snapshot = Self::snapshot(epoch, model_state, optimizer_state, metadata)?;
        self.intake.push(snapshot, self.settings.busy)?.ok_or_else(|| self.closed())
    }

    /// The state as it is now, if it can be saved.
    pub(crate) fn snapshot(
        epoch: u64,
        model_state: StateDict,
        optimizer_state: Option<StateDict>,
        metadata: Option<StateDict>,
    ) -> Result<Snapshot, Error> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let snapshot = Snapshot {
            epoch,
            timestamp: since_1970.map_or(0.0, |since| since.as_secs_f64()),
            model: model_state,
            optimizer: optimizer_state,
            metadata: metadata.unwrap_or_default(),
        };
        snapshot.check()?;
        Ok(snapshot)
    }

    /// Where snapshots are queued, for a thread that may have to wait for room.
    pub(crate) fn queue(&self) -> Queue {
        Queue { intake: self.intake.clone(), busy: self.settings.busy }
    }

    fn closed(&self) -> Error {
        let reason = match (self.drain.first_error(), self.intake.first_failure().as_deref()) {
            (Some(error @ DrainError::Panicked { .. }), _) => error.to_string(),
            (_, Some(Error::Lost { .. })) => "the background writer panicked".into(),
            _ => "it was closed".into(),
        };
        Error::Closed { reason }
    }

    /// The checkpoints of the directory, to be read: everything below, and some more.
    #[must_use]
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// As [`Checkpoints::load`].
    ///
    /// # Errors
    /// [`Error::EpochNotFound`], [`Error::Damaged`], [`Error::UnsupportedVersion`],
    /// [`Error::Storage`].
    pub fn load(&self, epoch: u64) -> Result<Checkpoint, Error> {
        self.checkpoints.load(epoch)
    }

    /// As [`Checkpoints::load_tensors`].
    ///
    /// # Errors
    /// [`Error::TensorNotFound`] when none is meant; as [`load`](Self::load).
    pub fn load_tensors(
        &self,
        epoch: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, Error> {
        self.checkpoints.load_tensors(epoch, select)
    }

    /// As [`Checkpoints::load_latest`].
    ///
    /// # Errors
    /// [`Error::NoneValid`] when there are some, none of which can be loaded; [`Error::Storage`].
    pub fn load_latest(&self) -> Result<Option<Latest>, Error> {
        self.checkpoints.load_latest()
    }

    /// As [`Checkpoints::list_checkpoints`].
    ///
    /// # Errors
    /// When the directory or one of its checkpoints cannot be read.
    pub fn list_checkpoints(&self) -> Result<Vec<u64>, Error> {
        self.checkpoints.list_checkpoints()
    }

    /// As [`Checkpoints::latest_checkpoint`].
    ///
    /// # Errors
    /// As [`list_checkpoints`](Self::list_checkpoints).
    pub fn latest_checkpoint(&self) -> Result<Option<u64>, Error> {
        self.checkpoints.latest_checkpoint()
    }

    /// As [`Checkpoints::get_checkpoint_info`].
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn get_checkpoint_info(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        self.checkpoints.get_checkpoint_info(epoch)
    }

    /// As [`Checkpoints::verify`].
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn verify(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        self.checkpoints.verify(epoch)
    }

    /// What retention would do now, newest save first, each checkpoint with the reason. Nothing is
    /// removed.
    ///
    /// # Errors
    /// As [`list_checkpoints`](Self::list_checkpoints).
    pub fn explain(&self) -> Result<Vec<Decision>, Error> {
        self.checkpoints.explain(&self.settings.retention)
    }

    /// Keeps a checkpoint until it is unpinned, whatever the settings say, by an empty file
    /// `epoch_0042.pin` beside it. After `Ok` the pin survives a power cut. An epoch can be pinned
    /// before it is saved.
    ///
    /// # Errors
    /// [`Error::Storage`] when the file cannot be made.
    pub fn pin(&self, epoch: u64) -> Result<(), Error> {
        pin::pin(&self.checkpoints.dir, epoch)
    }

    /// Takes a pin away; none to take away is no error.
    ///
    /// # Errors
    /// [`Error::Storage`] when the file cannot be removed.
    pub fn unpin(&self, epoch: u64) -> Result<(), Error> {
        pin::unpin(&self.checkpoints.dir, epoch)
    }

    /// Whether everything went well so far.
    ///
    /// # Errors
    /// The first failure in the background, for as long as the manager lives.
    pub fn health(&self) -> Result<(), Error> {
        self.intake.first_failure().map_or(Ok(()), |failure| Err(failure.again()))
    }

    /// How many saves are running or waiting.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.intake.open()
    }

    /// Ends the intake, waits for the saves that were taken, and ends the background thread. What is
    /// there can still be loaded.
    ///
    /// # Errors
    /// [`Error::CloseTimedOut`] when the time was not enough; otherwise as [`health`](Self::health).
    pub fn close(&mut self, timeout: Duration) -> Result<(), Error> {
        match self.drain.stop(timeout) {
            Ok(_) => self.health(),
            Err(DrainError::TimedOut { .. }) => Err(Error::CloseTimedOut { waited: timeout }),
            Err(error) => Err(Error::Closed { reason: error.to_string() }),
        }
    }
}

/// The way in, without the manager.
pub(crate) struct Queue {
    intake: Intake,
    busy: Busy,
}

impl Queue {
    pub(crate) fn push(&self, snapshot: Snapshot) -> Result<SaveTicket, Error> {
        self.intake.push(snapshot, self.busy)?.ok_or_else(Self::closed)
    }

    /// The snapshot comes back where [`push`](Self::push) would wait.
    pub(crate) fn try_push(
        &self,
        snapshot: Snapshot,
    ) -> Result<Result<SaveTicket, Snapshot>, Error> {
        match self.intake.try_push(snapshot, self.busy)? {
            Pushed::Taken(ticket) => Ok(Ok(ticket)),
            Pushed::Full(snapshot) => Ok(Err(*snapshot)),
            Pushed::Closed => Err(Self::closed()),
        }
    }

    fn closed() -> Error {
        Error::Closed { reason: "it was closed, or its thread panicked".into() }
    }
}

impl fmt::Debug for CheckpointManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointManager")
            .field("dir", &self.checkpoints.dir.dir)
            .field("settings", &self.settings)
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}
