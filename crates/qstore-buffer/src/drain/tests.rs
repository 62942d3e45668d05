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
mod work;

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
