//! What does a file that is readable all the time cost, beside one that is written once at the end?
//!
//! Throughput and size stand beside the `parquet` crate alone, which writes in one pass and has no
//! file until it is done. Flushes and whole runs are in files of their own.

pub(crate) mod flushes;
pub(crate) mod long_runs;
pub(crate) mod processor_share;
mod python_writers;
pub(crate) mod wide;

use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::rivals::raw_parquet;
use crate::workload::steps;
use crate::{Result, Run};
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use qstore_buffer::{AsyncBuffer, PushError};
use qstore_parquet::{AsyncMetricsWriter, Compression, WriterSettings};
use qstore_schema::TrainingMetrics;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "parquet";
pub(crate) const QUESTION: &str =
    "what a file that is always readable costs, beside one written once at the end";

/// Rows of a whole run.
const RUN: usize = 500_000;

/// Sizes are reported for this many rows.
const SIZED: usize = 100_000;

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let scratch = run.scratch;
    let steps = steps::random(RUN);
    let mut rows = race(NAME, 7, whole_runs(scratch, &steps)?)?;
    rows.extend(flushes::run(run, &steps)?);
    rows.extend(wide::run(run)?);
    rows.extend(long_runs::run(run, &steps)?);
    Ok(rows)
}

fn whole_runs<'a>(scratch: &'a Path, steps: &'a [TrainingMetrics]) -> Result<Vec<Contender<'a>>> {
    let ours = "500 000 random rows from the first push to the closed file, synced with its \
                directory; one thread pushes (maxsize 10 000, waits 0.1 ms when full), one writes \
                and publishes at most every 50 ms";
    let raw = "the same rows, ready in memory, in one pass by one thread; same encodings and row \
               groups; file synced at the end and unreadable before";
    let size = "the closed file";
    let (gzip, zstd) = (Compression::GZIP, Compression::ZSTD);
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
    let ingest_lz4 = Measure::ours(
        "ingest_rows_per_s_lz4",
        "rows/s",
        &["raw_writer_rows_per_s_lz4"],
        format!("{ours}; lz4_raw"),
    );
    let raw_rows_lz4 =
        Measure::limit("raw_writer_rows_per_s_lz4", "rows/s", format!("{raw}; lz4_raw"));
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
        Contender::new(ingest_lz4, move || Ok(ingest(scratch, steps, Compression::LZ4)?[0])),
        Contender::new(raw_rows_lz4, move || Ok(one_pass(scratch, steps, Codec::LZ4_RAW)?[0])),
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
    Ok([RUN as f64 / took.as_secs_f64(), bytes as f64 * SIZED as f64 / RUN as f64])
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result {
    if path.exists() { Ok(fs::remove_file(path)?) } else { Ok(()) }
}

pub(crate) fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}
