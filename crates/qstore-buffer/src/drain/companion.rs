//! A thread of the drain that does a sink's slow work while the drain's own thread receives items.
//!
//! It runs one piece of work at a time, is started with the first one, and never touches the ring or
//! the sink. If the system cannot start a thread, the caller runs the work instead.

use crate::drain::sink::Work;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How a piece of work ended.
pub(crate) enum Outcome<E> {
    Done,
    Failed(E),
    Panicked(Box<dyn Any + Send>),
}

impl<E> Outcome<E> {
    /// Runs the work.
    fn of(work: Work<E>) -> Self {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => Self::Done,
            Ok(Err(error)) => Self::Failed(error),
            Err(panic) => Self::Panicked(panic),
        }
    }
}

pub(crate) struct Companion<E> {
    name: String,
    running: Option<Running<E>>,
    /// Whether work was started whose outcome was not taken yet.
    is_busy: bool,
    mailbox: Arc<Mailbox<E>>,
}

struct Running<E> {
    jobs: SyncSender<Work<E>>,
    thread: JoinHandle<()>,
}

/// Where the outcome is left.
struct Mailbox<E> {
    outcome: Mutex<Option<Outcome<E>>>,
    changed: Condvar,
    /// Notifies the drain's thread that there is an outcome.
    notify: Box<dyn Fn() + Send + Sync>,
}

impl<E: Send + 'static> Companion<E> {
    /// A companion whose thread is started later. `notify` is called on that thread after each piece of
    /// work.
    pub(crate) fn new(name: String, notify: impl Fn() + Send + Sync + 'static) -> Self {
        let mailbox = Mailbox {
            outcome: Mutex::new(None),
            changed: Condvar::new(),
            notify: Box::new(notify),
        };
        Self { name, running: None, is_busy: false, mailbox: Arc::new(mailbox) }
    }

    /// Starts a piece of work. The one before must have ended, and its outcome must have been taken.
    pub(crate) fn start(&mut self, work: Work<E>) {
        debug_assert!(!self.is_busy, "one piece of work at a time");
        self.is_busy = true;
        if self.running.is_none() {
            self.running = run(&self.name, &self.mailbox);
        }
        let sent = match &self.running {
            // The thread waits for work and catches every panic, so it takes what is sent.
            Some(running) => running.jobs.send(work).map_err(|unsent| unsent.0),
            None => Err(work),
        };
        if let Err(work) = sent {
            self.mailbox.put(Outcome::of(work));
        }
    }

    /// Whether work is under way or its outcome still to be taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether there is an outcome to take.
    pub(crate) fn has_ended(&self) -> bool {
        self.mailbox.lock().is_some()
    }

    /// Takes the outcome, if there is one.
    pub(crate) fn take_outcome(&mut self) -> Option<Outcome<E>> {
        let outcome = self.mailbox.lock().take();
        self.is_busy &= outcome.is_none();
        outcome
    }

    /// Waits until there is an outcome or the time is up.
    pub(crate) fn wait(&self, timeout: Duration) {
        let is_pending = |outcome: &mut Option<Outcome<E>>| outcome.is_none();
        drop(self.mailbox.changed.wait_timeout_while(self.mailbox.lock(), timeout, is_pending));
    }
}

impl<E> Drop for Companion<E> {
    fn drop(&mut self) {
        if let Some(Running { jobs, thread }) = self.running.take() {
            drop(jobs);
            // It ends after the current work, which the drain has waited for unless it panicked.
            if !self.is_busy {
                let _ = thread.join();
            }
        }
    }
}

impl<E> Mailbox<E> {
    fn lock(&self) -> MutexGuard<'_, Option<Outcome<E>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, outcome: Outcome<E>) {
        *self.lock() = Some(outcome);
        self.changed.notify_all();
        (self.notify)();
    }
}

/// Starts the thread; `None` if the system refuses.
fn run<E: Send + 'static>(name: &str, mailbox: &Arc<Mailbox<E>>) -> Option<Running<E>> {
    let (jobs, inbox) = sync_channel::<Work<E>>(1);
    let mailbox = Arc::clone(mailbox);
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        for work in inbox {
            mailbox.put(Outcome::of(work));
        }
    });
    Some(Running { jobs, thread: thread.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    #[test]
    fn work_runs_on_another_thread_one_piece_at_a_time_and_a_panic_is_an_outcome() {
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
            outcome
        });
        let [Outcome::Done, Outcome::Failed("failed"), Outcome::Panicked(panic)] = outcomes else {
            panic!("one piece of work ended in another way")
        };
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"fell over"));
        drop(companion);
        assert_eq!(endings.load(SeqCst), 3);
    }
}
