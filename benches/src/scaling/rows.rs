//! How does the cost of a flush of 100 rows grow with the rows in the file?

use super::{NAME, exponent};
use crate::harness::durable;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::parquet::flushes::prepare;
use crate::parquet::{milliseconds, remove};
use crate::rivals::raw_parquet;
use crate::workload::steps;
use crate::{Result, Run};
use parquet::basic::{Compression as Codec, GzipLevel};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::TrainingMetrics;
use std::path::Path;
use std::time::Instant;

/// Rows of a flush, and flushes of a turn.
const FLUSH: usize = 100;
const TURN: usize = 10;
const ROUNDS: usize = 7;

/// Files of more rows than this are not rewritten each time.
const REWRITTEN: usize = 100_000;

/// Random rows; larger files repeat them.
const KNOWN: usize = 1_000_000;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let sizes: &[usize] = if run.long {
        &[1_000, 10_000, 100_000, 1_000_000, 10_000_000]
    } else {
        &[1_000, 10_000, 100_000, 1_000_000]
    };
    let steps = steps::random(KNOWN);
    let mut rows = Vec::new();
    for &size in sizes {
        rows.extend(race(NAME, ROUNDS, contenders(run.scratch, &steps, size)?)?);
    }
    Ok(rows)
}

fn contenders<'a>(
    scratch: &Path,
    steps: &'a [TrainingMetrics],
    size: usize,
) -> Result<Vec<Contender<'a>>> {
    let name = |what: &str| format!("{what}_{}_rows", exponent(size));
    let x = size as f64;
    let note = "100 rows, gzip at its fastest level until a group is full, published and synced with its directory; median of ten; one thread";
    let copy = name("scaling_flush_copy_ms");
    let ours = Measure::ours(name("scaling_flush_ms"), "ms", &[&copy], note)
        .on_curve("flush", "q-store", x);
    let copies = Measure::peer(copy, "ms", format!("{note}; each version a copy, renamed"))
        .on_curve("flush", "copy and rename", x);
    let settings = WriterSettings::default();
    let mut contenders = vec![
        flushing(ours, &scratch.join("scaling-twin"), size, steps, settings.clone())?,
        flushing(
            copies,
            &scratch.join("scaling-copy"),
            size,
            steps,
            settings.publish_by_copy(true),
        )?,
    ];
    if size <= REWRITTEN {
        let measure = Measure::peer(
            name("scaling_rewrite_ms"),
            "ms",
            "all rows encoded again (gzip 6), synced, renamed, directory synced; rows kept in memory",
        )
        .on_curve("flush", "rewrite everything", x);
        let path = scratch.join("scaling-rewrite");
        let codec = Codec::GZIP(GzipLevel::try_new(6)?);
        contenders.push(Contender::new(measure, move || {
            let started = Instant::now();
            let rows = &steps[..size];
            durable::replace(&path, |path| raw_parquet::write(path, rows, codec).map(drop))?;
            Ok(milliseconds(started))
        }));
    }
    Ok(contenders)
}

fn flushing<'a>(
    measure: Measure,
    path: &Path,
    size: usize,
    steps: &'a [TrainingMetrics],
    settings: WriterSettings,
) -> Result<Contender<'a>> {
    remove(path)?;
    let mut log: MetricsLog<TrainingMetrics> = prepare(path, size, steps, settings)?;
    let mut next = steps.iter().cycle();
    Ok(Contender::new(measure, move || {
        let mut took = Vec::with_capacity(TURN);
        for _ in 0..TURN {
            let started = Instant::now();
            for step in next.by_ref().take(FLUSH) {
                log.append(step, started);
            }
            log.flush()?;
            took.push(milliseconds(started));
        }
        Ok(Summary::of(took).ok_or("there were flushes")?.median)
    }))
}
