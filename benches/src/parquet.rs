//! What does a file that is readable all the time cost, beside one that is written once at the end?
//!
//! Throughput and size stand beside the `parquet` crate alone, which writes in one pass and has no
//! file until it is done. A flush stands beside writing everything anew, which is how one gets a
//! readable file without this crate, and beside the least that any durable publication costs.

use crate::round_robin::{Contender, race};
use crate::row::{Measure, Row};
use crate::{Result, Run, durable, raw_parquet, steps};
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use qstore_buffer::{AsyncBuffer, PushError, Sink};
use qstore_parquet::{AsyncMetricsWriter, Compression, MetricsLog, WriterSettings};
use qstore_schema::TrainingMetrics;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "parquet";
pub(crate) const QUESTION: &str =
    "what a file that is always readable costs, beside one written once at the end";

/// Rows of a whole run.
const RUN: usize = 100_000;

/// Rows of a flush.
const FLUSH: usize = 100;

/// Flushes into a file before it is made anew, so that it keeps its size.
const FLUSHES: usize = 10;

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let scratch = run.scratch;
    let steps = steps::random(RUN + FLUSHES * FLUSH);
    let mut rows = race(NAME, 7, whole_runs(scratch, &steps[..RUN])?)?;
    rows.extend(race(NAME, 30, flushes(scratch, &steps))?);
    Ok(rows)
}

fn whole_runs<'a>(scratch: &'a Path, steps: &'a [TrainingMetrics]) -> Result<Vec<Contender<'a>>> {
    let ours = "100 000 random rows from the first push to the closed file, synced with its \
                directory; one thread pushes (maxsize 10 000, waits 0.1 ms when full), one writes \
                and publishes at most every 50 ms";
    let raw = "the same rows, ready in memory, in one pass by one thread; same encodings and row \
               groups; file synced at the end and unreadable before";
    let size = "the closed file";
    let (gzip, zstd) = (Compression::gzip(), Compression::zstd());
    let (raw_gzip, raw_zstd) =
        (Codec::GZIP(GzipLevel::try_new(6)?), Codec::ZSTD(ZstdLevel::try_new(1)?));
    let ingest_gzip = Measure::ours(
        "ingest_rows_per_s_gzip",
        "rows/s",
        &["raw_writer_rows_per_s_gzip"],
        format!("{ours}; gzip 6"),
    );
    let bytes = Measure::ours(
        "bytes_per_100k_rows_gzip",
        "bytes",
        &["raw_writer_bytes_per_100k_rows_gzip"],
        format!("{size}; gzip 6"),
    );
    let ingest_zstd = Measure::ours(
        "ingest_rows_per_s_zstd",
        "rows/s",
        &["raw_writer_rows_per_s_zstd"],
        format!("{ours}; zstd 1"),
    );
    let raw_rows_gzip =
        Measure::limit("raw_writer_rows_per_s_gzip", "rows/s", format!("{raw}; gzip 6"));
    let raw_bytes =
        Measure::limit("raw_writer_bytes_per_100k_rows_gzip", "bytes", format!("{size}; gzip 6"));
    let raw_rows_zstd =
        Measure::limit("raw_writer_rows_per_s_zstd", "rows/s", format!("{raw}; zstd 1"));
    Ok(vec![
        Contender::several([ingest_gzip, bytes], move || ingest(scratch, steps, gzip)),
        Contender::several([raw_rows_gzip, raw_bytes], move || one_pass(scratch, steps, raw_gzip)),
        Contender::new(ingest_zstd, move || Ok(ingest(scratch, steps, zstd)?[0])),
        Contender::new(raw_rows_zstd, move || Ok(one_pass(scratch, steps, raw_zstd)?[0])),
    ])
}

/// Rows per second and bytes, through a buffer and its writer.
fn ingest(scratch: &Path, steps: &[TrainingMetrics], codec: Compression) -> Result<[f64; 2]> {
    let path = scratch.join("ingested.parquet");
    let buffer = AsyncBuffer::new(AsyncBuffer::<TrainingMetrics>::DEFAULT_MAXSIZE)?;
    let settings = WriterSettings::default().compression(codec);
    let mut writer = AsyncMetricsWriter::start(buffer.clone(), &path, settings)?;
    let steps = steps.to_vec();
    let started = Instant::now();
    for mut step in steps {
        loop {
            match buffer.push(step) {
                Ok(()) => break,
                Err(PushError::Full(back)) => step = back,
                Err(error) => return Err(error.to_string().into()),
            }
            thread::sleep(Duration::from_micros(100));
        }
    }
    let summary = writer.stop(Duration::from_mins(1))?;
    let took = started.elapsed();
    if summary.rows_written != RUN as u64 {
        return Err(format!("{} of {RUN} rows were written", summary.rows_written).into());
    }
    figures(&path, took)
}

