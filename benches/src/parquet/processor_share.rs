//! How much of a processor does the background take while a run logs at an ordinary rate?
//!
//! A process of its own logs, so that its memory is that of a run and not what larger measurements have
//! left behind.

use crate::Result;
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::parquet::NAME;
use crate::workload::steps;
use qstore_buffer::AsyncBuffer;
use qstore_parquet::{AsyncMetricsWriter, WriterSettings};
use qstore_schema::TrainingMetrics;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The word that makes a child log for a while and tell what its background took.
pub(crate) const CHILD: &str = "trickle";

const RUNS: usize = 3;
const MILLISECONDS: u64 = 20_000;

pub(crate) fn row(scratch: &Path) -> Result<Row> {
    let path = scratch.join("trickle.parquet");
    let mut shares = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        shares.push(this_program::ask(CHILD, [&path])?.parse()?);
        fs::remove_file(&path)?;
    }
    let note = "processor time of all background threads ÷ time, 1 000 rows/s for 20 s in steps of \
                1 ms, default settings, in a process of its own";
    let summary = Summary::of(shares).ok_or("it was run")?;
    Ok(Row::new(NAME, Measure::ours("cpu_share_1000_rows_per_s", "cores", &[], note), summary))
}

/// Logs into the file that is named.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [path] = arguments else { return Err("a path".into()) };
    let buffer = AsyncBuffer::new(AsyncBuffer::<TrainingMetrics>::DEFAULT_MAXSIZE)?;
    let steps = steps::random(MILLISECONDS as usize);
    let mut writer = AsyncMetricsWriter::start(buffer.clone(), path, WriterSettings::default())?;
    let (started, before) = (Instant::now(), background_seconds()?);
    for (step, number) in steps.into_iter().zip(1..) {
        buffer.push(step)?;
        let due = started + Duration::from_millis(number);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let (seconds, took) = (background_seconds()? - before, started.elapsed());
    writer.stop(Duration::from_mins(1))?;
    Ok((seconds / took.as_secs_f64()).to_string())
}

/// Seconds of processor time that the writer's threads have had.
pub(crate) fn background_seconds() -> Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        let name = fs::read_to_string(thread.join("comm"))?;
        if name.starts_with("qstore-metrics") {
            let text = fs::read_to_string(thread.join("schedstat"))?;
            let time = text.split_whitespace().next().ok_or("a thread has no times")?;
            nanoseconds += time.parse::<u64>()?;
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}
