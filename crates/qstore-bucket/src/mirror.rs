//! A local directory of checkpoints that is mirrored to a bucket: saved as without a bucket, and uploaded by
//! a thread of its own. Saving never waits for the bucket.
//!
//! The upload that is under way is finished; of those that wait, only the newest is uploaded. A bucket that is
//! away for an hour costs nothing but the hour: the upload is tried again until it succeeds, or a newer
//! checkpoint takes its place. Memory is bounded by the parts in flight.

mod error;
mod journal;
mod ticket;
mod upload;

pub use error::{MirrorError, MirrorFailure};
pub use ticket::{MirrorOutcome, MirrorTicket, Mirrored};

use crate::repository::ObjectRepository;
use journal::Journal;
use qstore_checkpoint::repository::{FileSource, Repository};
use qstore_checkpoint::retention::Policy;
use qstore_checkpoint::{CheckpointId, Counter, Layout, SaveError, Snapshot};
use qstore_os::ForkCheck;
use qstore_settings::SettingError;
use qstore_zarr::{CheckpointManager, Checkpoints, SaveTicket};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use ticket::{Completion, Resolution};
use upload::Uploader;

/// How long the thread looks at one ticket before it looks at the queue again.
const LOOK: Duration = Duration::from_millis(50);

/// The longest pause before a failed upload is tried again.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The settings of a mirror.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MirrorSettings {
    /// What is kept in the bucket.
    pub retention: Policy,
    /// How many parts are uploaded at the same time.
    pub in_flight: usize,
    /// The pause before a failed upload is tried again; it doubles up to a minute.
    pub retry_pause: Duration,
    /// How long dropping waits for uploads.
    pub drop_timeout: Duration,
    /// The name of the journal, for a directory that has several mirrors.
    pub name: String,
}

impl Default for MirrorSettings {
    fn default() -> Self {
        Self {
            retention: Policy::keep_last(5),
            in_flight: 4,
            retry_pause: Duration::from_secs(1),
            drop_timeout: Duration::from_secs(30),
            name: "default".into(),
        }
    }
}

impl MirrorSettings {
    /// What is kept in the bucket. Default: the last five.
    #[must_use]
    pub fn retention(mut self, policy: Policy) -> Self {
        self.retention = policy;
        self
    }

    /// How many parts are uploaded at the same time, 1 to 64. Each takes the memory of a part. Default: 4.
    #[must_use]
    pub fn in_flight(mut self, parts: usize) -> Self {
        self.in_flight = parts;
        self
    }

    /// The pause before a failed upload is tried again, 1 ms to 1 minute; it doubles up to a minute.
    /// Default: 1 s.
    #[must_use]
    pub fn retry_pause(mut self, pause: Duration) -> Self {
        self.retry_pause = pause;
        self
    }

    /// How long dropping waits for uploads. Default: 30 s.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    /// The name of the journal: 1 to 64 of `a-z 0-9 -`. A directory with several mirrors needs one for each.
    /// Default: `default`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    fn check(&self) -> Result<(), SettingError> {
        SettingError::check("in_flight", self.in_flight, 1..=64, 4)?;
        let pause = self.retry_pause.as_millis();
        SettingError::check("retry_pause (in ms)", pause, 1..=60_000, 1000)?;
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=64).contains(&self.name.len()) && self.name.bytes().all(is_plain) {
            return Ok(());
        }
        let choices = "1 to 64 of `a-z 0-9 -`";
        Err(SettingError::new("name", format!("`{}`", self.name), choices, "default"))
    }
}

/// How a mirror is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MirrorStatus {
    /// Checkpoints that were uploaded.
    pub mirrored: u64,
    /// Checkpoints that were not, because a newer one came first.
    pub superseded: u64,
    /// Uploads that have failed and were tried again.
    pub failures: u64,
    /// The newest checkpoint that this mirror has uploaded.
    pub newest: Option<u64>,
    /// Why the upload under way has failed last; `None` if it has not, or has succeeded since.
    pub failing: Option<String>,
}