/// Rows per second and bytes, by the `parquet` crate alone.
fn one_pass(scratch: &Path, steps: &[TrainingMetrics], codec: Codec) -> Result<[f64; 2]> {
    let path = scratch.join("raw.parquet");
    let started = Instant::now();
    raw_parquet::write(&path, steps, codec)?.sync_all()?;
    figures(&path, started.elapsed())
}

fn figures(path: &Path, took: Duration) -> Result<[f64; 2]> {
    let bytes = fs::metadata(path)?.len();
    remove(path)?;
    Ok([RUN as f64 / took.as_secs_f64(), bytes as f64])
}

fn flushes<'a>(scratch: &'a Path, steps: &'a [TrainingMetrics]) -> Vec<Contender<'a>> {
    let ours = "100 rows encoded (gzip 6), merged where due, published: synced, renamed, directory \
                synced; one thread; ten flushes, then a new file of that size";
    let rewrite = "all rows encoded anew in one pass (gzip 6), then the same syncs and rename; rows \
                   kept in memory; one thread";
    let plain = "12 kB, about 100 rows with a footer, as a new file: synced, renamed, directory \
                 synced";
    let at_1e3 = Measure::ours(
        "flush_ms_at_1e3",
        "ms",
        &["rewrite_everything_ms_at_1e3", "durable_replace_ms_12kb"],
        ours,
    );
    let at_1e5 = Measure::ours(
        "flush_ms_at_1e5",
        "ms",
        &["rewrite_everything_ms_at_1e5", "durable_replace_ms_12kb"],
        ours,
    );
    let rewrite_at_1e3 = Measure::peer("rewrite_everything_ms_at_1e3", "ms", rewrite);
    let rewrite_at_1e5 = Measure::peer("rewrite_everything_ms_at_1e5", "ms", rewrite);
    let limit = Measure::limit("durable_replace_ms_12kb", "ms", plain);
    vec![
        flushing(at_1e3, scratch.join("flush_1e3.parquet"), 1_000, steps),
        flushing(at_1e5, scratch.join("flush_1e5.parquet"), RUN, steps),
        rewriting(rewrite_at_1e3, scratch.join("rewrite_1e3.parquet"), 1_000, steps),
        rewriting(rewrite_at_1e5, scratch.join("rewrite_1e5.parquet"), RUN, steps),
        Contender::new(limit, || {
            let path = scratch.join("plain");
            let started = Instant::now();
            durable::replace(&path, |path| Ok(fs::write(path, [1; 12_000])?))?;
            Ok(milliseconds(started))
        }),
    ]
}

/// Flushes of ours into a file of about that many rows.
fn flushing(
    measure: Measure,
    path: PathBuf,
    size: usize,
    steps: &[TrainingMetrics],
) -> Contender<'_> {
    let mut log: Option<MetricsLog<TrainingMetrics>> = None;
    let mut rows = 0;
    Contender::new(measure, move || {
        if log.is_none() || rows == size + FLUSHES * FLUSH {
            log = None; // releases the file
            remove(&path)?;
            log = Some(prepare(&path, &steps[..size])?);
            rows = size;
        }
        let log = log.as_mut().ok_or("a file was just made")?;
        let started = Instant::now();
        for step in &steps[rows..rows + FLUSH] {
            log.append(step, started);
        }
        log.flush()?;
        let took = milliseconds(started);
        rows += FLUSH;
        Ok(took)
    })
}

fn prepare(path: &Path, steps: &[TrainingMetrics]) -> Result<MetricsLog<TrainingMetrics>> {
    let mut log = MetricsLog::open(path, WriterSettings::default())?;
    for step in steps {
        if Sink::<TrainingMetrics>::capacity(&log) == 0 {
            log.flush()?;
        }
        log.append(step, Instant::now());
    }
    log.flush()?;
    Ok(log)
}

/// What one does without this crate: keep all rows and write them all, every time.
fn rewriting(
    measure: Measure,
    path: PathBuf,
    size: usize,
    steps: &[TrainingMetrics],
) -> Contender<'_> {
    let mut rows = size;
    Contender::new(measure, move || {
        if rows == size + FLUSHES * FLUSH {
            rows = size;
        }
        rows += FLUSH;
        let codec = Codec::GZIP(GzipLevel::try_new(6)?);
        let started = Instant::now();
        durable::replace(&path, |path| raw_parquet::write(path, &steps[..rows], codec).map(drop))?;
        Ok(milliseconds(started))
    })
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result {
    if path.exists() { Ok(fs::remove_file(path)?) } else { Ok(()) }
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}
