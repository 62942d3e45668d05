//! The logger on a sink that remembers, fails or stands still.

use super::*;
use qstore_buffer::Progress;
use qstore_schema::TrainingMetrics;
use std::sync::{Arc, Mutex};
use std::time::Instant;

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

    fn receive(&mut self, batch: &mut Vec<MetricsRow>, _: Instant) -> Result<(), NoSpace> {
        self.rows.lock().unwrap().append(batch);
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<NoSpace>, NoSpace> {
        let mut left = self.failures_left.lock().unwrap();
        *left = left.saturating_sub(1);
        if *left > 0 { Err(NoSpace) } else { Ok(Progress::Idle) }
    }

    fn close(&mut self) -> Result<Progress<NoSpace>, NoSpace> {
        self.flush()
    }

    fn stats(&self) -> usize {
        self.rows.lock().unwrap().len()
    }
}

fn logger(memory: &Memory) -> AsyncMetricsLogger<Memory> {
    AsyncMetricsLogger::with_sink(memory.clone(), &LoggerSettings::default()).unwrap()
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
    let stamped: Vec<_> = rows.iter().map(|row| row.metrics.timestamp >= before).collect();
    assert_eq!(stamped, [true, true, false]);
    assert_eq!(
        rows[2].metrics,
        TrainingMetrics { epoch: 0, step: 2, train_loss: 0.3, ..TrainingMetrics::default() }
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
fn the_next_call_tells_the_first_background_error_once() {
    let memory = Memory::default();
    *memory.failures_left.lock().unwrap() = 2;
    let mut logger = logger(&memory);
    logger.log_step((0, 1, 0.5)).unwrap();
    assert!(logger.flush(LONG).is_err());
    assert!(matches!(logger.log_step((0, 2, 0.5)), Err(LogError::Background(_))));
    logger.log_step((0, 3, 0.5)).unwrap();
    assert!(logger.health().is_err());
    let summary = logger.stop(LONG).unwrap();
    assert_eq!(summary.first_error.as_deref(), Some("the background writer failed: no space left"));
    assert_eq!(summary.writer, 3, "the row that brought the news was taken, too");
}

#[test]
fn a_ring_without_room_is_refused() {
    let settings = LoggerSettings::default().buffer_size(0);
    let error = AsyncMetricsLogger::with_sink(Memory::default(), &settings).unwrap_err();
    assert!(error.to_string().starts_with("buffer_size: maxsize is 0"), "{error}");
}
