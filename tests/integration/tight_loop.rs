//! A program that does nothing but log, with `?` on every call: it must come to its end, and every row
//! that found the ring full must be counted.
//!
//! Regression: a full ring was an error, and such a program ended at step 1 000.

use qstore::logger::{Logged, LoggerStats};
use qstore::parquet::{MetricsFile, WriterStats};
use qstore::{
    AsyncBuffer, AsyncMetricsLogger, AsyncMetricsWriter, BufferSettings, Health, Hooks,
    LoggerSettings, Loss, Record, Row, WriterSettings,
};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const RING: usize = 1_000;

/// Enough for any machine to fill the ring.
const ROWS_MAX: u64 = 20_000_000;

/// What the caller counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    accepted: u64,
    dropped: u64,
    first_dropped: Option<i64>,
}

impl Counted {
    /// Logs until rows were dropped, and then some more.
    fn log<E>(log: impl Fn(i64) -> Result<Logged, E>) -> Result<Self, E> {
        let mut counted = Self::default();
        while counted.dropped < 1_000 && counted.logged() < ROWS_MAX {
            for _ in 0..10_000 {
                let step = counted.logged() as i64;
                if log(step)?.is_accepted() {
                    counted.accepted += 1;
                } else {
                    counted.dropped += 1;
                    counted.first_dropped.get_or_insert(step);
                }
            }
        }
        Ok(counted)
    }

    fn logged(&self) -> u64 {
        self.accepted + self.dropped
    }
}

/// Health reports the drops with the first of them, and no error.
fn check_health<E: Error + 'static>(health: Health<E>, counted: &Counted) -> Result<(), E> {
    let dropped = health.losses.get(Loss::Dropped).expect("rows were dropped");
    assert_eq!((dropped.count, dropped.first), (counted.dropped, counted.first_dropped));
    assert_eq!(health.losses.iter().count(), 1, "{health:?}");
    health.check()
}

/// The audit in the file says the same, and the file holds what was accepted.
fn check_file(path: &Path, counted: &Counted) -> Result<(), Box<dyn Error>> {
    assert!(counted.dropped >= 1_000, "the ring was never full: {counted:?}");
    let file = MetricsFile::open(path)?;
    let audit = file.audit().ok_or("no audit")?;
    let segment = &audit.segments[0];
    assert!(audit.closed && segment.closed);
    assert_eq!((segment.accepted, segment.dropped), (counted.accepted, counted.dropped));
    assert_eq!((segment.written, segment.rejected, segment.evicted), (counted.accepted, 0, 0));
    assert_eq!(file.rows(), counted.accepted);
    Ok(())
}

#[test]
fn a_logger() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("metrics.parquet");
    let settings = LoggerSettings::default().buffer_size(RING);
    let mut logger = AsyncMetricsLogger::open_with(&path, settings, WriterSettings::default())?;
    let counted = Counted::log(|step| logger.log_step((0, step, 0.5)))?;
    check_health(logger.health(), &counted)?;
    let LoggerStats { buffer, writer, errors, .. } = logger.stop(LONG)?;
    assert_eq!((buffer.pushed, buffer.dropped), (counted.accepted, counted.dropped));
    assert_eq!((writer.rows_written, errors), (counted.accepted, 0));
    check_file(&path, &counted)
}

#[test]
fn a_writer() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("metrics.parquet");
    let settings = BufferSettings::default().maxsize(RING);
    let buffer = AsyncBuffer::with_hooks(settings, Hooks::default().label(Row::label))?;
    let mut writer = AsyncMetricsWriter::start(buffer, &path, WriterSettings::default())?;
    let counted = Counted::log(|step| writer.log(Row::from([("step", step)])))?;
    check_health(writer.health(), &counted)?;
    let WriterStats { rows_written, .. } = writer.stop(LONG)?;
    assert_eq!(rows_written, counted.accepted);
    assert_eq!(writer.buffer().stats().dropped, counted.dropped);
    check_file(&path, &counted)
}
