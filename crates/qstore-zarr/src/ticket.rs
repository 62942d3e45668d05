//! The receipt of a save: it resolves when the checkpoint is durable, or when it never will be.

use crate::{Error, Saved};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What becomes of one save: to be waited for, awaited, or ignored. Clones tell the same.
///
/// A ticket always resolves: a save that is lost because the background thread panicked or was
/// dropped resolves to [`Error::Lost`].
#[must_use = "a save that fails is reported here, by `health` and by the next save"]
pub struct SaveTicket {
    shared: Arc<Shared>,
    /// Which waker is this clone's own.
    slot: u64,
}

struct Shared {
    epoch: u64,
    state: Mutex<State>,
    resolved: Condvar,
    next_slot: AtomicU64,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    wakers: BTreeMap<u64, Waker>,
}

/// How a save ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Saved(Saved),
    Failed(Failure),
    Skipped,
    Superseded { by: u64 },
    Lost,
}

/// Why a save failed, and whether anybody has been told.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) source: Arc<Error>,
    is_told: Arc<AtomicBool>,
}

impl Failure {
    pub(crate) fn new(source: Arc<Error>) -> Self {
        Self { source, is_told: Arc::default() }
    }

    /// Whether a ticket has given it as its answer.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::SeqCst)
    }
}

impl SaveTicket {
    /// The epoch that is being saved.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Whether it is known how the save ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.shared.lock().outcome.is_some()
    }

    /// Waits until the checkpoint is durable; repeats the answer when asked again.
    ///
    /// # Errors
    /// [`Error::SaveFailed`], [`Error::Skipped`], [`Error::Superseded`] or [`Error::Lost`] when it
    /// never will be; [`Error::TimedOut`] when the time was not enough, and the save goes on.
    pub fn wait(&self, timeout: Duration) -> Result<Saved, Error> {
        let is_open = |state: &mut State| state.outcome.is_none();
        let waited = self.shared.resolved.wait_timeout_while(self.shared.lock(), timeout, is_open);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match &state.outcome {
            Some(outcome) => self.shared.answer(outcome),
            None => Err(Error::TimedOut { epoch: self.shared.epoch, waited: timeout }),
        }
    }
}

impl Future for SaveTicket {
    type Output = Result<Saved, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Wakers run code that is not ours, even when they are cloned or dropped: never under the lock.
        let waker = context.waker().clone();
        let mut state = self.shared.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(self.shared.answer(outcome));
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
        let waker = self.shared.lock().wakers.remove(&self.slot);
        drop(waker); // outside the lock: it runs code that is not ours
    }
}

impl fmt::Debug for SaveTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaveTicket")
            .field("epoch", &self.shared.epoch)
            .field("outcome", &self.shared.lock().outcome)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, outcome: &Outcome) -> Result<Saved, Error> {
        let epoch = self.epoch;
        Err(match outcome {
            Outcome::Saved(saved) => return Ok(saved.clone()),
            Outcome::Failed(failure) => {
                failure.is_told.store(true, Ordering::SeqCst);
                Error::SaveFailed { epoch, source: Arc::clone(&failure.source) }
            }
            Outcome::Skipped => Error::Skipped { epoch },
            Outcome::Superseded { by } => Error::Superseded { epoch, by: *by },
            Outcome::Lost => Error::Lost { epoch },
        })
    }
}

/// The other end of a ticket. Dropped without an outcome, it says that the save is lost.
pub(crate) struct Completion {
    shared: Arc<Shared>,
    /// Counts the saves whose tickets are open.
    open: Arc<AtomicUsize>,
}

/// A ticket and the other end of it.
pub(crate) fn ticket(epoch: u64, open: &Arc<AtomicUsize>) -> (SaveTicket, Completion) {
    let shared = Arc::new(Shared {
        epoch,
        state: Mutex::default(),
        resolved: Condvar::new(),
        next_slot: AtomicU64::new(1),
    });
    open.fetch_add(1, Ordering::SeqCst);
    let completion = Completion { shared: Arc::clone(&shared), open: Arc::clone(open) };
    (SaveTicket { shared, slot: 0 }, completion)
}

impl Completion {
    /// Tells every clone of the ticket how the save ended.
    pub(crate) fn resolve(self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&self, outcome: Outcome) {
        let mut state = self.shared.lock();
        if state.outcome.is_some() {
            return;
        }
        // Whoever sees the outcome also sees that this save is not open any more.
        self.open.fetch_sub(1, Ordering::SeqCst);
        state.outcome = Some(outcome);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.shared.resolved.notify_all();
        for waker in wakers.into_values() {
            // A waker is the caller's code. If it panics, that is no reason to save nothing any more.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.settle(Outcome::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn every_clone_is_woken_and_told() {
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
        completion.resolve(Outcome::Skipped);
        assert_eq!((count.0.load(Ordering::SeqCst), open.load(Ordering::SeqCst)), (2, 0));
        for ticket in [&mut ticket, &mut clone] {
            let polled = Pin::new(ticket).poll(&mut context);
            assert!(matches!(polled, Poll::Ready(Err(Error::Skipped { epoch: 7 }))));
        }
    }

    // It once ended the background thread, and every later save was lost.
    #[test]
    fn a_waker_that_panics_harms_nobody_else() {
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
        completion.resolve(Outcome::Skipped);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_completion_that_is_dropped_says_lost_and_a_wait_has_an_end() {
        let (ticket, completion) = ticket(7, &Arc::default());
        let timed_out = ticket.wait(Duration::ZERO).unwrap_err();
        assert!(matches!(timed_out, Error::TimedOut { epoch: 7, .. }));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ticket.wait(LONG));
            drop(completion);
            assert!(matches!(waiting.join().unwrap(), Err(Error::Lost { epoch: 7 })));
        });
    }
}
