//! The handle of the background thread between a buffer and its sink: flush, stop, and errors. The
//! thread itself is in `drain/worker.rs`.

use crate::buffer::{AsyncBuffer, later};
use crate::drain::control::Control;
use crate::drain::settings::DrainSettings;
use crate::drain::sink::{Round, Sink};
use crate::drain::summary::DrainSummary;
use crate::drain::visits::Visits;
use crate::drain::worker::Worker;
use crate::error::DrainError;
use crate::health::Health;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

mod companion;
mod control;
mod losses;
mod periodic;
pub(crate) mod settings;
pub(crate) mod sink;
pub(crate) mod summary;
mod visits;
mod worker;

/// A running background thread that hands the items of a buffer to a [`Sink`].
///
/// * Items reach the sink when half the ring is full, and after [`linger`](DrainSettings::linger) at
///   the latest.
/// * [`flush`](Self::flush) waits until everything pushed before it is flushed by the sink.
/// * [`stop`](Self::stop) closes the buffer, hands everything in it to the sink, closes the sink and
///   ends the thread. Dropping the drain does the same, with the limit
///   [`drop_timeout`](DrainSettings::drop_timeout), and discards the result.
/// * When the sink fails, the drain keeps the first error ([`health`](Self::health)), reports it as a
///   `tracing` warning, and goes on. The first loss of each kind is kept and reported likewise. When the sink panics, the buffer is closed.
/// * When a process ends without `stop`, what is in the ring is lost.
/// * A forked child has no such thread: `flush` and `stop` return [`DrainError::Forked`] immediately, and
///   dropping the drain does nothing. The parent's drain is not affected.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Progress, Round, Sink};
/// use std::convert::Infallible;
/// use std::time::Duration;
///
/// /// Adds up what it receives.
/// #[derive(Default)]
/// struct Sum(u64);
///
/// impl Sink<u64> for Sum {
///     type Error = Infallible;
///     type Stats = u64;
///
///     fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), Infallible> {
///         self.0 += batch.drain(..).sum::<u64>();
///         Ok(())
///     }
///
///     fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
///         Ok(Progress::Idle) // nothing to write
///     }
///
///     fn stats(&self) -> u64 {
///         self.0
///     }
/// }
///
/// const LIMIT: Duration = Duration::from_secs(10);
/// let buffer = AsyncBuffer::new(1_000)?;
/// let mut drain = Drain::spawn(buffer.clone(), Sum::default(), DrainSettings::default())?;
/// for item in 1..=100 {
///     buffer.push(item)?;
/// }
/// drain.flush(LIMIT)?;
/// assert_eq!(drain.stats(), 5_050);
///
/// let summary = drain.stop(LIMIT)?;
/// assert_eq!((summary.intake.pushed, summary.intake.dropped, summary.errors), (100, 0, 0));
/// assert!(buffer.push(101).is_err(), "the buffer is closed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a drain stops it"]
pub struct Drain<T, S: Sink<T>> {
    buffer: AsyncBuffer<T>,
    control: Arc<Control<S::Error, S::Stats>>,
    visits: Arc<Visits<S>>,
    thread: Option<JoinHandle<()>>,
    drop_timeout: Duration,
}

impl<T: Send + 'static, S: Sink<T>> Drain<T, S> {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`DrainError::Spawn`] when the system cannot start a thread. The buffer stays open.
    /// [`DrainError::Forked`] when a process that this one was forked from drains the buffer.
    pub fn spawn(
        buffer: AsyncBuffer<T>,
        sink: S,
        settings: DrainSettings,
    ) -> Result<Self, DrainError<S::Error>> {
        if !buffer.adopt() {
            return Err(DrainError::Forked);
        }
        let control = Arc::new(Control::new(sink.stats()));
        let name = settings.valid_thread_name();
        let drop_timeout = settings.drop_timeout;
        let worker = Worker::new(buffer.clone(), sink, Arc::clone(&control), settings);
        let visits = worker.visits();
        let thread = thread::Builder::new().name(name).spawn(|| worker.run()).map_err(|error| {
            buffer.disown();
            DrainError::Spawn(Arc::new(error))
        })?;
        Ok(Self { buffer, control, visits, thread: Some(thread), drop_timeout })
    }
}

