//! A future for work that blocks: it is done on a thread of its own, so that the caller's executor
//! never waits for a disk.

use crate::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Runs `work` on a new thread, from now on, whether or not the future is polled.
pub(crate) fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> OffThread<T> {
    let shared: Arc<Mutex<Shared<T>>> = Arc::default();
    let done = Arc::clone(&shared);
    let thread = thread::Builder::new().name("qstore-load".into()).spawn(move || {
        let panicked = || Err(Error::Closed { reason: "its thread panicked".into() });
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| panicked());
        let mut shared = done.lock().unwrap_or_else(PoisonError::into_inner);
        shared.outcome = Some(outcome);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake(); // the caller's code, outside the lock
        }
    });
    if let Err(source) = thread {
        let failed = Err(Error::Spawn { source: Arc::new(source) });
        shared.lock().unwrap_or_else(PoisonError::into_inner).outcome = Some(failed);
    }
    OffThread { shared }
}

/// The outcome of work on another thread, once.
#[derive(Debug)]
pub(crate) struct OffThread<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

#[derive(Debug)]
struct Shared<T> {
    outcome: Option<Result<T, Error>>,
    waker: Option<Waker>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { outcome: None, waker: None }
    }
}

impl<T> Future for OffThread<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = context.waker().clone();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = shared.outcome.take() {
            return Poll::Ready(outcome);
        }
        let replaced = shared.waker.replace(waker);
        drop(shared);
        drop(replaced);
        Poll::Pending
    }
}
