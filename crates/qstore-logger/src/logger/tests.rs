//! The logger with a sink that keeps rows, fails or blocks.

use super::*;
use qstore_buffer::{Progress, Round};
use qstore_schema::TrainingMetrics;
use std::sync::{Arc, Mutex};

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, thiserror::Error)]
#[error("no space left")]
struct NoSpace;

#[derive(Clone, Default)]
struct Memory {
    rows: Arc<Mutex<Vec<MetricsRow>>>,
    failures_left: Arc<Mutex<u32>>,
}

impl Sink<MetricsRow> for Memory {
    type Error = NoSpace;
    type Stats = usize;

    fn receive(&mut self, batch: &mut Vec<MetricsRow>, _: &mut Round<'_>) -> Result<(), NoSpace> {
        self.rows.lock().unwrap().append(batch);
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<NoSpace>, NoSpace> {
        let mut left = self.failures_left.lock().unwrap();
        *left = left.saturating_sub(1);
        if *left > 0 { Err(NoSpace) } else { Ok(Progress::Idle) }
    }

    fn stats(&self) -> usize {
        self.rows.lock().unwrap().len()
    }
}

fn logger(memory: &Memory) -> AsyncMetricsLogger<Memory> {
    AsyncMetricsLogger::with_sink(memory.clone(), LoggerSettings::default()).unwrap()
}

#[test]
fn steps_are_stamped_and_whole_rows_are_not() {
    let memory = Memory::default();
    let mut logger = logger(&memory);
    let before = logger.now() - 1.0;
    logger.log_step((0, 1, 0.5)).unwrap();
    logger.log_epoch(0, [("loss", 0.4)], Row::new()).unwrap();
    logger.log(MetricsRow::step(0, 2, 0.3)).unwrap();
    let stats = logger.stop(LONG).unwrap();
    assert_eq!((stats.writer, stats.buffer.pushed, stats.errors), (3, 3, 0));
    let rows = memory.rows.lock().unwrap();
    let stamped: Vec<_> = rows.iter().map(|row| row.metrics().timestamp >= before).collect();
    assert_eq!(stamped, [true, true, false]);
    assert_eq!(
        rows[2].metrics(),
        TrainingMetrics { epoch: 0, step: 2, train_loss: Some(0.3), ..TrainingMetrics::default() }
    );
}

#[test]
fn a_row_after_the_stop_is_refused_and_counted() {
    let mut logger = logger(&Memory::default());
    logger.stop(LONG).unwrap();
    assert!(matches!(logger.log_step((0, 1, 0.5)), Err(LogError::Stopped)));
    assert_eq!(logger.stats().buffer.refused, 1);
}

#[test]
fn a_background_error_is_in_the_health_and_in_the_summary_and_no_call_reports_it() {
    let memory = Memory::default();
    *memory.failures_left.lock().unwrap() = 2;
    let mut logger = logger(&memory);
    logger.log_step((0, 1, 0.5)).unwrap();
    assert!(logger.is_healthy());
    assert!(logger.flush(LONG).is_err());
    assert_eq!(logger.log_step((0, 2, 0.5)), Ok(Logged::Accepted));
    assert_eq!(logger.log_step((0, 3, 0.5)), Ok(Logged::Accepted));
    assert!(logger.health().first_error.is_some() && !logger.is_healthy());
    let summary = logger.stop(LONG).unwrap();
    assert_eq!(summary.first_error.as_deref(), Some("the background writer failed: no space left"));
    assert_eq!((summary.writer, summary.errors), (3, 1), "every row was taken");
}

#[test]
fn a_ring_without_room_is_refused() {
    let settings = LoggerSettings::default().buffer_size(0);
    let error = AsyncMetricsLogger::with_sink(Memory::default(), settings).unwrap_err();
    assert_eq!(error.to_string(), "buffer_size is 0; choose 1 or more (default 1000)");
}

#[test]
fn a_handle_logs_to_the_same_place_and_is_refused_after_the_stop() {
    let memory = Memory::default();
    let mut logger = logger(&memory);
    let handle = logger.handle();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let handle = handle.clone();
            scope.spawn(move || handle.log_step((0, 1, 0.5)).unwrap());
        }
    });
    assert_eq!(logger.stop(LONG).unwrap().writer, 2);
    assert!(memory.rows.lock().unwrap().iter().all(|row| row.metrics().timestamp > 0.0));
    assert!(matches!(handle.log_step((0, 2, 0.5)), Err(LogError::Stopped)));
    assert_eq!(logger.stats().buffer.refused, 1);
}

#[test]
fn lost_rows_are_labeled_by_their_steps_and_passed_to_the_hook() {
    let (gate, lost) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(Vec::new())));
    let (seen, held) = (Arc::clone(&lost), gate.lock().unwrap());
    let hooks = Hooks::default().on_drop(move |row: &MetricsRow, loss| {
        seen.lock().unwrap().push((row.metrics().step, loss));
    });
    let settings = LoggerSettings::default().buffer_size(4);
    let mut logger =
        AsyncMetricsLogger::with_hooks(Gated(Arc::clone(&gate)), settings, hooks).unwrap();
    let lost_steps: Vec<_> =
        (0..100).filter(|&step| logger.log_step((0, step, 0.5)) == Ok(Logged::Dropped)).collect();
    assert!(lost_steps.len() >= 100 - 2 * 4, "at most one ring was taken out");
    drop(held);
    let stats = logger.stop(LONG).unwrap().buffer;
    assert_eq!(
        (stats.lost_first, stats.lost_last),
        (lost_steps.first().copied(), lost_steps.last().copied())
    );
    let lost_steps: Vec<_> =
        lost_steps.into_iter().map(|step| (step, qstore_buffer::Loss::Dropped)).collect();
    assert_eq!((*lost.lock().unwrap()).as_slice(), lost_steps);
}

/// Takes nothing while the test holds the lock.
struct Gated(Arc<Mutex<()>>);

impl Sink<MetricsRow> for Gated {
    type Error = NoSpace;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<MetricsRow>, _: &mut Round<'_>) -> Result<(), NoSpace> {
        drop(self.0.lock().unwrap());
        batch.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<NoSpace>, NoSpace> {
        Ok(Progress::Idle)
    }
}
