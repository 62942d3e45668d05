//! The drain with sinks that succeed, fail, refuse, hang and panic.

use super::*;
use crate::buffer::stats::BufferStats;
use crate::drain::sink::{Progress, Round};
use std::sync::{Condvar, Mutex, MutexGuard, mpsc};

mod accounting;
#[cfg(unix)]
mod forks;
mod lookahead;
mod reports;
mod visits;

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("the disk is on fire")]
struct OnFire;

/// What a test sink has done, shared with the test.
#[derive(Debug, Default)]
struct Log {
    received: Vec<u64>,
    published: usize,
    is_closed: bool,
    /// Calls of flush or close that still fail.
    failures_left: u32,
}

#[derive(Clone, Default)]
struct Recorder {
    log: Arc<Mutex<Log>>,
    room: Option<usize>,
}

impl Recorder {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    fn failing(times: u32) -> Self {
        let recorder = Self::default();
        recorder.log().failures_left = times;
        recorder
    }
}

impl Sink<u64> for Recorder {
    type Error = OnFire;
    type Stats = ();

    fn capacity(&self) -> usize {
        let log = self.log();
        self.room.map_or(usize::MAX, |room| room - (log.received.len() - log.published))
    }

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), OnFire> {
        assert!(batch.len() <= self.capacity());
        self.log().received.append(batch);
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
        let mut log = self.log();
        if log.failures_left > 0 {
            log.failures_left -= 1;
            return Err(OnFire);
        }
        log.published = log.received.len();
        Ok(Progress::Idle)
    }

    fn close(&mut self) -> Result<Progress<OnFire>, OnFire> {
        let progress = self.flush()?;
        self.log().is_closed = true;
        Ok(progress)
    }
}

fn spawn<S: Sink<u64>>(buffer: &AsyncBuffer<u64>, sink: S) -> Drain<u64, S> {
    Drain::spawn(buffer.clone(), sink, DrainSettings::default()).unwrap()
}

#[test]
fn stop_loses_nothing_of_a_full_buffer() {
    let buffer = AsyncBuffer::new(10_000).unwrap();
    for item in 0..10_000 {
        buffer.push(item).unwrap();
    }
    let recorder = Recorder::default();
    let mut drain = spawn(&buffer, recorder.clone());
    drain.stop(LONG).unwrap();
    let log = recorder.log();
    assert!(log.is_closed);
    assert_eq!(log.published, 10_000);
    assert!(log.received.iter().copied().eq(0..10_000));
}

#[test]
fn flush_covers_everything_pushed_before_even_where_the_sink_takes_little() {
    for room in [None, Some(1), Some(3)] {
        let buffer = AsyncBuffer::new(64).unwrap();
        let recorder = Recorder { room, ..Recorder::default() };
        let drain = spawn(&buffer, recorder.clone());
        for round in 0..50_u64 {
            for item in 0..7 {
                buffer.push(round * 7 + item).unwrap();
            }
            drain.flush(LONG).unwrap();
            assert_eq!(recorder.log().published as u64, (round + 1) * 7);
        }
    }
}

#[test]
fn a_sink_is_flushed_periodically_without_a_call() {
    for room in [None, Some(2)] {
        let buffer = AsyncBuffer::new(8).unwrap();
        let recorder = Recorder { room, ..Recorder::failing(1) };
        let settings = DrainSettings::default().flush_every(Duration::from_millis(1));
        let _drain = Drain::spawn(buffer.clone(), recorder.clone(), settings).unwrap();
        // Also what is received after the first flush, and after one that failed.
        for item in 0..5 {
            buffer.push(item).unwrap();
            while recorder.log().published as u64 <= item {
                thread::yield_now();
            }
        }
    }
}

#[test]
fn a_failing_sink_is_retried_and_the_first_error_stays_visible() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let recorder = Recorder::failing(2);
    let mut drain = spawn(&buffer, recorder.clone());
    buffer.push(1).unwrap();
    assert!(matches!(drain.flush(LONG), Err(DrainError::Sink(error)) if *error == OnFire));
    drain.stop(LONG).unwrap();
    assert_eq!((recorder.log().published, drain.errors()), (1, 2));
    assert!(drain.take_new_error().is_some() && drain.take_new_error().is_none(), "reported once");
    assert!(matches!(drain.first_error(), Some(DrainError::Sink(_))));
}

