//! The drain with a sink whose flushes are work for the companion thread.

use super::*;

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