/// Saves to a local directory, and uploads what was saved.
///
/// ```
/// use qstore_bucket::{BucketSettings, Mirror, MirrorOutcome, MirrorSettings, ObjectRepository};
/// use qstore_objects::{Limits, MemoryObjects, Store};
/// use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot};
/// use std::{sync::Arc, time::Duration};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Store::open(Arc::new(MemoryObjects::new()), Limits::default())?;
/// let bucket = ObjectRepository::new(store, "run_001/checkpoints", BucketSettings::default())?;
/// let manager = CheckpointManager::open(dir.path(), CheckpointSettings::default())?;
/// let mut mirror = Mirror::open(manager, bucket, MirrorSettings::default())?;
///
/// let ticket = mirror.save(Snapshot::new(7).meta("val_loss", 0.25))?; // as fast as without a bucket
/// assert!(ticket.wait(Duration::from_secs(60))?.is_saved()); // durable in the directory
/// let outcome = ticket.wait_mirrored(Duration::from_secs(60))?;
/// assert!(matches!(outcome, MirrorOutcome::Mirrored(_))); // in the bucket
/// mirror.close(Duration::from_secs(60))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// One mirror per directory and name: two processes that mirror one directory under one name would write
/// the same journal.
#[must_use = "dropping a mirror waits for its uploads"]
pub struct Mirror {
    manager: CheckpointManager,
    remote: Checkpoints,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Held while a save is queued.
    order: Mutex<()>,
    drop_timeout: Duration,
    home: ForkCheck,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Ends the upload under way at its next request.
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    is_closed: bool,
    has_ended: bool,
    status: MirrorStatus,
}

struct Job {
    save: SaveTicket,
    done: Completion,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Drops what was overtaken: every job before the last one that is saved.
    fn coalesce(&mut self) {
        let Some(last) = self.waiting.iter().rposition(|job| job.save.is_saved()) else { return };
        let by = self.waiting[last].save.number();
        for job in self.waiting.drain(..last) {
            let is_saved = job.save.is_saved();
            self.status.superseded += u64::from(is_saved);
            job.done.resolve(Ok(if is_saved {
                MirrorOutcome::Superseded { by }
            } else {
                MirrorOutcome::NotSaved
            }));
        }
    }

    /// The newest job that could be uploaded now.
    fn newest_saved(&self) -> Option<u64> {
        self.waiting.iter().rfind(|job| job.save.is_saved()).map(|job| job.save.number())
    }
}