impl<T, S: Sink<T>> Drain<T, S> {
    /// Waits until everything that was pushed before this call is flushed by the sink: no less, and
    /// nothing more. What is pushed during the call may be flushed along with it, but is not waited
    /// for.
    ///
    /// # Errors
    /// [`DrainError::Sink`] when the sink could not flush; its items are kept.
    /// [`DrainError::TimedOut`] when the time limit was too short; the flush continues.
    /// [`DrainError::Panicked`] when the sink has panicked. [`DrainError::Forked`] in a forked child.
    pub fn flush(&self, timeout: Duration) -> Result<(), DrainError<S::Error>> {
        // mutant: flush_in_a_forked_child
        if self.control.is_forked() {
            return Err(DrainError::Forked);
        }
        let number = {
            let mut state = self.control.lock();
            state.flushes_requested += 1;
            state.flush_upto = self.buffer.pushed();
            state.flushes_requested
        };
        self.buffer.wake();
        let state = self
            .control
            .wait_while(timeout, |state| state.flushes_done < number && state.end.is_none());
        if let Some(result) = state.result_of(number) {
            return result;
        }
        Err(match &state.end {
            None => DrainError::TimedOut { waited: timeout },
            // Stopped, which flushed everything.
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => error.clone(),
        })
    }

    /// Closes the buffer, hands everything in it to the sink, closes the sink, ends the thread, and
    /// reports what became of the items. A sink that fails to close is retried until the time is up.
    /// Stopping again returns the same result.
    ///
    /// # Errors
    /// As [`flush`](Self::flush). After [`DrainError::TimedOut`] the thread continues in the
    /// background, and `stop` can be called again.
    pub fn stop(
        &mut self,
        timeout: Duration,
    ) -> Result<DrainSummary<S::Stats>, DrainError<S::Error>> {
        // mutant: stop_in_a_forked_child
        if self.control.is_forked() {
            self.forget();
            return Err(DrainError::Forked);
        }
        self.control.lock().give_up_at = Some(later(Instant::now(), timeout));
        self.control.changed.notify_all();
        self.buffer.close();
        // A little longer than the sink has: its last error is more useful than "timed out".
        let patience = timeout.saturating_add(Duration::from_millis(100));
        let state = self.control.wait_while(patience, |state| state.end.is_none());
        let Some(end) = state.end.clone() else {
            drop(state);
            // The caller has waited already, and need not wait again when the drain is dropped.
            self.drop_timeout = Duration::ZERO;
            return Err(DrainError::TimedOut { waited: timeout });
        };
        drop(state);
        if let Some(thread) = self.thread.take() {
            // It only has to return, and it catches its own panics.
            let _ = thread.join();
        }
        end.map(|()| DrainSummary {
            intake: self.buffer.stats(),
            sink: self.stats(),
            errors: self.errors(),
        })
    }

    /// The first error, and what the buffer and the sink lost, by kind. What the sink lost is as of its
    /// last round: at most a linger old, and exact after a flush or a stop. In a forked child the error is
    /// [`DrainError::Forked`].
    #[must_use]
    pub fn health(&self) -> Health<DrainError<S::Error>> {
        let mut losses = self.buffer.losses();
        if self.control.is_forked() {
            return Health { first_error: Some(DrainError::Forked), errors: 0, losses };
        }
        let state = self.control.lock();
        losses.extend(&state.lost);
        Health { first_error: state.first_error.clone(), errors: state.errors, losses }
    }

    /// The thread belongs to the parent: it can be neither joined nor detached here.
    fn forget(&mut self) {
        mem::forget(self.thread.take());
    }

