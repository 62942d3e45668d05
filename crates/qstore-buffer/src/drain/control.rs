//! What the handle and the background thread share: requests for a flush, their results, and errors.

use crate::error::DrainError;
use crate::health::Losses;
use qstore_os::ForkCheck;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Control<E, C> {
    /// The process of the thread. In a child the lock may be held by a thread that only the parent has.
    home: ForkCheck,
    /// Whether a child has reported that it is one.
    has_told_of_fork: AtomicBool,
    /// Whether there was an error.
    has_failed: AtomicBool,
    /// Whether [`take_new_error`](Self::take_new_error) has yet to return the first error.
    has_new_error: AtomicBool,
    state: Mutex<State<E, C>>,
    pub(crate) changed: Condvar,
}

pub(crate) struct State<E, C> {
    /// The sink's counters after its last round.
    pub(crate) stats: C,
    /// What the sink has lost, as of its last round.
    pub(crate) lost: Losses,
    pub(crate) flushes_requested: u64,
    pub(crate) flushes_done: u64,
    /// How many items the requested flushes have to cover.
    pub(crate) flush_upto: u64,
    /// The last flush that succeeded; it covers those before it.
    pub(crate) flushes_succeeded: u64,
    pub(crate) last_flush: Result<(), DrainError<E>>,
    pub(crate) first_error: Option<DrainError<E>>,
    pub(crate) errors: u64,
    /// Until when a failing close is retried.
    pub(crate) give_up_at: Option<Instant>,
    pub(crate) end: Option<Result<(), DrainError<E>>>,
}

impl<E, C> Control<E, C> {
    pub(crate) fn new(stats: C) -> Self {
        Self {
            home: ForkCheck::new(),
            has_told_of_fork: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            has_new_error: AtomicBool::new(false),
            state: Mutex::new(State {
                stats,
                lost: Losses::default(),
                flushes_requested: 0,
                flushes_done: 0,
                flush_upto: 0,
                flushes_succeeded: 0,
                last_flush: Ok(()),
                first_error: None,
                errors: 0,
                give_up_at: None,
                end: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Whether the thread runs in a process that this one was forked from.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.home.is_forked()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<E, C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait_while(
        &self,
        timeout: Duration,
        is_pending: impl FnMut(&mut State<E, C>) -> bool,
    ) -> MutexGuard<'_, State<E, C>> {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, is_pending);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Acquire) || self.is_forked()
    }

    /// Whether the first error has yet to be reported; `true` once.
    #[inline]
    pub(crate) fn take_has_new_error(&self) -> bool {
        if self.is_forked() {
            return !self.has_told_of_fork.swap(true, AcqRel);
        }
        self.has_new_error.load(Relaxed) && self.has_new_error.swap(false, AcqRel)
    }

    /// The flushes up to number `upto` ended with this result.
    pub(crate) fn complete_flushes(&self, upto: u64, outcome: Result<(), DrainError<E>>) {
        let mut state = self.lock();
        state.flushes_done = upto;
        if outcome.is_ok() {
            state.flushes_succeeded = upto;
        }
        state.last_flush = outcome;
        self.changed.notify_all();
    }

    /// Keeps an error of the sink.
    pub(crate) fn latch(&self, error: E) -> DrainError<E> {
        let error = DrainError::Sink(Arc::new(error));
        self.latch_in(&mut self.lock(), &error);
        error
    }

    fn latch_in(&self, state: &mut State<E, C>, error: &DrainError<E>) {
        state.errors += 1;
        if state.first_error.is_none() {
            // mutant: first_error_not_kept
            state.first_error = Some(error.clone());
            self.has_failed.store(true, Release);
            // mutant: error_is_no_news
            self.has_new_error.store(true, Release);
        }
    }

    /// The thread is about to end.
    pub(crate) fn finish(&self, end: Result<(), DrainError<E>>) {
        let mut state = self.lock();
        if let Err(error @ DrainError::Panicked { .. }) = &end {
            self.latch_in(&mut state, error);
        }
        state.end = Some(end);
        self.changed.notify_all();
    }
}

impl<E, C> State<E, C> {
    /// The result of flush number `number`, if it ended. A success covers all flushes before it; a
    /// failure says nothing about one that succeeded.
    pub(crate) fn result_of(&self, number: u64) -> Option<Result<(), DrainError<E>>> {
        if self.flushes_succeeded >= number {
            return Some(Ok(()));
        }
        (self.flushes_done >= number).then(|| self.last_flush.clone())
    }
}