#[test]
fn a_stop_without_a_limit_waits_for_the_sink_to_recover() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let recorder = Recorder::failing(2);
    let mut drain = spawn(&buffer, recorder.clone());
    buffer.push(1).unwrap();
    drain.stop(Duration::MAX).unwrap();
    assert_eq!(recorder.log().published, 1);
    drain.flush(LONG).unwrap();
}

#[test]
fn a_sink_without_room_is_an_error_and_not_a_silent_loss() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let mut drain = spawn(&buffer, Recorder { room: Some(0), ..Recorder::default() });
    buffer.push(1).unwrap();
    assert!(matches!(drain.flush(LONG), Err(DrainError::NoRoom { left: 1 })));
    let short = Duration::from_millis(20);
    assert!(matches!(drain.stop(short), Err(DrainError::NoRoom { left: 1 })));
}

#[test]
fn a_sink_that_never_recovers_ends_the_stop_with_its_error() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let mut drain = spawn(&buffer, Recorder::failing(u32::MAX));
    buffer.push(1).unwrap();
    for _ in 0..2 {
        assert!(matches!(drain.stop(Duration::from_millis(30)), Err(DrainError::Sink(_))));
    }
}

#[test]
fn a_buffer_closed_by_the_user_waits_for_the_sink_to_recover() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let recorder = Recorder::failing(4);
    let mut drain = spawn(&buffer, recorder.clone());
    buffer.push(1).unwrap();
    buffer.close();
    while drain.errors() == 0 {
        thread::yield_now();
    }
    drain.stop(LONG).unwrap();
    assert_eq!(recorder.log().published, 1);
}

#[test]
fn dropping_the_drain_stops_it() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let recorder = Recorder::default();
    let drain = spawn(&buffer, recorder.clone());
    buffer.push(1).unwrap();
    drop(drain);
    assert!(recorder.log().is_closed && recorder.log().published == 1);
    assert!(buffer.push(2).is_err());
}

struct Panics;

impl Sink<u64> for Panics {
    type Error = OnFire;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), OnFire> {
        panic!("cannot stand {batch:?}");
    }

    fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
        Ok(Progress::Idle)
    }
}

#[test]
fn a_panicking_sink_poisons_the_drain_and_closes_the_buffer() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let mut drain = spawn(&buffer, Panics);
    buffer.push(7).unwrap();
    let is_panic =
        |error| matches!(error, DrainError::Panicked { message } if message == "cannot stand [7]");
    assert!(is_panic(drain.flush(LONG).unwrap_err()));
    assert!(is_panic(drain.stop(LONG).unwrap_err()));
    assert!(is_panic(drain.first_error().unwrap()));
    assert!(buffer.is_closed());
}

/// Cannot take an item.
struct Refuses;

impl Sink<u64> for Refuses {
    type Error = OnFire;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), OnFire> {
        batch.clear();
        Err(OnFire)
    }

    fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
        Ok(Progress::Idle)
    }
}

#[test]
fn an_error_of_receiving_is_kept_and_counted() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let mut drain = spawn(&buffer, Refuses);
    assert!(drain.is_healthy());
    buffer.push(1).unwrap();
    drain.flush(LONG).unwrap();
    assert!(!drain.is_healthy());
    assert!(matches!(drain.first_error(), Some(DrainError::Sink(error)) if *error == OnFire));
    assert_eq!(drain.stop(LONG).unwrap().errors, 1);
}

/// Pushes one more item for each it receives, like a producer that is faster than the sink.
struct Fountain(AsyncBuffer<u64>, Arc<Mutex<u64>>);

impl Sink<u64> for Fountain {
    type Error = OnFire;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), OnFire> {
        for item in batch.drain(..) {
            let _ = self.0.push(item);
        }
        Ok(())
    }

    fn tick(&mut self, _: Instant) -> Result<Progress<OnFire>, OnFire> {
        *self.1.lock().unwrap() += 1;
        Ok(Progress::Idle)
    }

    fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
        Ok(Progress::Idle)
    }
}

#[test]
fn the_sink_is_ticked_although_the_ring_is_never_empty() {
    let buffer = AsyncBuffer::new(4).unwrap();
    let ticks = Arc::new(Mutex::new(0));
    buffer.push(1).unwrap();
    let mut drain = spawn(&buffer, Fountain(buffer.clone(), Arc::clone(&ticks)));
    drain.flush(LONG).unwrap();
    while *ticks.lock().unwrap() < 3 {
        thread::yield_now();
    }
    drain.stop(LONG).unwrap();
}

