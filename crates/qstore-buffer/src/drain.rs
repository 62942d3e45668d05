//! The handle of the background thread between a buffer and its sink: flush, stop, and what went
//! wrong. What the thread itself does is in `worker.rs`.

use crate::buffer::later;
use crate::worker::Worker;
use crate::{AsyncBuffer, BufferStats, DrainError, Sink};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How a drain behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DrainSettings {
    /// The thread's name. Default `qstore-drain`.
    pub thread_name: String,
    /// How long an item may wait in a ring that is not half full. Default 5 ms, at least 1 ms.
    pub linger: Duration,
    /// The longest a dropped drain waits for its sink to close. Default 5 s.
    pub drop_timeout: Duration,
    /// How often at most a warning tells of dropped items. Default 10 s; the first one comes at once.
    pub report_losses_every: Duration,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self {
            thread_name: "qstore-drain".into(),
            linger: Duration::from_millis(5),
            drop_timeout: Duration::from_secs(5),
            report_losses_every: Duration::from_secs(10),
        }
    }
}

impl DrainSettings {
    /// The thread's name.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// How long an item may wait in a ring that is not half full.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// The longest a dropped drain waits for its sink to close.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    /// How often at most a warning tells of dropped items.
    #[must_use]
    pub fn report_losses_every(mut self, interval: Duration) -> Self {
        self.report_losses_every = interval;
        self
    }
}

/// How a drain ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DrainSummary<C> {
    /// What went into the buffer, came out, and was lost.
    pub intake: BufferStats,
    /// The sink's own counters.
    pub sink: C,
    /// Errors on the way, all of them overcome; [`Drain::first_error`] is the first.
    pub errors: u64,
}

/// A running background thread. [`stop`](Self::stop) is its real ending; dropping it does the same
/// with a bounded wait and nobody to report to.
#[must_use = "dropping a drain stops it"]
pub struct Drain<T, S: Sink<T>> {
    buffer: AsyncBuffer<T>,
    control: Arc<Control<S::Error, S::Stats>>,
    thread: Option<JoinHandle<()>>,
    drop_timeout: Duration,
}

/// What the handle and the thread tell each other.
pub(crate) struct Control<E, C> {
    /// Whether the first error waits for somebody to be told; the one thing a push may look at.
    has_news: AtomicBool,
    state: Mutex<State<E, C>>,
    pub(crate) changed: Condvar,
}

pub(crate) struct State<E, C> {
    /// The sink's counters after its last round.
    pub(crate) stats: C,
    pub(crate) flushes_wanted: u64,
    pub(crate) flushes_done: u64,
    /// How many items the flushes asked for have to cover.
    pub(crate) flush_upto: u64,
    /// The last of them that succeeded; it covers those before it.
    pub(crate) flushes_succeeded: u64,
    pub(crate) last_flush: Result<(), DrainError<E>>,
    first_error: Option<DrainError<E>>,
    errors: u64,
    /// Until when a failing close is tried again.
    pub(crate) give_up_at: Option<Instant>,
    end: Option<Result<(), DrainError<E>>>,
}

