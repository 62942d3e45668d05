//! The ticket of a save. It resolves when the checkpoint is durable, or when the save has failed.
//!
//! A one-shot future that can be cloned, awaited, and waited for with a timeout, and that never runs a
//! waker under its lock. Decision 0038 lists the crates that were tried instead.

use qstore_checkpoint::{Outcome, SaveError};
use qstore_os::ForkCheck;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The pending result of one save. Wait for it, await it, or ignore it. All clones resolve the same way.
///
/// A ticket always resolves. A save that is lost because the background thread panicked or was dropped
/// resolves to [`SaveError::Lost`]. A save that the caller's policy skips or supersedes has an [`Outcome`],
/// not an error. In a forked child a ticket that was not resolved before the fork never will be: it resolves to
/// [`SaveError::Forked`] there. The save itself goes on in the parent.
///
/// ```
/// use qstore_checkpoint::{Outcome, Snapshot};
/// use qstore_zarr::{CheckpointManager, CheckpointSettings};
/// use std::time::Duration;
///
/// # let dir = tempfile::tempdir()?;
/// let manager = CheckpointManager::open(dir.path(), CheckpointSettings::default())?;
/// let ticket = manager.save(Snapshot::new(1).meta("loss", 0.5))?;
/// match ticket.wait(Duration::from_secs(60))? {
///     Outcome::Saved(saved) => assert_eq!(saved.number, 1), // survives a power cut
///     Outcome::Skipped | Outcome::Superseded { .. } => unreachable!("only with another `Busy`"),
///     _ => {}
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a save that fails is reported here, by `health` and by the next save"]
pub struct SaveTicket {
    shared: Arc<Shared>,
    /// The key of this clone's waker.
    slot: u64,
}

struct Shared {
    number: u64,
    state: Mutex<State>,
    resolved: Condvar,
    next_slot: AtomicU64,
    /// The process that saves. In a child of it the lock may be held by a thread that only the parent has.
    home: ForkCheck,
}

#[derive(Default)]
struct State {
    resolution: Option<Resolution>,
    wakers: BTreeMap<u64, Waker>,
}

/// How a save ended.
#[derive(Debug, Clone)]
pub(crate) enum Resolution {
    Done(Outcome),
    Failed(Failure),
    Lost,
}

/// Why a save failed, and whether the failure has been reported.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) source: Arc<SaveError>,
    is_reported: Arc<AtomicBool>,
}

impl Failure {
    pub(crate) fn new(source: Arc<SaveError>) -> Self {
        Self { source, is_reported: Arc::default() }
    }

    /// Whether a ticket has returned the failure.
    pub(crate) fn is_reported(&self) -> bool {
        self.is_reported.load(Ordering::SeqCst)
    }
}

impl SaveTicket {
    /// The epoch or step that is being saved.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.shared.number
    }

    /// Whether the save has ended. In a forked child, which never learns more than it does now: always.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.shared.home.is_forked() || self.shared.lock().resolution.is_some()
    }

    /// Whether the checkpoint is durable. Unlike [`wait`](Self::wait), this does not report a failure: `health` and
    /// the next save still do.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        let known = if self.shared.home.is_forked() {
            self.shared.known()
        } else {
            self.shared.lock().resolution.clone()
        };
        matches!(known, Some(Resolution::Done(Outcome::Saved(_))))
    }

    /// Waits until the save has ended, and returns whether it has. Like [`is_saved`](Self::is_saved), this does
    /// not report a failure.
    #[must_use]
    pub fn wait_done(&self, timeout: Duration) -> bool {
        if self.shared.home.is_forked() {
            return true;
        }
        let is_open = |state: &mut State| state.resolution.is_none();
        let waited = self.shared.resolved.wait_timeout_while(self.shared.lock(), timeout, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.resolution.is_some()
    }

    /// Waits until the save has ended and returns its outcome. Repeated calls return the same.
    ///
    /// # Errors
    /// [`SaveError::Failed`] or [`SaveError::Lost`] if it was not saved; [`SaveError::TimedOut`] if the
    /// timeout expires first, in which case the save continues; [`SaveError::Forked`] in a forked child, unless
    /// the save had ended before.
    pub fn wait(&self, timeout: Duration) -> Result<Outcome, SaveError> {
        if self.shared.home.is_forked() {
            return self.shared.answer_in_child();
        }
        let is_open = |state: &mut State| state.resolution.is_none();
        let waited = self.shared.resolved.wait_timeout_while(self.shared.lock(), timeout, is_open);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match &state.resolution {
            Some(resolution) => self.shared.answer(resolution),
            None => Err(SaveError::TimedOut { number: self.shared.number, waited: timeout }),
        }
    }
}