impl Mirror {
    /// Mirrors the directory of a manager, which saves single files, to a bucket. Writes what is counted and
    /// what is kept there; goes on with the upload that an earlier process has left, and uploads the newest checkpoint of
    /// the directory if the bucket lacks it.
    ///
    /// If the bucket has newer saves than the directory, because the directory was lost, later saves are
    /// numbered after them.
    ///
    /// # Errors
    /// [`MirrorError::Open`], [`MirrorError::Load`], [`MirrorError::Journal`], [`MirrorError::Setting`],
    /// [`MirrorError::Spawn`]. This is the only call that waits for the bucket.
    pub fn open(
        manager: CheckpointManager,
        bucket: ObjectRepository,
        settings: MirrorSettings,
    ) -> Result<Self, MirrorError> {
        settings.check()?;
        let counter = manager.counter()?;
        let remote =
            Checkpoints::described(Arc::new(bucket.clone()), counter, &settings.retention)?;
        let mirrored = remote.last_save_seq()?;
        // Saved by a process that ended before its upload began, perhaps.
        let behind =
            if manager.last_save_seq()? > mirrored { manager.latest_checkpoint()? } else { None };
        // mutant: a_new_directory_counts_from_one
        manager.continue_after(mirrored);
        let local = Arc::clone(manager.repository());
        let journal = Journal::open(&*local, &settings.name, &bucket.location())?;
        bucket.store().adopt_orphans(journal.orphans.iter().cloned());
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            stop: Arc::default(),
        });
        let drop_timeout = settings.drop_timeout;
        let worker = Worker {
            shared: Arc::clone(&shared),
            bucket,
            local,
            remote: remote.clone(),
            counter,
            settings,
            journal,
            behind,
        };
        let named = thread::Builder::new().name("qstore-mirror".into());
        let thread = named.spawn(move || worker.run()).map_err(MirrorError::Spawn)?;
        let home = ForkCheck::new();
        let order = Mutex::default();
        Ok(Self { manager, remote, shared, thread: Some(thread), order, drop_timeout, home })
    }

    /// Saves a snapshot to the directory, as [`CheckpointManager::save`] does, and has it uploaded.
    ///
    /// # Errors
    /// As [`CheckpointManager::save`].
    pub fn save(&self, snapshot: Snapshot) -> Result<MirrorTicket, SaveError> {
        // Of two calls at once, the later save must also come later in the queue: the earlier one gives way to it.
        let _in_order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let save = self.manager.save(snapshot)?;
        let (ticket, done) = MirrorTicket::new(save.clone());
        let mut queue = self.shared.lock();
        if !queue.is_closed {
            queue.waiting.push_back(Job { save, done });
            queue.coalesce();
            self.shared.changed.notify_all();
        }
        Ok(ticket)
    }

    /// The manager of the directory.
    pub fn manager(&self) -> &CheckpointManager {
        &self.manager
    }

    /// The checkpoints in the bucket: to list, load, verify, pin or explain.
    #[must_use]
    pub fn remote(&self) -> &Checkpoints {
        &self.remote
    }

    /// How the uploads are going.
    #[must_use]
    pub fn status(&self) -> MirrorStatus {
        if self.home.is_forked() {
            return MirrorStatus::default();
        }
        self.shared.lock().status.clone()
    }

    /// Closes the manager, waits for the uploads, and ends the thread.
    ///
    /// # Errors
    /// [`MirrorError::Save`] as [`CheckpointManager::close`]; [`MirrorError::CloseTimedOut`] if uploads are not
    /// done in time: what was begun stays in the journal, and the next mirror goes on; [`MirrorError::Forked`].
    pub fn close(&mut self, timeout: Duration) -> Result<(), MirrorError> {
        if self.home.is_forked() {
            return Err(MirrorError::Forked);
        }
        let ends = Instant::now() + timeout;
        let saved = self.manager.close(timeout);
        let left = ends.saturating_duration_since(Instant::now());
        let mut queue = self.shared.lock();
        queue.is_closed = true;
        self.shared.changed.notify_all();
        let is_running = |queue: &mut Queue| !queue.has_ended;
        let waited = self.shared.changed.wait_timeout_while(queue, left, is_running);
        let has_ended = waited.unwrap_or_else(PoisonError::into_inner).0.has_ended;
        if !has_ended {
            // Under the lock, or the thread could look before and wait after it.
            let queue = self.shared.lock();
            self.shared.stop.store(true, Ordering::SeqCst);
            self.shared.changed.notify_all();
            drop(queue);
            saved?;
            return Err(MirrorError::CloseTimedOut { waited: timeout });
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic has dropped the completions, which reports it
        }
        Ok(saved?)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if !self.home.is_forked() && self.thread.is_some() {
            let _ = self.close(self.drop_timeout);
        }
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("manager", &self.manager)
            .field("remote", &self.remote)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The thread that uploads.
struct Worker {
    shared: Arc<Shared>,
    bucket: ObjectRepository,
    local: Arc<dyn Repository>,
    remote: Checkpoints,
    counter: Counter,
    settings: MirrorSettings,
    journal: Journal,
    /// A checkpoint that the bucket did not have when this began.
    behind: Option<u64>,
}

/// Tells that the thread has ended, also after a panic.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        (queue.is_closed, queue.has_ended) = (true, true);
        let left = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(left); // each reports that the mirror has ended
        self.0.changed.notify_all();
    }
}