impl<T: Send + 'static, S: Sink<T>> Drain<T, S> {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`DrainError::Spawn`] when the system has no thread left.
    pub fn spawn(
        buffer: AsyncBuffer<T>,
        sink: S,
        settings: &DrainSettings,
    ) -> Result<Self, DrainError<S::Error>> {
        let control = Arc::new(Control {
            has_news: AtomicBool::new(false),
            state: Mutex::new(State {
                stats: sink.stats(),
                flushes_wanted: 0,
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
        });
        let worker = Worker::new(buffer.clone(), sink, Arc::clone(&control), settings);
        let thread = thread::Builder::new()
            .name(settings.thread_name.replace('\0', ""))
            .spawn(|| worker.run())
            .map_err(|error| DrainError::Spawn(Arc::new(error)))?;
        let drop_timeout = settings.drop_timeout;
        Ok(Self { buffer, control, thread: Some(thread), drop_timeout })
    }
}

impl<T, S: Sink<T>> Drain<T, S> {
    /// Waits until everything that was pushed before this call is flushed by the sink: no less, and
    /// for nothing more. What is pushed meanwhile may be flushed along with it, but is not waited for.
    ///
    /// # Errors
    /// [`DrainError::Sink`] when the sink could not flush, [`DrainError::TimedOut`] when the time
    /// was not enough, [`DrainError::Panicked`] when the thread is gone.
    pub fn flush(&self, timeout: Duration) -> Result<(), DrainError<S::Error>> {
        let mut state = self.control.lock();
        state.flushes_wanted += 1;
        state.flush_upto = self.buffer.pushed();
        let mine = state.flushes_wanted;
        drop(state);
        self.buffer.wake();
        let is_pending = |state: &mut State<S::Error, S::Stats>| {
            state.flushes_done < mine && state.end.is_none()
        };
        let state = self.control.wait_while(timeout, is_pending);
        if let Some(answer) = state.answer_of(mine) {
            return answer;
        }
        Err(match &state.end {
            None => DrainError::TimedOut { waited: timeout },
            // Stopped, and with that everything was flushed.
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => error.clone(),
        })
    }

    /// Closes the buffer, hands everything in it to the sink, closes the sink, ends the thread, and
    /// tells what became of the items. A sink that fails to close is asked again until the time is
    /// up. Stopping again repeats the answer.
    ///
    /// # Errors
    /// As [`flush`](Self::flush). After [`DrainError::TimedOut`] the thread goes on by itself.
    pub fn stop(
        &mut self,
        timeout: Duration,
    ) -> Result<DrainSummary<S::Stats>, DrainError<S::Error>> {
        self.control.lock().give_up_at = Some(later(Instant::now(), timeout));
        self.control.changed.notify_all();
        self.buffer.close();
        // A little longer than the sink has: its last answer is worth more than "timed out".
        let patience = timeout.saturating_add(Duration::from_millis(100));
        let state = self.control.wait_while(patience, |state| state.end.is_none());
        let Some(end) = state.end.clone() else {
            drop(state);
            // Whoever has waited so long need not wait again when the drain is dropped.
            self.drop_timeout = Duration::ZERO;
            return Err(DrainError::TimedOut { waited: timeout });
        };
        drop(state);
        if let Some(thread) = self.thread.take() {
            // It has nothing left to do but return, and it catches its own panics.
            let _ = thread.join();
        }
        end.map(|()| DrainSummary {
            intake: self.buffer.stats(),
            sink: self.stats(),
            errors: self.errors(),
        })
    }

    /// The first error since the start, if there was one; it stays even when a later try succeeded.
    #[must_use]
    pub fn first_error(&self) -> Option<DrainError<S::Error>> {
        self.control.lock().first_error.clone()
    }

    /// The sink's counters, as of its last round: at most a linger old, and exact after a flush or a
    /// stop.
    #[must_use]
    pub fn stats(&self) -> S::Stats {
        self.control.lock().stats.clone()
    }

    /// The first error, once: to be told by the next call after it. Costs one load while there is
    /// none.
    #[inline]
    #[must_use]
    pub fn take_news(&self) -> Option<DrainError<S::Error>> {
        if !self.control.has_news.load(Relaxed) || !self.control.has_news.swap(false, AcqRel) {
            return None;
        }
        self.first_error()
    }

    /// How many errors there were.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.control.lock().errors
    }

    /// The buffer that is drained.
    #[must_use]
    pub fn buffer(&self) -> &AsyncBuffer<T> {
        &self.buffer
    }
}

impl<T, S: Sink<T>> Drop for Drain<T, S> {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.stop(self.drop_timeout);
        }
    }
}

impl<T, S: Sink<T>> fmt::Debug for Drain<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

impl<E, C> State<E, C> {
    /// How flush number `number` ended, if it did. A success covers all flushes before it; a failure
    /// is no answer to one that succeeded.
    fn answer_of(&self, number: u64) -> Option<Result<(), DrainError<E>>> {
        if self.flushes_succeeded >= number {
            return Some(Ok(()));
        }
        (self.flushes_done >= number).then(|| self.last_flush.clone())
    }
}

impl<E, C> Control<E, C> {
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

    /// The flushes up to number `upto` ended like this.
    pub(crate) fn tell_flushes(&self, upto: u64, outcome: Result<(), DrainError<E>>) {
        let mut state = self.lock();
        state.flushes_done = upto;
        if outcome.is_ok() {
            state.flushes_succeeded = upto;
        }
        state.last_flush = outcome;
        self.changed.notify_all();
    }

    pub(crate) fn latch(&self, error: E) -> DrainError<E> {
        let error = DrainError::Sink(Arc::new(error));
        self.latch_as_is(&mut self.lock(), &error);
        error
    }

    fn latch_as_is(&self, state: &mut State<E, C>, error: &DrainError<E>) {
        state.errors += 1;
        if state.first_error.is_none() {
            // mutant: first_error_not_kept
            state.first_error = Some(error.clone());
            // mutant: error_is_no_news
            self.has_news.store(true, Release);
        }
    }

    pub(crate) fn finish(&self, end: Result<(), DrainError<E>>) {
        let mut state = self.lock();
        if let Err(error @ DrainError::Panicked { .. }) = &end {
            self.latch_as_is(&mut state, error);
        }
        state.end = Some(end);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod preparing;
#[cfg(test)]
mod tests;
