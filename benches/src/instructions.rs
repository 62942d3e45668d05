//! How many instructions does one call take, counted and not timed?
//!
//! A machine's noise does not change the count, so that a later run can be held against it closely.
//! Each candidate runs in a process of its own under `valgrind --tool=callgrind`, which counts
//! only while the function `callgrind_counts_here` is on the stack of its thread: the calls
//! themselves, not what background threads do. Twice the calls, once the calls, and the difference:
//! what comes once does not count. Without valgrind there are no rows.

use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::rivals::queue::{Crossbeam, MAXSIZE, Queue, Row200, Std};
use crate::rivals::raw_parquet;
use crate::rivals::step_loggers::{Csv, Rival};
use crate::workload::steps;
use crate::{Result, Run, logger};
use crossbeam_queue::ArrayQueue;
use parquet::basic::{Compression as Codec, GzipLevel};
use qstore_buffer::{AsyncBuffer, Progress, Round, Sink};
use qstore_logger::{AsyncMetricsLogger, LoggerSettings, MetricsRow};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::TrainingMetrics;
use std::convert::Infallible;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime};

pub(crate) const NAME: &str = "instructions";
pub(crate) const QUESTION: &str = "how many instructions one call takes, counted and not timed";

/// The word that makes a child one candidate.
pub(crate) const CHILD: &str = "count";

/// Calls that one candidate makes: fewer than any queue has room for, as nobody takes out.
const CALLS: usize = 2_000;
const _: () = assert!(2 * CALLS <= MAXSIZE);

/// Rows that are written for the count of one of them.
const ROWS: usize = 10_000;

/// Does something `count` times, having prepared it in the directory.
type Candidate = (&'static str, fn(&Path, usize) -> Result);

const CANDIDATES: [Candidate; 9] = [
    ("push_row200", |_, count| push::<AsyncBuffer<Row200>>(count)),
    ("arrayqueue_push_row200", |_, count| push::<ArrayQueue<Row200>>(count)),
    ("crossbeam_channel_push_row200", |_, count| push::<Crossbeam>(count)),
    ("std_sync_channel_push_row200", |_, count| push::<Std>(count)),
    ("log_step", |_, count| log_step(count)),
    ("clock_now", |_, count| {
        callgrind_counts_here(count, |_| {
            black_box(SystemTime::now());
            Ok(())
        })
    }),
    ("csv_write_step", csv_write),
    ("write_row_gzip", write_rows),
    ("raw_writer_row_gzip", write_rows_raw),
];

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        run.skip("the instruction counts", "there is no valgrind");
        return Ok(Vec::new());
    }
    let calls = format!("mean of {CALLS} calls of one thread, counted by callgrind");
    let rows =
        "gzip 6; all of encoding, compression and writing, on one thread; mean of 10 000 rows";
    let ours = |name, rivals: &[&str], note: &str| Measure::ours(full(name), UNIT, rivals, note);
    let measures = [
        ours(
            "push_row200",
            &[
                "instructions_arrayqueue_push_row200",
                "instructions_crossbeam_channel_push_row200",
                "instructions_std_sync_channel_push_row200",
            ],
            &format!("{calls}; nobody takes out"),
        ),
        Measure::limit(full("arrayqueue_push_row200"), UNIT, format!("{calls}; the bare ring")),
        Measure::peer(full("crossbeam_channel_push_row200"), UNIT, calls.clone()),
        Measure::peer(full("std_sync_channel_push_row200"), UNIT, calls.clone()),
        ours(
            "log_step",
            &["instructions_clock_now", "instructions_csv_write_step"],
            &format!("{calls}; 18 fields and 2 extras, the row built from values"),
        ),
        Measure::limit(full("clock_now"), UNIT, format!("{calls}; SystemTime::now")),
        Measure::peer(
            full("csv_write_step"),
            UNIT,
            format!(
                "{calls}; the same values as a line, one write(2), what the system does left out"
            ),
        ),
        ours(
            "write_row_gzip",
            &["instructions_raw_writer_row_gzip"],
            &format!("{rows}, appended and sealed by closing the file"),
        ),
        Measure::limit(
            full("raw_writer_row_gzip"),
            UNIT,
            format!("{rows}, by the `parquet` crate in one pass"),
        ),
    ];
    let mut counts = Vec::with_capacity(measures.len());
    for ((name, _), measure) in CANDIDATES.iter().zip(measures) {
        let calls = if name.contains("_row_") { ROWS } else { CALLS };
        let once = count(run.scratch, name, calls)?;
        let twice = count(run.scratch, name, 2 * calls)?;
        let each = (twice as f64 - once as f64) / calls as f64;
        counts.push(Row::new(NAME, measure, Summary::counted(each, calls)));
    }
    Ok(counts)
}