impl Worker {
    fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.shared));
        self.resume();
        while let Some(job) = self.next() {
            let number = job.save.number();
            // A failure of the save is reported by its own ticket, or by the manager.
            // mutant: a_mirror_hides_a_failed_save
            let is_saved = job.save.is_saved();
            job.done.resolve(if is_saved {
                self.mirror(number)
            } else {
                Ok(MirrorOutcome::NotSaved)
            });
        }
    }

    /// The next checkpoint to upload; `None` if there will be none.
    fn next(&self) -> Option<Job> {
        loop {
            let mut queue = self.shared.lock();
            queue.coalesce();
            if self.is_stopped() {
                return None;
            }
            let Some(front) = queue.waiting.front() else {
                if queue.is_closed {
                    return None;
                }
                drop(self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner));
                continue;
            };
            let save = front.save.clone();
            if save.is_done() {
                return queue.waiting.pop_front();
            }
            drop(queue);
            let _ = save.wait_done(LOOK);
        }
    }

    fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    /// Goes on with what the journal has, and uploads the newest checkpoint that the bucket lacks.
    fn resume(&mut self) {
        drop(self.bucket.store().abort_orphans());
        let begun = self.journal.upload.as_ref();
        let begun = begun
            .and_then(|upload| self.counter.checkpoint_named(&upload.name, Layout::SingleFile));
        // The newest last, as saves are. Nobody waits for them here.
        for number in begun.into_iter().chain(self.behind.filter(|newest| begun != Some(*newest))) {
            let _ = self.mirror(number);
        }
    }

    /// Uploads one checkpoint, again and again until it is there or a newer one takes its place.
    fn mirror(&mut self, number: u64) -> Resolution {
        let mut pause = self.settings.retry_pause;
        // Open from the first attempt on, so local retention does not take it away.
        let mut file = None;
        loop {
            let failure = match self.mirror_once(number, &mut file) {
                Ok(outcome) => {
                    let mut queue = self.shared.lock();
                    queue.status.failing = None;
                    if let MirrorOutcome::Mirrored(_) = outcome {
                        queue.status.mirrored += 1;
                        queue.status.newest = Some(number);
                    }
                    return Ok(outcome);
                }
                Err(failure) => failure,
            };
            let mut queue = self.shared.lock();
            queue.status.failures += 1;
            queue.status.failing = Some(failure.to_string());
            queue.coalesce();
            if self.is_stopped() {
                return Err(Arc::new(failure));
            }
            if let Some(by) = queue.newest_saved() {
                queue.status.superseded += 1;
                return Ok(MirrorOutcome::Superseded { by });
            }
            // A new save wakes it up, and so does the end.
            let woken = self.shared.changed.wait_timeout(queue, pause);
            drop(woken.unwrap_or_else(PoisonError::into_inner));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn mirror_once(
        &mut self,
        number: u64,
        file: &mut Option<Box<dyn FileSource>>,
    ) -> Result<MirrorOutcome, MirrorFailure> {
        let name = self.counter.name_of(&CheckpointId::new(number), Layout::SingleFile);
        let uploader = Uploader {
            bucket: &self.bucket,
            local: &*self.local,
            in_flight: self.settings.in_flight,
            stop: &self.shared.stop,
        };
        let file = match file {
            Some(file) => file,
            None => match self.local.open_file(&name) {
                Err(error) if error.is_not_found() => {
                    uploader.give_up(&mut self.journal)?;
                    return Ok(MirrorOutcome::Removed);
                }
                opened => file.insert(opened?),
            },
        };
        let (etag, len) = uploader.upload(&mut self.journal, &**file, &name)?;
        // Only now, when the newer one is there.
        let pruned = self
            .remote
            .explain_with(&self.settings.retention)
            .and_then(|plan| self.remote.prune(&plan));
        let (removed, retention) = match pruned {
            Ok(removed) => (removed, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        Ok(MirrorOutcome::Mirrored(Mirrored { number, etag: etag.0, len, removed, retention }))
    }
}