/// A sink that blocks until the test releases it.
struct Stuck(mpsc::Receiver<()>);

impl Sink<u64> for Stuck {
    type Error = OnFire;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), OnFire> {
        let _ = self.0.recv();
        batch.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
        Ok(Progress::Idle)
    }
}

#[test]
fn a_sink_that_hangs_blocks_no_producer() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let (release, gate) = mpsc::channel();
    let settings = DrainSettings::default().drop_timeout(Duration::from_millis(10));
    let mut drain = Drain::spawn(buffer.clone(), Stuck(gate), settings).unwrap();
    let mut dropped = 0;
    for item in 0..1_000 {
        dropped += u64::from(buffer.push(item).is_err());
    }
    assert!(dropped >= 1_000 - 2 * 8, "at most one batch was taken out");
    assert_eq!(buffer.stats().dropped, dropped);
    let short = Duration::from_millis(5);
    assert!(matches!(drain.flush(short), Err(DrainError::TimedOut { .. })));
    assert!(matches!(drain.stop(short), Err(DrainError::TimedOut { .. })));
    drop(release);
    drain.stop(LONG).unwrap();
}

/// A sink whose flushes are work that waits for the test, and may fail or panic.
#[derive(Clone, Default)]
struct Slow {
    log: Arc<Mutex<SlowLog>>,
    changed: Arc<Condvar>,
    due: bool,
}

#[derive(Default)]
struct SlowLog {
    received: Vec<u64>,
    /// How many of them were handed to work, and how many it has published.
    handed: usize,
    published: usize,
    under_way: usize,
    /// How many pieces of work may end, and how the next ones end.
    may_end: usize,
    endings: Vec<Ending>,
    intake: Option<BufferStats>,
}

#[derive(Clone, Copy)]
enum Ending {
    Fails,
    Panics,
}

impl Slow {
    fn until(&self, is_reached: impl Fn(&mut SlowLog) -> bool) -> MutexGuard<'_, SlowLog> {
        let waited =
            self.changed.wait_timeout_while(self.log.lock().unwrap(), LONG, |log| !is_reached(log));
        let (log, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "not reached in {LONG:?}");
        log
    }

    fn let_end(&self, count: usize) {
        self.log.lock().unwrap().may_end += count;
        self.changed.notify_all();
    }
}

impl Sink<u64> for Slow {
    type Error = OnFire;
    type Stats = usize;

    fn stats(&self) -> usize {
        self.log.lock().unwrap().published
    }

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), OnFire> {
        self.log.lock().unwrap().received.append(batch);
        self.changed.notify_all();
        Ok(())
    }

    fn observe(&mut self, intake: &BufferStats) {
        self.log.lock().unwrap().intake = Some(intake.clone());
    }

    fn tick(&mut self, _: Instant) -> Result<Progress<OnFire>, OnFire> {
        if self.due { self.flush() } else { Ok(Progress::Idle) }
    }

    fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
        let mut log = self.log.lock().unwrap();
        assert_eq!(log.under_way, 0, "one piece of work at a time");
        if log.published == log.received.len() {
            return Ok(Progress::Idle);
        }
        log.under_way += 1;
        log.handed = log.received.len();
        let this = self.clone();
        Ok(Progress::Work(Box::new(move || {
            this.changed.notify_all();
            let mut log = this.until(|log| log.may_end > 0);
            log.may_end -= 1;
            log.under_way -= 1;
            match log.endings.pop() {
                None => log.published = log.handed,
                Some(Ending::Fails) => return Err(OnFire),
                Some(Ending::Panics) => {
                    drop(log);
                    panic!("fell over")
                }
            }
            Ok(())
        })))
    }
}

#[test]
fn items_are_received_while_the_sink_is_at_work() {
    let buffer = AsyncBuffer::new(4).unwrap();
    let sink = Slow { due: true, ..Slow::default() };
    let mut drain = spawn(&buffer, sink.clone());
    buffer.push(0).unwrap();
    drop(sink.until(|log| log.under_way == 1));
    // Many times the capacity, and none is dropped although the work is still under way.
    for item in 1..100_u64 {
        buffer.push(item).unwrap();
        drop(sink.until(|log| log.received.len() as u64 == item + 1));
    }
    sink.let_end(100);
    drain.stop(LONG).unwrap();
    let log = sink.log.lock().unwrap();
    assert!(log.received.iter().copied().eq(0..100));
    assert_eq!((log.published, drain.stats()), (100, 100));
    let intake = log.intake.as_ref().unwrap();
    assert_eq!((intake.pushed, intake.dropped), (100, 0));
}

