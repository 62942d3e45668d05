//! What does a run cost beside its time: bytes written, disk, memory, the processor's time?
//!
//! Each figure is of one whole run; all but opening come only with `--long`, since they take minutes.

use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::parquet::flushes::prepare;
use crate::parquet::{NAME, milliseconds, processor_share};
use crate::workload::steps;
use crate::{Result, Run};
use qstore_buffer::{AsyncBuffer, Sink};
use qstore_parquet::{AsyncMetricsWriter, MetricsLog, WriterSettings};
use qstore_schema::TrainingMetrics;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Rows of a run whose writing is counted.
const RUN: usize = 1_000_000;

/// Rows of a run in which sixteen sealed groups become one.
const JOINED: usize = 1_200_000;

/// The word that makes a child write one file and tell how much memory it took.
pub(crate) const CHILD: &str = "grow";

pub(crate) fn run(run: &Run<'_>, steps: &[TrainingMetrics]) -> Result<Vec<Row>> {
    let scratch = run.scratch;
    let mut rows = vec![opening(scratch, steps)?];
    if !run.long {
        return Ok(rows);
    }
    let note = "bytes written, copies and footers included, ÷ bytes of the closed file; a million \
                random rows, gzip 6; places are used again after 80 ms, since the flushes follow \
                each other 25 times as fast as the pauses of a real run allow";
    for (name, flush) in [("write_amplification_100", 100), ("write_amplification_1000", 1_000)] {
        let Written { amplification, disk_peak } = amplification(scratch, steps, RUN, flush)?;
        rows.push(one(Measure::ours(name, "x", &[], note), amplification));
        if flush == 100 {
            let note = "the most both files occupied at once ÷ bytes of the closed file; same run \
                        as write_amplification_100";
            rows.push(one(Measure::ours("disk_peak_over_live", "x", &[], note), disk_peak));
        }
    }
    let note = "the same for 1.2 million rows, of which 1 048 576 were sealed as sixteen groups and became \
                one by copying pages, to both inodes: what is more than in a million rows is the cost of that";
    let measure =
        Measure::ours("write_amplification_1000_joined", "x", &["write_amplification_1000"], note);
    rows.push(one(measure, amplification(scratch, steps, JOINED, 1_000)?.amplification));
    let note = "the most memory a process of its own had while it wrote a file of that many rows, \
                the rows it was given included";
    for (name, count) in [("peak_rss_mb_1e6", "1000000"), ("peak_rss_mb_1e7", "10000000")] {
        let path = scratch.join("grown.parquet");
        let peak = this_program::ask(CHILD, [OsStr::new(count), path.as_os_str()])?.parse()?;
        rows.push(one(Measure::ours(name, "MB", &[], note), peak));
        fs::remove_file(path)?;
    }
    rows.push(processor_share::row(scratch)?);
    let note =
        "flush_interval = 1 and 100 000 rows/s for 5 s, 100 each millisecond; ring of 10 000";
    let [dropped, flushes] = group_commit(scratch, steps)?;
    rows.push(one(Measure::ours("flush_interval_1_dropped", "rows", &[], note), dropped));
    rows.push(one(Measure::ours("flush_interval_1_flushes_per_s", "1/s", &[], note), flushes));
    Ok(rows)
}

/// Rows dropped and flushes a second when every single row asks for a flush.
fn group_commit(scratch: &Path, steps: &[TrainingMetrics]) -> Result<[f64; 2]> {
    const MILLISECONDS: u64 = 5_000;
    let path = scratch.join("group_commit.parquet");
    let buffer = AsyncBuffer::new(AsyncBuffer::<TrainingMetrics>::DEFAULT_MAXSIZE)?;
    let settings = WriterSettings::default().flush_interval(1);
    let mut writer = AsyncMetricsWriter::start(buffer.clone(), &path, settings)?;
    let started = Instant::now();
    let mut next = steps.iter().cycle();
    for number in 0..MILLISECONDS {
        for step in next.by_ref().take(100) {
            // A full ring counts what it hands back.
            let _ = buffer.push(step.clone());
        }
        let due = started + Duration::from_millis(number + 1);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let took = started.elapsed().as_secs_f64();
    let summary = writer.stop(Duration::from_mins(1))?;
    fs::remove_file(path)?;
    Ok([buffer.stats().dropped as f64, summary.flushes as f64 / took])
}

fn one(measure: Measure, figure: f64) -> Row {
    Row::new(NAME, measure, Summary::once(figure))
}

fn opening(scratch: &Path, steps: &[TrainingMetrics]) -> Result<Row> {
    let path = scratch.join("opened.parquet");
    prepare(&path, RUN, steps, WriterSettings::default())?.close()?;
    let mut took = Vec::new();
    for _ in 0..10 {
        let started = Instant::now();
        let log = MetricsLog::<TrainingMetrics>::open(&path, WriterSettings::default())?;
        took.push(milliseconds(started));
        drop(log);
    }
    fs::remove_file(path)?;
    let note = "a closed file of a million rows, opened to be continued";
    let summary = Summary::of(took).ok_or("it was opened")?;
    Ok(Row::new(NAME, Measure::ours("open_ms_1e6", "ms", &[], note), summary))
}

struct Written {
    amplification: f64,
    disk_peak: f64,
}

fn amplification(
    scratch: &Path,
    steps: &[TrainingMetrics],
    rows: usize,
    flush: usize,
) -> Result<Written> {
    let dir = tempfile::tempdir_in(scratch)?;
    let path = dir.path().join("metrics.parquet");
    let settings = WriterSettings::default().reuse_after(Duration::from_millis(80));
    let mut log = MetricsLog::open(&path, settings)?;
    let mut next = steps.iter().cycle().take(rows).peekable();
    let mut peak = 0;
    while next.peek().is_some() {
        let now = Instant::now();
        for step in next.by_ref().take(flush) {
            log.append(step, now);
        }
        log.flush()?;
        peak = peak.max(occupied(dir.path())?);
    }
    log.close()?;
    let bytes = fs::metadata(&path)?.len() as f64;
    let written = Sink::<TrainingMetrics>::stats(&log).bytes_written;
    Ok(Written { amplification: written as f64 / bytes, disk_peak: peak as f64 / bytes })
}

/// Bytes that the files in a directory occupy.
fn occupied(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        bytes += entry?.metadata()?.blocks() * 512;
    }
    Ok(bytes)
}

/// Writes the given number of rows in this process and returns the most memory it had, in megabytes.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [rows, path] = arguments else { return Err("rows and a path".into()) };
    Ok(grow(rows.parse()?, Path::new(path))?.to_string())
}

fn grow(rows: usize, path: &Path) -> Result<f64> {
    let steps = steps::random(10_000);
    prepare(path, rows, &steps, WriterSettings::default())?.close()?;
    peak_megabytes()
}

/// The most memory this process had.
pub(crate) fn peak_megabytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("the system does not tell its peak memory")?.trim().parse::<f64>()? / 1e3)
}
