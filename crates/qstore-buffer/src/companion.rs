//! The drain's second thread, which does a sink's slow work while the first goes on receiving.
//!
//! It runs one piece of work at a time, is started when the first one comes, and never touches the
//! ring or the sink. Where the system has no thread left, the work is done by the caller instead.

use crate::sink::Work;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How a piece of work ended; the outer error is a panic.
pub(crate) type Outcome<E> = Result<Result<(), E>, Box<dyn Any + Send>>;

pub(crate) struct Companion<E> {
    name: String,
    running: Option<Running<E>>,
    /// Whether work was started whose outcome nobody has asked for yet.
    is_busy: bool,
    desk: Arc<Desk<E>>,
}

struct Running<E> {
    jobs: SyncSender<Work<E>>,
    thread: JoinHandle<()>,
}

/// Where the outcome is put down.
struct Desk<E> {
    outcome: Mutex<Option<Outcome<E>>>,
    changed: Condvar,
    /// Tells the first thread that there is an outcome.
    ended: Box<dyn Fn() + Send + Sync>,
}

impl<E: Send + 'static> Companion<E> {
    /// No thread yet. `ended` is called on the companion's thread after each piece of work.
    pub(crate) fn new(name: String, ended: impl Fn() + Send + Sync + 'static) -> Self {
        let desk =
            Desk { outcome: Mutex::new(None), changed: Condvar::new(), ended: Box::new(ended) };
        Self { name, running: None, is_busy: false, desk: Arc::new(desk) }
    }

    /// Starts the work; the one before has ended and its outcome was taken.
    pub(crate) fn start(&mut self, work: Work<E>) {
        debug_assert!(!self.is_busy, "one piece of work at a time");
        self.is_busy = true;
        if self.running.is_none() {
            self.running = run(&self.name, &self.desk);
        }
        let sent = match &self.running {
            // The thread waits for work and catches every panic: it takes what is sent.
            Some(running) => running.jobs.send(work).map_err(|unsent| unsent.0),
            None => Err(work),
        };
        if let Err(work) = sent {
            self.desk.put(catch_unwind(AssertUnwindSafe(work)));
        }
    }

    /// Whether work is under way or its outcome still to be taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether there is an outcome to take.
    pub(crate) fn has_ended(&self) -> bool {
        self.desk.lock().is_some()
    }

    /// The outcome, once.
    pub(crate) fn take_outcome(&mut self) -> Option<Outcome<E>> {
        let outcome = self.desk.lock().take();
        self.is_busy &= outcome.is_none();
        outcome
    }

    /// Waits until there is an outcome or the time is up.
    pub(crate) fn wait(&self, timeout: Duration) {
        let is_pending = |outcome: &mut Option<Outcome<E>>| outcome.is_none();
        drop(self.desk.changed.wait_timeout_while(self.desk.lock(), timeout, is_pending));
    }
}

impl<E> Drop for Companion<E> {
    fn drop(&mut self) {
        if let Some(Running { jobs, thread }) = self.running.take() {
            drop(jobs);
            // It ends with the work at hand, which the drain has waited for unless it panicked.
            if !self.is_busy {
                let _ = thread.join();
            }
        }
    }
}

impl<E> Desk<E> {
    fn lock(&self) -> MutexGuard<'_, Option<Outcome<E>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, outcome: Outcome<E>) {
        *self.lock() = Some(outcome);
        self.changed.notify_all();
        (self.ended)();
    }
}

fn run<E: Send + 'static>(name: &str, desk: &Arc<Desk<E>>) -> Option<Running<E>> {
    let (jobs, inbox) = sync_channel::<Work<E>>(1);
    let desk = Arc::clone(desk);
    let work_off = move || {
        for work in inbox {
            desk.put(catch_unwind(AssertUnwindSafe(work)));
        }
    };
    let thread = thread::Builder::new().name(name.into()).spawn(work_off).ok()?;
    Some(Running { jobs, thread })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    #[test]
    fn work_runs_elsewhere_one_piece_after_the_other_and_a_panic_is_an_outcome() {
        let endings = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&endings);
        let mut companion = Companion::new("work".into(), move || {
            seen.fetch_add(1, SeqCst);
        });
        assert!(companion.take_outcome().is_none() && !companion.is_busy());
        let here = thread::current().id();
        let pieces: [Work<&str>; 3] = [
            Box::new(move || if thread::current().id() == here { Err("here") } else { Ok(()) }),
            Box::new(|| Err("failed")),
            Box::new(|| panic!("fell over")),
        ];
        let outcomes = pieces.map(|work| {
            companion.start(work);
            assert!(companion.is_busy());
            while !companion.has_ended() {
                companion.wait(Duration::from_secs(20));
            }
            let outcome = companion.take_outcome().unwrap();
            assert!(!companion.is_busy());
            outcome.map_err(|panic| panic.downcast_ref::<&str>().map(ToString::to_string))
        });
        assert_eq!(outcomes, [Ok(Ok(())), Ok(Err("failed")), Err(Some("fell over".into()))]);
        drop(companion);
        assert_eq!(endings.load(SeqCst), 3);
    }
}
