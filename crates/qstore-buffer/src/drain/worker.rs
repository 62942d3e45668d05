//! The background thread.
//!
//! It sleeps until half the ring is full or the linger is over, hands the items to the sink, lets the
//! sink do what is due, and sleeps again. Slow work goes to a companion thread, and items are received
//! while it runs; a sink that falls behind may use a second companion to work ahead. An error is kept
//! and the thread continues after a pause. A panic closes the buffer, so that pushes are refused
//! instead of being stored and lost.

use crate::buffer::AsyncBuffer;
use crate::drain::companion::{Companion, Outcome};
use crate::drain::control::Control;
use crate::drain::losses::LossReport;
use crate::drain::periodic::Periodic;
use crate::drain::settings::{DrainSettings, StartHook};
use crate::drain::sink::{Ahead, Progress, Round, Sink};
use crate::drain::visits::Visits;
use crate::error::DrainError;
use crate::health::Losses;
use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the end waits for work ahead that is no longer needed.
const LOOKAHEAD_MAX: Duration = Duration::from_secs(1);

/// What the thread owns.
pub(crate) struct Worker<T, S: Sink<T>> {
    buffer: AsyncBuffer<T>,
    sink: S,
    control: Arc<Control<S::Error, S::Stats>>,
    visits: Arc<Visits<S>>,
    companion: Companion<S::Error>,
    /// Runs work ahead, beside the companion.
    lookahead: Companion<S::Error>,
    on_start: StartHook,
    linger: Duration,
    batch: Vec<T>,
    periodic: Periodic,
    backoff: Backoff,
    /// What the sink lost.
    lost: Losses,
    loss_report: LossReport,
}