const UNIT: &str = "instructions";

fn full(name: &str) -> String {
    format!("instructions_{name}")
}

/// Instructions of `calls` calls.
fn count(scratch: &Path, name: &str, calls: usize) -> Result<u64> {
    let dir = tempfile::tempdir_in(scratch)?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args([
            "--tool=callgrind",
            "--toggle-collect=*callgrind_counts_here*",
            "--callgrind-out-file=/dev/null",
        ])
        .arg(std::env::current_exe()?)
        .args([&format!("--{}", this_program::OPTION), CHILD, name, &calls.to_string()])
        .arg(dir.path());
    let output = valgrind.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("{name} under valgrind ended with {}: {last}", output.status).into());
    }
    collected(&said).ok_or_else(|| format!("valgrind told no count of {name}: {said}").into())
}

/// The number in callgrind's line `==123== Collected : 456`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

/// One candidate, in the process that is counted.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [name, calls, dir] = arguments else { return Err("a name, a number, a directory".into()) };
    let candidate = CANDIDATES.iter().find(|(known, _)| known == name);
    let (_, candidate) = candidate.ok_or_else(|| format!("there is no candidate `{name}`"))?;
    candidate(Path::new(dir), calls.parse()?)?;
    Ok(String::new())
}

/// Callgrind counts while this is on the stack; its name is all that it is known by.
#[inline(never)]
fn callgrind_counts_here(count: usize, mut call: impl FnMut(usize) -> Result) -> Result {
    for number in 0..count {
        call(number)?;
    }
    Ok(())
}

fn push<Q: Queue>(count: usize) -> Result {
    let queue = Q::open();
    let mut row: Row200 = [7; 25];
    callgrind_counts_here(count, |number| {
        row[0] = number as u64;
        if queue.push(black_box(row)) { Ok(()) } else { Err("there was no room".into()) }
    })
}

fn log_step(count: usize) -> Result {
    let steps = steps::random(logger::KNOWN_STEPS);
    // The ring is never half full: no call wakes the thread that empties it.
    let settings = LoggerSettings::default().buffer_size(4 * count);
    let logger = AsyncMetricsLogger::with_sink(Discard, settings)?;
    callgrind_counts_here(count, |number| {
        logger.log_step(logger::row(&steps[number % steps.len()], number))?;
        Ok(())
    })
}

fn csv_write(dir: &Path, count: usize) -> Result {
    let steps = steps::random(logger::KNOWN_STEPS);
    let mut csv = Csv::create(&dir.join("counted.csv"))?;
    callgrind_counts_here(count, |number| {
        let known = &steps[number % steps.len()];
        csv.log(known, number as i64, &logger::extras(known))
    })
}

fn write_rows(dir: &Path, count: usize) -> Result {
    let steps = steps::random(count);
    let settings = WriterSettings::default();
    let mut log = MetricsLog::<TrainingMetrics>::open(dir.join("ours.parquet"), settings)?;
    callgrind_counts_here(1, |_| {
        let now = Instant::now();
        for step in &steps {
            log.append(step, now);
        }
        Ok(log.close()?)
    })
}

fn write_rows_raw(dir: &Path, count: usize) -> Result {
    let steps = steps::random(count);
    let codec = Codec::GZIP(GzipLevel::try_new(6)?);
    callgrind_counts_here(1, |_| {
        Ok(raw_parquet::write(&dir.join("raw.parquet"), &steps, codec)?.sync_all()?)
    })?;
    Ok(fs::remove_file(dir.join("raw.parquet"))?)
}

/// A sink that keeps nothing.
struct Discard;

impl Sink<MetricsRow> for Discard {
    type Error = Infallible;
    type Stats = ();

    fn receive(
        &mut self,
        batch: &mut Vec<MetricsRow>,
        _: &mut Round<'_>,
    ) -> Result<(), Infallible> {
        batch.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        Ok(Progress::Idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("valgrind: failed"), None);
    }

    #[test]
    fn every_candidate_does_its_work() {
        let dir = tempfile::tempdir().unwrap();
        for (name, candidate) in CANDIDATES {
            candidate(dir.path(), 100).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(fs::read(dir.path().join("counted.csv")).unwrap().ends_with(b"\n"));
    }
}