    /// Lets `call` use the sink, after it has received everything that was pushed before, even if that is
    /// more than its [`capacity`](Sink::capacity). For what a sink can do beyond this trait, such as writing
    /// elsewhere what it cannot write where it should.
    ///
    /// While the drain runs, the call is made on its thread, between two rounds. After a
    /// [`stop`](Self::stop) that failed it is made here: the sink is kept until the drain is dropped.
    ///
    /// ```
    /// use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Progress, Round, Sink};
    /// use std::io;
    /// use std::time::Duration;
    ///
    /// /// Nothing can be written, so everything is kept.
    /// struct Kept(Vec<u64>);
    ///
    /// impl Sink<u64> for Kept {
    ///     type Error = io::Error;
    ///     type Stats = ();
    ///
    ///     fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> io::Result<()> {
    ///         self.0.append(batch);
    ///         Ok(())
    ///     }
    ///
    ///     fn flush(&mut self) -> io::Result<Progress<io::Error>> {
    ///         Err(io::ErrorKind::StorageFull.into())
    ///     }
    /// }
    ///
    /// let buffer = AsyncBuffer::new(10)?;
    /// let mut drain = Drain::spawn(buffer.clone(), Kept(Vec::new()), DrainSettings::default())?;
    /// buffer.push(7)?;
    /// assert!(drain.stop(Duration::from_millis(10)).is_err());
    /// assert_eq!(drain.with_sink(Duration::from_secs(10), |kept| kept.0.clone())?, [7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DrainError::TimedOut`] when the thread is busy for longer; the call may still be made later.
    /// [`DrainError::Ended`] after a `stop` that succeeded, [`DrainError::Panicked`] after a panic: there is
    /// no sink then. [`DrainError::Forked`] in a forked child. [`DrainError::Sink`] when it could not receive what was pushed.
    pub fn with_sink<A: Send + 'static>(
        &self,
        timeout: Duration,
        call: impl FnOnce(&mut S) -> A + Send + 'static,
    ) -> Result<A, DrainError<S::Error>>
    where
        T: Send + 'static,
    {
        if self.control.is_forked() {
            return Err(DrainError::Forked);
        }
        let (sender, answer) = sync_channel(1);
        let buffer = self.buffer.clone();
        self.visits.push(Box::new(move |sink| {
            let received = receive_all(&buffer, sink);
            // Nobody waits for the answer any more if it took too long.
            let _ = sender.send(received.map(|()| call(sink)));
        }));
        self.buffer.wake();
        match answer.recv_timeout(timeout) {
            Ok(answer) => answer.map_err(|error| DrainError::Sink(Arc::new(error))),
            Err(RecvTimeoutError::Timeout) => Err(DrainError::TimedOut { waited: timeout }),
            Err(RecvTimeoutError::Disconnected) => match &self.control.lock().end {
                Some(Err(error)) => Err(error.clone()),
                _ => Err(DrainError::Ended),
            },
        }
    }

    /// The first error since the start, if there was one. It stays even when a later try succeeded. In a forked
    /// child it is [`DrainError::Forked`].
    #[must_use]
    pub fn first_error(&self) -> Option<DrainError<S::Error>> {
        if self.control.is_forked() {
            return Some(DrainError::Forked);
        }
        self.control.lock().first_error.clone()
    }

    /// Whether there was no error since the start. Costs one load, so a loop can ask every time.
    #[inline]
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.control.has_failed()
    }

    /// The first error, once: the first call after it returns it, later calls return `None`. Costs one
    /// load while there is none.
    #[inline]
    #[must_use]
    pub fn take_new_error(&self) -> Option<DrainError<S::Error>> {
        if !self.control.take_has_new_error() {
            return None;
        }
        self.first_error()
    }

    /// The sink's counters as of its last round: at most a linger old, and exact after a flush or a
    /// stop. In a forked child, which has no sink, they have their defaults.
    #[must_use]
    pub fn stats(&self) -> S::Stats {
        if self.control.is_forked() {
            return S::Stats::default();
        }
        self.control.lock().stats.clone()
    }

    /// Number of errors since the start.
    #[must_use]
    pub fn errors(&self) -> u64 {
        if self.control.is_forked() {
            return 1; // that it is a child
        }
        self.control.lock().errors
    }

    /// The buffer that is drained.
    #[must_use]
    pub fn buffer(&self) -> &AsyncBuffer<T> {
        &self.buffer
    }
}

/// Hands everything that is in the ring now to the sink.
fn receive_all<T, S: Sink<T>>(buffer: &AsyncBuffer<T>, sink: &mut S) -> Result<(), S::Error> {
    let (mut left, mut batch) = (buffer.len(), Vec::new());
    while left > 0 {
        let count = buffer.pop_into(&mut batch, left);
        if count == 0 {
            break;
        }
        left -= count;
        sink.receive(&mut batch, &mut Round::new(Instant::now()))?;
        batch.clear();
    }
    Ok(())
}

impl<T, S: Sink<T>> Drop for Drain<T, S> {
    fn drop(&mut self) {
        // mutant: drop_in_a_forked_child
        if self.control.is_forked() {
            self.forget();
        } else if self.thread.is_some() {
            let _ = self.stop(self.drop_timeout);
        }
    }
}

impl<T, S: Sink<T>> fmt::Debug for Drain<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