#[test]
fn a_flush_covers_everything_pushed_before_it_and_not_only_the_work_under_way() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let sink = Slow { due: true, ..Slow::default() };
    let drain = spawn(&buffer, sink.clone());
    buffer.push(0).unwrap();
    drop(sink.until(|log| log.under_way == 1));
    buffer.push(1).unwrap();
    assert!(matches!(drain.flush(Duration::from_millis(5)), Err(DrainError::TimedOut { .. })));
    sink.let_end(2);
    drain.flush(LONG).unwrap();
    assert_eq!(sink.log.lock().unwrap().published, 2);
}

#[test]
fn failing_work_fails_only_its_own_flush() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let sink = Slow::default();
    let mut drain = spawn(&buffer, sink.clone());
    sink.log.lock().unwrap().endings.push(Ending::Fails);
    sink.let_end(3);
    buffer.push(0).unwrap();
    assert!(matches!(drain.flush(LONG), Err(DrainError::Sink(_))));
    drain.flush(LONG).unwrap();
    assert_eq!((sink.log.lock().unwrap().published, drain.errors()), (1, 1));
    buffer.push(1).unwrap();
    drain.stop(LONG).unwrap();
    assert_eq!(sink.log.lock().unwrap().published, 2);
}

#[test]
fn panicking_work_poisons_the_drain() {
    for due in [true, false] {
        let buffer = AsyncBuffer::new(8).unwrap();
        let sink = Slow { due, ..Slow::default() };
        let mut drain = spawn(&buffer, sink.clone());
        sink.log.lock().unwrap().endings.push(Ending::Panics);
        sink.let_end(1);
        buffer.push(0).unwrap();
        let is_panic =
            |error| matches!(error, DrainError::Panicked { message } if message == "fell over");
        assert!(is_panic(drain.flush(LONG).unwrap_err()));
        assert!(is_panic(drain.stop(LONG).unwrap_err()));
        assert!(buffer.is_closed());
    }
}

#[test]
fn work_that_hangs_blocks_no_producer() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let sink = Slow { due: true, ..Slow::default() };
    let settings = DrainSettings::default().drop_timeout(Duration::from_millis(10));
    let mut drain = Drain::spawn(buffer.clone(), sink.clone(), settings).unwrap();
    for item in 0..100 {
        buffer.push(item).unwrap();
        drop(sink.until(|log| log.received.len() as u64 == item + 1));
    }
    let short = Duration::from_millis(5);
    assert!(matches!(drain.flush(short), Err(DrainError::TimedOut { .. })));
    assert!(matches!(drain.stop(short), Err(DrainError::TimedOut { .. })));
    sink.let_end(100);
    drain.stop(LONG).unwrap();
    assert_eq!(sink.log.lock().unwrap().published, 100);
}

/// Regression: there was one result for all flushes, and a later failure replaced an earlier success whose
/// caller had not read it yet.
#[test]
fn a_flush_that_succeeded_does_not_report_the_failure_of_a_later_one() {
    let drain = spawn(&AsyncBuffer::new(8).unwrap(), Recorder::default());
    let results = || {
        let state = drain.control.lock();
        [1, 2, 3].map(|number| state.result_of(number).map(|result| result.is_ok()))
    };
    assert_eq!(results(), [None, None, None]);
    drain.control.complete_flushes(1, Ok(()));
    drain.control.complete_flushes(2, Err(DrainError::NoRoom { left: 1 }));
    assert_eq!(results(), [Some(true), Some(false), None]);
    drain.control.complete_flushes(3, Ok(()));
    assert_eq!(results(), [Some(true), Some(true), Some(true)]);
}

/// Regression: with a buffer closed by the user and a sink that fails, a flush reported "timed out".
#[test]
fn a_flush_reports_the_sinks_error_also_while_the_close_is_retried() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let mut drain = spawn(&buffer, Recorder::failing(u32::MAX));
    buffer.push(1).unwrap();
    buffer.close();
    while drain.errors() == 0 {
        thread::yield_now();
    }
    assert!(matches!(drain.flush(LONG), Err(DrainError::Sink(_))));
    assert!(drain.stop(Duration::from_millis(5)).is_err());
}