impl Future for SaveTicket {
    type Output = Result<Outcome, SaveError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.shared.home.is_forked() {
            return Poll::Ready(self.shared.answer_in_child());
        }
        // Cloning or dropping a waker runs the caller's code, so never under the lock.
        let waker = context.waker().clone();
        let mut state = self.shared.lock();
        if let Some(resolution) = &state.resolution {
            return Poll::Ready(self.shared.answer(resolution));
        }
        let replaced = state.wakers.insert(self.slot, waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Clone for SaveTicket {
    fn clone(&self) -> Self {
        let slot = self.shared.next_slot.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared), slot }
    }
}

impl Drop for SaveTicket {
    fn drop(&mut self) {
        if self.shared.home.is_forked() {
            return;
        }
        let waker = self.shared.lock().wakers.remove(&self.slot);
        drop(waker); // outside the lock: runs the caller's code
    }
}

impl fmt::Debug for SaveTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaveTicket")
            .field("number", &self.shared.number)
            .field("resolution", &self.shared.known())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resolution, as far as it can be had without waiting for a thread.
    fn known(&self) -> Option<Resolution> {
        match self.state.try_lock() {
            Ok(state) => state.resolution.clone(),
            Err(TryLockError::Poisoned(state)) => state.into_inner().resolution.clone(),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn answer_in_child(&self) -> Result<Outcome, SaveError> {
        self.known().map_or(Err(SaveError::Forked), |resolution| self.answer(&resolution))
    }

    fn answer(&self, resolution: &Resolution) -> Result<Outcome, SaveError> {
        let number = self.number;
        match resolution {
            Resolution::Done(outcome) => Ok(outcome.clone()),
            Resolution::Failed(failure) => {
                failure.is_reported.store(true, Ordering::SeqCst);
                Err(SaveError::Failed { number, source: Arc::clone(&failure.source) })
            }
            Resolution::Lost => Err(SaveError::Lost { number }),
        }
    }
}

/// The other end of a ticket. Dropped without a resolution, it reports the save as lost.
pub(crate) struct Completion {
    shared: Arc<Shared>,
    /// The number of saves whose tickets are not resolved.
    open: Arc<AtomicUsize>,
}

/// Creates a ticket and its other end.
pub(crate) fn ticket(number: u64, open: &Arc<AtomicUsize>) -> (SaveTicket, Completion) {
    let shared = Arc::new(Shared {
        number,
        state: Mutex::default(),
        resolved: Condvar::new(),
        next_slot: AtomicU64::new(1),
        home: ForkCheck::new(),
    });
    open.fetch_add(1, Ordering::SeqCst);
    let completion = Completion { shared: Arc::clone(&shared), open: Arc::clone(open) };
    (SaveTicket { shared, slot: 0 }, completion)
}

impl Completion {
    /// Resolves every clone of the ticket.
    pub(crate) fn resolve(self, resolution: Resolution) {
        self.settle(resolution);
    }

    fn settle(&self, resolution: Resolution) {
        if self.shared.home.is_forked() {
            return;
        }
        let mut state = self.shared.lock();
        if state.resolution.is_some() {
            return;
        }
        // A thread that sees the resolution also sees that this save is no longer open.
        self.open.fetch_sub(1, Ordering::SeqCst);
        state.resolution = Some(resolution);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.shared.resolved.notify_all();
        for waker in wakers.into_values() {
            // A waker is the caller's code. If it panics, later saves must still work.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.settle(Resolution::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_os::testing::{Fork, in_child};
    use std::task::Wake;

    const LONG: Duration = Duration::from_secs(20);

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn all_clones_are_woken_and_resolve_the_same_way() {
        let open = Arc::default();
        let (mut ticket, completion) = ticket(7, &open);
        let mut clone = ticket.clone();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        for _ in 0..3 {
            assert!(Pin::new(&mut ticket).poll(&mut context).is_pending());
            assert!(Pin::new(&mut clone).poll(&mut context).is_pending());
        }
        assert!(!ticket.is_done() && open.load(Ordering::SeqCst) == 1);
        completion.resolve(Resolution::Done(Outcome::Skipped));
        assert_eq!((count.0.load(Ordering::SeqCst), open.load(Ordering::SeqCst)), (2, 0));
        for ticket in [&mut ticket, &mut clone] {
            let polled = Pin::new(ticket).poll(&mut context);
            assert!(matches!(polled, Poll::Ready(Ok(Outcome::Skipped))));
        }
    }

    /// Regression: a waker that panics ends the background thread, and every later save is lost.
    #[test]
    fn a_waker_that_panics_does_not_affect_others() {
        struct Panic;
        impl Wake for Panic {
            fn wake(self: Arc<Self>) {
                panic!("on purpose");
            }
        }
        let (mut ticket, completion) = ticket(7, &Arc::default());
        let mut clone = ticket.clone();
        let waker = Waker::from(Arc::new(Panic));
        assert!(Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)).is_pending());
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        assert!(Pin::new(&mut clone).poll(&mut Context::from_waker(&waker)).is_pending());
        completion.resolve(Resolution::Done(Outcome::Skipped));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_dropped_completion_reports_the_save_as_lost_and_a_wait_ends() {
        let (ticket, completion) = ticket(7, &Arc::default());
        let timed_out = ticket.wait(Duration::ZERO).unwrap_err();
        assert!(matches!(timed_out, SaveError::TimedOut { number: 7, .. }));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ticket.wait(LONG));
            drop(completion);
            assert!(matches!(waiting.join().unwrap(), Err(SaveError::Lost { number: 7 })));
        });
    }

    #[test]
    fn a_ticket_in_a_forked_child_answers_immediately_although_its_lock_is_held() {
        for fork in Fork::ALL {
            let (open, done) = (ticket(7, &Arc::default()), ticket(8, &Arc::default()));
            done.1.resolve(Resolution::Done(Outcome::Skipped));
            let (mut open_ticket, mut done_ticket) = (Some(open.0), Some(done.0));
            let shared = Arc::clone(&open_ticket.as_ref().unwrap().shared);
            let held = shared.lock();
            in_child(fork, || {
                let mut ticket = open_ticket.take().unwrap();
                assert!(ticket.is_done(), "a loop that waits for it ends");
                assert!(matches!(ticket.wait(LONG), Err(SaveError::Forked)));
                let polled = Pin::new(&mut ticket).poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(polled, Poll::Ready(Err(SaveError::Forked))));
                assert!(!format!("{ticket:?}").is_empty());
                drop(ticket);
                let known = done_ticket.take().unwrap();
                assert!(matches!(known.wait(LONG), Ok(Outcome::Skipped)), "it was known before");
            })
            .unwrap();
            drop(held);
            open.1.resolve(Resolution::Done(Outcome::Skipped));
            assert!(matches!(open_ticket.unwrap().wait(LONG), Ok(Outcome::Skipped)));
        }
    }
}
