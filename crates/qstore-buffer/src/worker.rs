//! The background thread itself.
//!
//! It sleeps until half the ring is full or the linger is over, hands what is there to the sink,
//! lets it do what is due, and sleeps again. Slow work goes to the companion, and items are received
//! while it runs; a sink that gets behind may use a third thread meanwhile to prepare what comes next.
//! An error is latched and the work goes on after a pause; a panic closes the buffer,
//! so that pushes are refused instead of silently kept.

use crate::companion::Companion;
use crate::drain::Control;
use crate::losses::LossReport;
use crate::{AsyncBuffer, DrainError, DrainSettings, Progress, Sink};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the end waits for a preparation that nobody needs any more.
const PREPARATION_MAX: Duration = Duration::from_secs(1);

/// What the thread owns.
pub(crate) struct Worker<T, S: Sink<T>> {
    buffer: AsyncBuffer<T>,
    sink: S,
    control: Arc<Control<S::Error, S::Stats>>,
    companion: Companion<S::Error>,
    /// Works for what the companion will do next.
    preparer: Companion<S::Error>,
    linger: Duration,
    batch: Vec<T>,
    backoff: Backoff,
    losses: LossReport,
}

impl<T: Send + 'static, S: Sink<T>> Worker<T, S> {
    pub(crate) fn new(
        buffer: AsyncBuffer<T>,
        sink: S,
        control: Arc<Control<S::Error, S::Stats>>,
        settings: &DrainSettings,
    ) -> Self {
        let wake = buffer.clone();
        let name = settings.thread_name.replace('\0', "");
        Self {
            buffer,
            sink,
            control,
            companion: Companion::new(format!("{name}-io"), move || wake.wake()),
            preparer: Companion::new(format!("{name}-ahead"), || ()),
            linger: settings.linger.max(Duration::from_millis(1)),
            batch: Vec::new(),
            backoff: Backoff::default(),
            losses: LossReport::new(settings.report_losses_every),
        }
    }

    /// Works until the buffer is closed and everything in it is stored, or the sink panics.
    pub(crate) fn run(mut self) {
        let end = catch_unwind(AssertUnwindSafe(|| self.work()))
            .unwrap_or_else(|panic| Err(panicked(&*panic)));
        // Whatever a waker or a subscriber of `tracing` does: whoever waits for the end gets an answer.
        let _ = catch_unwind(AssertUnwindSafe(|| self.buffer.close()));
        let _ = catch_unwind(AssertUnwindSafe(|| self.losses.finish(&self.buffer.stats())));
        let Self { control, sink, companion, mut preparer, .. } = self;
        // The sink goes first: when `stop` returns, its files and locks are released.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(sink)));
        if preparer.is_busy() {
            // Nobody waits for what it makes any more, but it needs no disk and will be done soon.
            preparer.wait(PREPARATION_MAX);
            let _ = preparer.take_outcome();
        }
        drop((companion, preparer));
        control.finish(end);
    }

    fn work(&mut self) -> Result<(), DrainError<S::Error>> {
        self.sink.begin();
        loop {
            // Read first: what is pushed after it need not be in the last drain.
            let was_closed = self.buffer.is_closed();
            // No more than a ringful at a time: what is due comes first, however fast the pushes are.
            self.drain(self.buffer.maxsize());
            self.tick()?;
            self.report();
            self.answer_flush()?;
            if was_closed {
                let end = self.close();
                self.report();
                return end;
            }
            self.rest();
        }
    }

    /// Lets the sink do what is due, unless it is at work or failed a moment ago.
    fn tick(&mut self) -> Result<(), DrainError<S::Error>> {
        // Latched already where it is an error; the next tick tries again.
        let _ = self.take_outcome()?;
        let now = Instant::now();
        if !self.companion.is_busy() && self.backoff.is_over(now) {
            self.observe(now);
            let outcome = self.sink.tick(now);
            let _ = self.take_on(outcome);
        }
        self.prepare()
    }

    /// Lets the sink go ahead of the companion, one preparation at a time.
    fn prepare(&mut self) -> Result<(), DrainError<S::Error>> {
        if let Some(Err(panic)) = self.preparer.take_outcome() {
            return Err(panicked(&*panic));
        }
        if !self.companion.is_busy() || self.companion.has_ended() || self.preparer.is_busy() {
            return Ok(());
        }
        if let Some(prepare) = self.sink.prepare() {
            self.preparer.start(Box::new(move || {
                prepare();
                Ok(())
            }));
        }
        Ok(())
    }

    /// Sleeps until there is something to do.
    fn rest(&self) {
        self.buffer.wait(self.wanted(), self.linger, || {
            let state = self.control.lock();
            state.flushes_wanted > state.flushes_done || self.companion.has_ended()
        });
    }

    /// How many items are worth waking up for.
    fn wanted(&self) -> usize {
        match self.sink.capacity() {
            // A sink that takes nothing is waited for, not the items it leaves in the ring.
            0 => usize::MAX,
            _ => (self.buffer.maxsize() / 2).max(1),
        }
    }

    /// Hands up to `max` items to the sink, as far as it takes them; returns how many.
    fn drain(&mut self, max: usize) -> usize {
        let mut count = 0;
        while count < max {
            let room = self.sink.capacity().min(max - count).min(self.buffer.maxsize());
            if self.buffer.pop_into(&mut self.batch, room) == 0 {
                break;
            }
            count += self.batch.len();
            let outcome = self.sink.receive(&mut self.batch, Instant::now());
            debug_assert!(self.batch.is_empty(), "a sink takes the whole batch");
            self.batch.clear();
            if let Err(error) = outcome {
                // mutant: error_of_receiving_ignored
                self.control.latch(error);
            }
        }
        count
    }

    fn observe(&mut self, now: Instant) {
        let intake = self.buffer.stats();
        self.sink.observe(&intake);
        self.losses.look(&intake, now);
    }

    fn report(&self) {
        self.control.lock().stats = self.sink.stats();
    }

    fn answer_flush(&mut self) -> Result<(), DrainError<S::Error>> {
        let (wanted, upto) = {
            let state = self.control.lock();
            if state.flushes_wanted == state.flushes_done {
                return Ok(());
            }
            (state.flushes_wanted, state.flush_upto)
        };
        let outcome = self.flush(upto);
        if let Err(DrainError::Panicked { .. }) = outcome {
            return outcome;
        }
        self.report();
        self.control.tell_flushes(wanted, outcome);
        Ok(())
    }

    /// The items before position `upto` go through the sink, however little it takes at once; none
    /// that is pushed later is waited for.
    fn flush(&mut self, upto: u64) -> Result<(), DrainError<S::Error>> {
        // What was under way before is not this flush; if it failed, it is tried again here.
        self.attend()?;
        let _ = self.take_outcome()?;
        loop {
            let owed = upto.saturating_sub(self.buffer.taken());
            let drained = self.drain(usize::try_from(owed).unwrap_or(usize::MAX));
            // mutant: flush_before_the_rows
            let is_covered = self.buffer.taken() >= upto;
            self.complete(Sink::flush)?;
            if is_covered {
                return Ok(());
            }
            if drained == 0 && self.sink.capacity() == 0 {
                return Err(DrainError::NoRoom { left: self.buffer.len() });
            }
        }
    }

    fn close(&mut self) -> Result<(), DrainError<S::Error>> {
        loop {
            // Of a closed ring, all of it.
            let flushed = self.flush(self.buffer.pushed());
            let outcome = flushed.and_then(|()| self.complete(Sink::close));
            let Err(error) = outcome else { return Ok(()) };
            let pause = self.backoff.pause;
            let give_up_at = self.control.lock().give_up_at;
            let is_over = give_up_at.is_some_and(|end| Instant::now() + pause > end);
            // Without a limit the buffer was closed by hand: a stop will follow and set one.
            if is_over || matches!(error, DrainError::Panicked { .. }) {
                return Err(error);
            }
            self.report();
            let wanted = self.control.lock().flushes_wanted;
            self.control.tell_flushes(wanted, Err(error));
            drop(self.control.wait_while(pause, |state| state.give_up_at == give_up_at));
        }
    }

    /// Calls until nothing is left to do.
    fn complete(
        &mut self,
        call: impl Fn(&mut S) -> Result<Progress<S::Error>, S::Error>,
    ) -> Result<(), DrainError<S::Error>> {
        loop {
            self.observe(Instant::now());
            let outcome = call(&mut self.sink);
            if !self.take_on(outcome)? {
                return Ok(());
            }
            self.attend()?;
            self.take_outcome()??;
        }
    }

    /// Receives while the companion works.
    fn attend(&mut self) -> Result<(), DrainError<S::Error>> {
        while self.companion.is_busy() && !self.companion.has_ended() {
            self.drain(self.buffer.maxsize());
            self.prepare()?;
            if self.buffer.is_closed() {
                self.companion.wait(self.linger);
            } else {
                self.buffer.wait(self.wanted(), self.linger, || self.companion.has_ended());
            }
        }
        Ok(())
    }

    /// Starts the work there is; `false` if there is none.
    fn take_on(
        &mut self,
        outcome: Result<Progress<S::Error>, S::Error>,
    ) -> Result<bool, DrainError<S::Error>> {
        match outcome {
            Ok(Progress::Work(work)) => {
                self.companion.start(work);
                Ok(true)
            }
            Ok(Progress::Idle) => self.note(Ok(())).map(|()| false),
            Err(error) => self.note(Err(error)).map(|()| false),
        }
    }

    /// How the work ended, if it did: the inner error is the work's own, the outer one its panic.
    #[expect(clippy::type_complexity, reason = "two kinds of failure that callers treat apart")]
    fn take_outcome(&mut self) -> Result<Result<(), DrainError<S::Error>>, DrainError<S::Error>> {
        match self.companion.take_outcome() {
            None => Ok(Ok(())),
            // mutant: error_of_the_companion_ignored
            Some(Ok(outcome)) => Ok(self.note(outcome)),
            // mutant: panic_of_the_companion_ignored
            Some(Err(panic)) => Err(panicked(&*panic)),
        }
    }

    fn note(&mut self, outcome: Result<(), S::Error>) -> Result<(), DrainError<S::Error>> {
        match outcome {
            Ok(()) => {
                self.backoff = Backoff::default();
                Ok(())
            }
            Err(error) => {
                self.backoff.extend(Instant::now());
                Err(self.control.latch(error))
            }
        }
    }
}

/// The pause after an error: 10 ms, doubled each time, at most 1 s.
struct Backoff {
    pause: Duration,
    until: Option<Instant>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: Duration::from_millis(10), until: None }
    }
}

impl Backoff {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    fn extend(&mut self, now: Instant) {
        if self.until.is_some() {
            self.pause = (self.pause * 2).min(Duration::from_secs(1));
        }
        self.until = Some(now + self.pause);
    }
}

fn panicked<E>(panic: &(dyn Any + Send)) -> DrainError<E> {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    DrainError::Panicked { message: text.unwrap_or_else(|| "no message".into()) }
}