impl<T: Send + 'static, S: Sink<T>> Worker<T, S> {
    pub(crate) fn new(
        buffer: AsyncBuffer<T>,
        sink: S,
        control: Arc<Control<S::Error, S::Stats>>,
        settings: DrainSettings,
    ) -> Self {
        let wake = buffer.clone();
        let loss_report = LossReport::new(buffer.name(), settings.report_losses_every);
        let name = settings.valid_thread_name();
        Self {
            buffer,
            sink,
            control,
            visits: Arc::default(),
            companion: Companion::new(format!("{name}-io"), move || wake.wake()),
            lookahead: Companion::new(format!("{name}-ahead"), || ()),
            on_start: settings.on_start,
            linger: settings.linger.max(Duration::from_millis(1)),
            batch: Vec::new(),
            periodic: Periodic::new(settings.flush_every, Instant::now()),
            backoff: Backoff::default(),
            lost: Losses::default(),
            loss_report,
        }
    }

    /// Where others ask for the sink.
    pub(crate) fn visits(&self) -> Arc<Visits<S>> {
        Arc::clone(&self.visits)
    }

    /// Runs until the buffer is closed and everything in it is stored, or until the sink panics.
    pub(crate) fn run(mut self) {
        let end = catch_unwind(AssertUnwindSafe(|| self.work()))
            .unwrap_or_else(|panic| Err(panicked(&*panic)));
        if self.control.is_forked() {
            // Everything here belongs to the parent.
            return mem::forget(self);
        }
        // A waker or a `tracing` subscriber may panic; a caller that waits for the end still gets it.
        let _ = catch_unwind(AssertUnwindSafe(|| self.buffer.close()));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.loss_report.finish(&self.losses());
            if let Err(error @ DrainError::Panicked { .. }) = &end {
                tracing::warn!(buffer = %self.buffer.name(), %error, "items in the ring are lost");
            }
        }));
        let Self { control, mut sink, visits, companion, mut lookahead, .. } = self;
        // The sink goes first: when `stop` returns, its files and locks are released. What it could not
        // write is kept.
        let kept = catch_unwind(AssertUnwindSafe(|| {
            if matches!(&end, Ok(()) | Err(DrainError::Panicked { .. })) {
                drop(sink);
                return None;
            }
            sink.release();
            visits.take().into_iter().for_each(|visit| visit(&mut sink));
            Some(sink)
        }));
        visits.end(kept.ok().flatten());
        if lookahead.is_busy() {
            // Its result is no longer needed, but it needs no disk and will end soon.
            lookahead.wait(LOOKAHEAD_MAX);
            let _ = lookahead.take_outcome();
        }
        drop((companion, lookahead));
        control.finish(end);
    }

    fn work(&mut self) -> Result<(), DrainError<S::Error>> {
        self.on_start.run();
        loop {
            // Read first: what is pushed after it need not be in the last drain.
            let was_closed = self.buffer.is_closed();
            // At most one ring's worth at a time: what is due comes first, however fast the pushes are.
            self.drain(self.buffer.maxsize());
            self.tick()?;
            self.report();
            self.answer_flush()?;
            self.answer_visits()?;
            if was_closed {
                let end = self.close();
                self.report();
                return end;
            }
            self.rest();
        }
    }

    /// Lets the sink do what is due, unless its work is under way or it failed a moment ago.
    fn tick(&mut self) -> Result<(), DrainError<S::Error>> {
        self.check_process()?;
        self.check_lookahead()?;
        // An error is latched already; the next tick retries.
        let failed = self.take_outcome()?.is_some();
        let now = Instant::now();
        self.loss_report.update(&self.losses(), now);
        if self.periodic.is_under_way() && failed {
            self.periodic.end(false, now);
        }
        if self.companion.is_busy() || !self.backoff.is_over(now) {
            return Ok(());
        }
        self.observe();
        if !self.periodic.is_due(now) {
            let outcome = self.sink.tick(now);
            let _ = self.start_work(outcome);
            return Ok(());
        }
        self.periodic.begin();
        let outcome = self.sink.flush();
        match self.start_work(outcome) {
            Ok(true) => {}
            Ok(false) => self.periodic.end(true, now),
            Err(_) => self.periodic.end(false, now),
        }
        Ok(())
    }

    /// An error if the sink has forked and this is the child, whose sink and locks are the parent's.
    fn check_process(&self) -> Result<(), DrainError<S::Error>> {
        if self.control.is_forked() { Err(DrainError::Forked) } else { Ok(()) }
    }

    /// Frees the place for work ahead once such work has ended.
    fn check_lookahead(&mut self) -> Result<(), DrainError<S::Error>> {
        // Of other outcomes nothing is reported here: they are the sink's own business.
        if let Some(Outcome::Panicked(panic)) = self.lookahead.take_outcome() {
            return Err(panicked(&*panic));
        }
        Ok(())
    }

    /// Sleeps until there is something to do.
    fn rest(&self) {
        self.buffer.wait(self.wanted(), self.linger, || {
            let state = self.control.lock();
            state.flushes_requested > state.flushes_done
                || self.companion.has_ended()
                || self.visits.is_waiting()
        });
    }

    /// How many items in the ring are worth waking up for.
    fn wanted(&self) -> usize {
        match self.sink.capacity() {
            // Not the items it leaves in the ring: the sink itself is waited for.
            0 => usize::MAX,
            _ => (self.buffer.maxsize() / 2).max(1),
        }
    }

    /// Hands up to `max` items to the sink, as far as it accepts them; returns how many.
    fn drain(&mut self, max: usize) -> usize {
        let mut count = 0;
        while count < max {
            let room = self.sink.capacity().min(max - count).min(self.buffer.maxsize());
            if self.buffer.pop_into(&mut self.batch, room) == 0 {
                break;
            }
            count += self.batch.len();
            self.periodic.received(self.batch.len());
            let outcome = self.receive();
            debug_assert!(self.batch.is_empty(), "a sink takes the whole batch");
            self.batch.clear();
            if let Err(error) = outcome {
                // mutant: error_of_receiving_ignored
                self.latch(error);
            }
        }
        count
    }

    /// Hands the batch to the sink, with a place for work ahead if there is one.
    fn receive(&mut self) -> Result<(), S::Error> {
        let now = Instant::now();
        let is_working = self.companion.is_busy() && !self.companion.has_ended();
        if !is_working || self.lookahead.is_busy() {
            let mut round = Round::of_drain(now, &mut self.lost, None);
            return self.sink.receive(&mut self.batch, &mut round);
        }
        let mut slot = None;
        let mut round = Round::of_drain(now, &mut self.lost, Some(&mut slot));
        let outcome = self.sink.receive(&mut self.batch, &mut round);
        if let Some(Ahead(work)) = slot {
            self.lookahead.start(Box::new(move || {
                work();
                Ok(())
            }));
        }
        outcome
    }

    fn observe(&mut self) {
        self.sink.observe(&self.buffer.stats());
    }

    fn report(&self) {
        let stats = self.sink.stats();
        let mut state = self.control.lock();
        state.stats = stats;
        if state.lost != self.lost {
            state.lost.clone_from(&self.lost);
        }
    }

    /// What the ring and the sink lost.
    fn losses(&self) -> Losses {
        let mut losses = self.buffer.losses();
        losses.extend(&self.lost);
        losses
    }

    fn answer_flush(&mut self) -> Result<(), DrainError<S::Error>> {
        let (requested, upto) = {
            let state = self.control.lock();
            if state.flushes_requested == state.flushes_done {
                return Ok(());
            }
            (state.flushes_requested, state.flush_upto)
        };
        let outcome = self.flush(upto);
        if let Err(DrainError::Panicked { .. } | DrainError::Forked) = outcome {
            return outcome;
        }
        self.report();
        self.control.complete_flushes(requested, outcome);
        Ok(())
    }

    /// Lets others use the sink, while nothing is under way.
    fn answer_visits(&mut self) -> Result<(), DrainError<S::Error>> {
        if !self.visits.is_waiting() {
            return Ok(());
        }
        self.attend()?;
        self.take_outcome()?;
        self.drain(self.buffer.maxsize());
        self.visits.take().into_iter().for_each(|visit| visit(&mut self.sink));
        self.report();
        Ok(())
    }

    /// Passes the items before position `upto` through the sink, however few it accepts at once. Items
    /// that are pushed later are not waited for.
    fn flush(&mut self, upto: u64) -> Result<(), DrainError<S::Error>> {
        // What was under way before is not part of this flush; if it failed, it is retried here.
        self.attend()?;
        self.take_outcome()?;
        self.end_periodic_flush()?;
        loop {
            let owed = upto.saturating_sub(self.buffer.taken());
            let drained = self.drain(usize::try_from(owed).unwrap_or(usize::MAX));
            // mutant: flush_before_the_rows
            let is_covered = self.buffer.taken() >= upto;
            self.complete_flush()?;
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
            // The ring is closed: this is everything.
            let flushed = self.flush(self.buffer.pushed());
            let outcome = flushed.and_then(|()| self.complete(Sink::close));
            let Err(error) = outcome else { return Ok(()) };
            if let DrainError::Forked = error {
                return Err(error);
            }
            let pause = self.backoff.pause;
            let give_up_at = self.control.lock().give_up_at;
            let is_over = give_up_at.is_some_and(|end| Instant::now() + pause > end);
            // Without a limit the buffer was closed by the user: a stop will follow and set one.
            let is_final = match &error {
                DrainError::Panicked { .. } => true,
                DrainError::Sink(error) => self.sink.is_final(error),
                _ => false,
            };
            if is_over || is_final {
                return Err(error);
            }
            self.report();
            self.answer_visits()?;
            let requested = self.control.lock().flushes_requested;
            self.control.complete_flushes(requested, Err(error));
            drop(self.control.wait_while(pause, |state| state.give_up_at == give_up_at));
        }
    }

    /// Completes a periodic flush that has begun, so that the next call of `flush` begins one.
    fn end_periodic_flush(&mut self) -> Result<(), DrainError<S::Error>> {
        if !self.periodic.is_under_way() {
            return Ok(());
        }
        match self.complete_flush() {
            Err(error @ (DrainError::Panicked { .. } | DrainError::Forked)) => Err(error),
            // Latched; what was to be flushed is part of the flush that follows.
            _ => Ok(()),
        }
    }

    /// Flushes what was received before this call.
    fn complete_flush(&mut self) -> Result<(), DrainError<S::Error>> {
        self.periodic.begin();
        let outcome = self.complete(Sink::flush);
        self.periodic.end(outcome.is_ok(), Instant::now());
        outcome
    }

    /// Calls until nothing is left to do.
    fn complete(
        &mut self,
        call: impl Fn(&mut S) -> Result<Progress<S::Error>, S::Error>,
    ) -> Result<(), DrainError<S::Error>> {
        loop {
            self.observe();
            self.check_process()?;
            let outcome = call(&mut self.sink);
            self.check_process()?;
            if !self.start_work(outcome)? {
                return Ok(());
            }
            self.attend()?;
            if let Some(error) = self.take_outcome()? {
                return Err(error);
            }
        }
    }

    /// Receives items while the companion works.
    fn attend(&mut self) -> Result<(), DrainError<S::Error>> {
        while self.companion.is_busy() && !self.companion.has_ended() {
            self.check_lookahead()?;
            self.drain(self.buffer.maxsize());
            self.loss_report.update(&self.losses(), Instant::now());
            if self.buffer.is_closed() {
                self.companion.wait(self.linger);
            } else {
                self.buffer.wait(self.wanted(), self.linger, || self.companion.has_ended());
            }
        }
        Ok(())
    }

    /// Starts the work, if there is any; `false` if there is none.
    fn start_work(
        &mut self,
        outcome: Result<Progress<S::Error>, S::Error>,
    ) -> Result<bool, DrainError<S::Error>> {
        match outcome {
            Ok(Progress::Work(work)) => {
                self.companion.start(work);
                Ok(true)
            }
            Ok(Progress::Idle) => {
                self.backoff = Backoff::default();
                Ok(false)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Takes the outcome of the work, if it has ended: its error, which is latched already. The `Err` is
    /// its panic, which ends the drain.
    fn take_outcome(&mut self) -> Result<Option<DrainError<S::Error>>, DrainError<S::Error>> {
        match self.companion.take_outcome() {
            None => Ok(None),
            Some(Outcome::Done) => {
                self.backoff = Backoff::default();
                Ok(None)
            }
            // mutant: error_of_the_companion_ignored
            Some(Outcome::Failed(error)) => Ok(Some(self.fail(error))),
            // mutant: panic_of_the_companion_ignored
            Some(Outcome::Panicked(panic)) => Err(panicked(&*panic)),
        }
    }

    /// Keeps an error, and lets the sink rest for a while.
    fn fail(&mut self, error: S::Error) -> DrainError<S::Error> {
        self.backoff.extend(Instant::now());
        self.latch(error)
    }

    /// Keeps an error; the first is reported.
    fn latch(&self, error: S::Error) -> DrainError<S::Error> {
        let is_first = !self.control.has_failed();
        let error = self.control.latch(error);
        if is_first {
            tracing::warn!(
                buffer = %self.buffer.name(),
                %error,
                "what was not written is kept and retried; later errors are only counted"
            );
        }
        error
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
