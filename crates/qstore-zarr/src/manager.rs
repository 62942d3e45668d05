//! The checkpoint manager: the asynchronous shell around saving.

use crate::catalog::Catalog;
use crate::container::recognize::is_checkpoint_file;
use crate::load::Loading;
use crate::load::checkpoints::Checkpoints;
use crate::save::intake::{Intake, Job, Pushed, SaveSink};
use crate::save::settings::{Busy, CheckpointSettings};
use crate::save::ticket::SaveTicket;
use qstore_buffer::{Drain, DrainError, DrainSettings, Health};
use qstore_checkpoint::repository::Repository;
use qstore_checkpoint::{Layout, LocalRepository, OpenError, SaveError, Snapshot};
use qstore_settings::SettingError;
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Saves checkpoints in the background and loads them.
///
/// [`save`](Self::save) hands over a snapshot and returns immediately. In the background it is compressed,
/// written, synced, and only then given its name; its [`SaveTicket`] resolves when it is durable. If that
/// fails, the ticket, [`health`](Self::health) and the next `save` report it, and earlier checkpoints are
/// unchanged. A manager saves one checkpoint at a time, and one more may wait; [`Busy`](crate::Busy)
/// decides what happens to a third. Several managers, in one process or in several, may share a directory.
///
/// Dropping a manager waits for its saves, up to
/// [`drop_timeout`](CheckpointSettings::drop_timeout); [`close`](Self::close) does the same and reports
/// errors.
///
/// In a forked child `save`, `health` and `close` return [`SaveError::Forked`] without waiting, and dropping the
/// manager does nothing: the thread and its saves are the parent's. Reading and pinning work there. Open another
/// manager in the child to save; it may be on the same directory.
///
/// Reading and pinning are methods of [`Checkpoints`], to which a manager dereferences:
/// `manager.load(42)`, `manager.explain()`.
///
/// ```
/// use qstore_checkpoint::Snapshot;
/// use qstore_schema::{StateDict, Tensor};
/// use qstore_zarr::{CheckpointManager, CheckpointSettings};
/// use std::time::Duration;
///
/// # let tmp = tempfile::tempdir()?;
/// # let dir = tmp.path().join("checkpoints");
/// let mut manager = CheckpointManager::open(&dir, CheckpointSettings::default())?;
/// let model = StateDict::from_iter([("w", Tensor::from_vec(vec![1.0_f32, 2.0], [2])?)]);
/// let ticket = manager.save(Snapshot::new(0).model(model.clone()))?; // returns immediately
/// ticket.wait(Duration::from_secs(60))?; // now it survives a power cut
/// assert_eq!(manager.load(0)?.model(), Some(&model));
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
    /// Opens a directory of the local file system, creating it if it does not exist, and starts the
    /// background thread.
    ///
    /// # Errors
    /// [`OpenError::Setting`], [`OpenError::NotADirectory`], [`OpenError::Repository`] if the directory
    /// cannot be created or written to, [`OpenError::Spawn`].
    pub fn open(dir: impl AsRef<Path>, settings: CheckpointSettings) -> Result<Self, OpenError> {
        Self::open_in(Arc::new(LocalFs::new()), dir, settings)
    }

    /// Like [`open`](Self::open), in a file system of your choice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        fs: Arc<dyn FileSystem>,
        dir: impl AsRef<Path>,
        settings: CheckpointSettings,
    ) -> Result<Self, OpenError> {
        settings.validate()?;
        let repository = LocalRepository::open_with_locking(fs, dir, settings.locking)?;
        Self::over(Arc::new(repository), settings)
    }

    /// Opens a repository of any kind.
    ///
    /// ```
    /// use qstore_checkpoint::Snapshot;
    /// use qstore_checkpoint::repository::MemoryRepository;
    /// use qstore_zarr::{CheckpointManager, CheckpointSettings};
    /// use std::sync::Arc;
    ///
    /// let repository = Arc::new(MemoryRepository::new());
    /// let mut manager = CheckpointManager::over(repository, CheckpointSettings::default())?;
    /// manager.save(Snapshot::new(1).meta("loss", 0.5))?;
    /// manager.close(std::time::Duration::from_secs(60))?;
    /// assert_eq!(manager.list_checkpoints()?, [1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open); [`OpenError::Setting`] for the directory layout if the repository does not
    /// support trees.
    pub fn over(
        repository: Arc<dyn Repository>,
        settings: CheckpointSettings,
    ) -> Result<Self, OpenError> {
        settings.validate()?;
        if settings.layout == Layout::Directory && !repository.has_trees() {
            let choices = format!("SingleFile; {} stores files only", repository.location());
            return Err(SettingError::new("layout", "Directory", choices, "SingleFile").into());
        }
        let catalog = Catalog::writable(repository, settings.counter, &settings.retention)?;
        catalog.repository.collect_leftovers(&is_checkpoint_file);
        let intake = Intake::new();
        let sink = SaveSink::new(catalog.clone(), settings.clone(), intake.clone());
        let priority = settings.priority;
        let how = DrainSettings::default()
            .thread_name("qstore-checkpoints")
            .drop_timeout(settings.drop_timeout)
            .on_start(move || priority.apply());
        let drain = match Drain::spawn(intake.ring().clone(), sink, how) {
            Ok(drain) => drain,
            Err(DrainError::Spawn(source)) => return Err(OpenError::Spawn { source }),
            Err(error) => {
                let source = Arc::new(std::io::Error::other(error.to_string()));
                return Err(OpenError::Spawn { source });
            }
        };
        let loading = Loading { workers: settings.workers, memory: None };
        let checkpoints = Checkpoints { catalog, loading };
        Ok(Self { checkpoints, settings, intake, drain })
    }

    /// Saves a snapshot in the background. Its tensors are shared, not copied, and nothing the caller
    /// does afterwards changes what is saved.
    ///
    /// Returns immediately, except with [`Busy::Wait`](crate::Busy::Wait) when one save is running and
    /// another is waiting. An earlier checkpoint with the same number is replaced atomically once this one
    /// is durable.
    ///
    /// # Errors
    /// [`SaveError::State`] for a state that cannot be saved; [`SaveError::EarlierFailed`], once, after a
    /// failure in the background; [`SaveError::Closed`]; [`SaveError::Forked`] in a forked child. After an error
    /// no save has started.
    pub fn save(&self, snapshot: Snapshot) -> Result<SaveTicket, SaveError> {
        snapshot.check()?;
        self.intake.push(snapshot, self.settings.busy)?.ok_or_else(|| self.closed())
    }

    /// Like [`save`](Self::save), but returns the snapshot where `save` would wait for room.
    ///
    /// With [`wait_for_room`](Self::wait_for_room), for a caller that must look up from the wait: a program with
    /// signals to handle, or one that would rather use the time.
    ///
    /// ```
    /// use qstore_checkpoint::Snapshot;
    /// use qstore_zarr::{CheckpointManager, CheckpointSettings, TrySave};
    /// use std::time::Duration;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let manager = CheckpointManager::open(dir.path(), CheckpointSettings::default())?;
    /// let mut snapshot = Snapshot::new(1).meta("loss", 0.5);
    /// let ticket = loop {
    ///     match manager.try_save(snapshot)? {
    ///         TrySave::Started(ticket) => break ticket,
    ///         TrySave::Busy(returned) => snapshot = *returned,
    ///     }
    ///     manager.wait_for_room(Duration::from_millis(50));
    /// };
    /// assert!(ticket.wait(Duration::from_secs(60))?.is_saved());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn try_save(&self, snapshot: Snapshot) -> Result<TrySave, SaveError> {
        snapshot.check()?;
        match self.intake.try_push(snapshot, self.settings.busy)? {
            Pushed::Taken(ticket) => Ok(TrySave::Started(ticket)),
            Pushed::Full(snapshot) => Ok(TrySave::Busy(snapshot)),
            Pushed::Closed => Err(self.closed()),
        }
    }

    /// Waits up to `timeout` until a save would not have to wait; returns whether that is so. Another thread may
    /// take the room first. A manager that takes no more saves, and one in a forked child, have nothing to wait for.
    pub fn wait_for_room(&self, timeout: Duration) -> bool {
        self.intake.wait_for_room(timeout)
    }

    /// The queue of snapshots, for a thread that may have to wait for room.
    pub(crate) fn queue(&self) -> Queue {
        Queue { intake: self.intake.clone(), busy: self.settings.busy }
    }

    fn closed(&self) -> SaveError {
        let reason = match (self.drain.first_error(), self.intake.first_failure().as_deref()) {
            (Some(error @ DrainError::Panicked { .. }), _) => error.to_string(),
            (_, Some(SaveError::Lost { .. })) => "the background writer panicked".into(),
            _ => "it was closed".into(),
        };
        SaveError::Closed { reason }
    }

    /// The checkpoints of the repository, for reading, following, explaining, pinning and pruning. Clones
    /// may outlive the manager.
    #[must_use]
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// The first failure in the background, for as long as the manager lives, and the saves that were
    /// skipped or superseded, with the first of each. The failures include [`SaveError::Retention`], where
    /// the checkpoint itself is durable.
    ///
    /// ```
    /// # use qstore_zarr::{CheckpointManager, CheckpointSettings};
    /// # let dir = tempfile::tempdir()?;
    /// # let manager = CheckpointManager::open(dir.path(), CheckpointSettings::default())?;
    /// let health = manager.health();
    /// assert!(health.is_ok(), "{health}");
    /// health.check()?; // failures only
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn health(&self) -> Health<SaveError> {
        self.intake.health()
    }

    /// The latest failure in the background, if neither a later save nor its own ticket has reported it.
    #[must_use]
    pub fn unreported_failure(&self) -> Option<SaveError> {
        self.intake.unreported_failure()
    }

    /// The number of saves that are running or waiting.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.intake.open()
    }

    /// Stops accepting saves, waits for the accepted ones, and ends the background thread. Stored
    /// checkpoints can still be loaded.
    ///
    /// # Errors
    /// [`SaveError::CloseTimedOut`] if the timeout expires first; otherwise the first failure in the
    /// background.
    pub fn close(&mut self, timeout: Duration) -> Result<(), SaveError> {
        match self.drain.stop(timeout) {
            Ok(_) => self.health().check(),
            Err(DrainError::TimedOut { .. }) => Err(SaveError::CloseTimedOut { waited: timeout }),
            Err(DrainError::Forked) => Err(SaveError::Forked),
            Err(error) => Err(SaveError::Closed { reason: error.to_string() }),
        }
    }
}

impl Deref for CheckpointManager {
    type Target = Checkpoints;

    fn deref(&self) -> &Checkpoints {
        &self.checkpoints
    }
}

/// What became of a snapshot that was offered to [`CheckpointManager::try_save`].
#[derive(Debug)]
pub enum TrySave {
    /// It is being saved, or was skipped by the policy.
    Started(SaveTicket),
    /// One save is running and another one is waiting; here is the snapshot back.
    Busy(Box<Snapshot>),
}

/// Queues saves without borrowing the manager.
pub(crate) struct Queue {
    intake: Intake,
    busy: Busy,
}

impl Queue {
    pub(crate) fn push(&self, snapshot: Snapshot) -> Result<SaveTicket, SaveError> {
        self.intake.push(snapshot, self.busy)?.ok_or_else(Self::closed)
    }

    /// Like [`push`](Self::push), but returns the snapshot instead of waiting.
    pub(crate) fn try_push(&self, snapshot: Snapshot) -> Result<Pushed, SaveError> {
        snapshot.check()?;
        self.intake.try_push(snapshot, self.busy)
    }

    /// The error of a queue that takes nothing more.
    pub(crate) fn closed() -> SaveError {
        SaveError::Closed { reason: "it was closed, or its thread panicked".into() }
    }
}

impl fmt::Debug for CheckpointManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointManager")
            .field("repository", &self.checkpoints.catalog.repository)
            .field("settings", &self.settings)
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}
