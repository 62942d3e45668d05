//! What do a thousand names cost, and ten thousand?
//!
//! Statistics of every layer are a column each. Dense rows set all of them; a sparse row sets a few. Parquet
//! wants an entry for every column of every row group, so the least that a flush writes is a footer with one
//! such entry for each column. With `--long` a file has a thousand flushes.

use crate::harness::durable;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::parquet::processor_share::background_seconds;
use crate::parquet::{NAME, milliseconds, remove};
use crate::{Result, Run};
use qstore_buffer::AsyncBuffer;
use qstore_logger::MetricsRow;
use qstore_parquet::{AsyncMetricsWriter, MetricsLog, WriterSettings};
use qstore_schema::{Name, TrainingMetrics};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The words that make a child do one of these.
pub(crate) const GROW: &str = "grow-wide";
pub(crate) const TRICKLE: &str = "trickle-sparse";

/// Rows of a flush.
const FLUSH: usize = 100;

/// Columns of the widest table, and of those how many a sparse row sets.
const WIDEST: usize = 10_000;
const SET: usize = 20;

/// Flushes of a file that are made before sparse ones are measured.
const SPARSE_BEFORE: usize = 100;

/// Flushes of the process whose memory is measured.
const GROWN: usize = 100;

const SECONDS: u64 = 20;
const ROWS_PER_S: u64 = 100;

const ROUNDS: usize = 7;

/// Writes the rows of one flush as a new file and prints the milliseconds.
const SCRIPT: &str = r#"
import os, sys, time
import numpy, pyarrow, pyarrow.parquet
columns, path = int(sys.argv[1]), sys.argv[2]
random = numpy.random.default_rng(5)
table = pyarrow.table({f"layer_{n}/grad_norm": random.random(100) for n in range(columns + 18)})
def write():
    started = time.perf_counter()
    pyarrow.parquet.write_table(table, path)
    file = os.open(path, os.O_RDWR)
    os.fsync(file)
    os.close(file)
    return (time.perf_counter() - started) * 1e3
write()
print(write())
os.remove(path)
"#;

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let mut rows = names()?;
    for columns in [1_000, WIDEST] {
        rows.extend(dense(run, columns)?);
    }
    rows.extend(sparse(run.scratch)?);
    let note = "the most memory a process of its own had: 100 flushes of 100 rows with 10 018 numbers \
                each, the rows of one flush included (8 MB as plain numbers, 34 MB as rows)";
    let path = run.scratch.join("wide-grown.parquet");
    let peak = this_program::ask(GROW, [path.as_os_str()])?.parse()?;
    fs::remove_file(&path)?;
    let measure = Measure::ours("peak_rss_mb_wide_10000", "MB", &[], note);
    rows.push(Row::new(NAME, measure, Summary::once(peak)));
    rows.extend(trickle(run.scratch)?);
    Ok(rows)
}

/// The names of a model's statistics.
fn layers(count: usize) -> Vec<Name> {
    (0..count).map(|layer| Name::new(&format!("layer_{layer}/grad_norm"))).collect()
}

/// Rows that set all of the names, or some of them, each time others.
fn rows_of(names: &[Name], count: usize, set: usize) -> Vec<MetricsRow> {
    let mut random = fastrand::Rng::with_seed(7);
    let row = |number: usize| {
        let mut row = MetricsRow::from(metrics(number));
        let first = if set < names.len() { random.usize(..names.len()) } else { 0 };
        let stride = (names.len() / set).max(1);
        for number in 0..set {
            row.set(names[(first + number * stride) % names.len()], random.f64());
        }
        row
    };
    (0..count).map(row).collect()
}

fn metrics(step: usize) -> TrainingMetrics {
    TrainingMetrics {
        step: step as i64,
        timestamp: step as f64,
        train_loss: Some(1.0 / (1 + step) as f64),
        ..TrainingMetrics::default()
    }
}

/// A row of a thousand named numbers, pushed; beside one that has them in a vector.
fn names() -> Result<Vec<Row>> {
    const NAMES: usize = 1_000;
    const PUSHES: usize = 200;
    let names = layers(NAMES);
    let values: Vec<f64> = (0..NAMES).map(|n| n as f64 / 7.0).collect();
    let ours = AsyncBuffer::<MetricsRow>::new(PUSHES)?;
    let plain = AsyncBuffer::<(TrainingMetrics, Vec<f64>)>::new(PUSHES)?;
    let per_row = |started: Instant| started.elapsed().as_secs_f64() * 1e9 / PUSHES as f64;
    let measure = Measure::ours(
        "log_step_1000_names",
        "ns",
        &["push_vector_of_1000"],
        "18 fields and 1 000 floats by names that are known: the row is made and pushed; one thread",
    );
    let (names, values) = (&names, &values);
    let by_name = Contender::new(measure, move || {
        let started = Instant::now();
        for number in 0..PUSHES {
            let mut row = MetricsRow::from(metrics(number));
            for (name, value) in names.iter().zip(values) {
                row.set(*name, *value);
            }
            ours.push(row).map_err(|error| error.to_string())?;
        }
        let took = per_row(started);
        while ours.try_pop().is_some() {}
        Ok(took)
    });
    let note = "18 fields and a vector that the same floats are put into one by one";
    let vector = Contender::new(Measure::limit("push_vector_of_1000", "ns", note), move || {
        let started = Instant::now();
        for number in 0..PUSHES {
            let mut all = Vec::new();
            for value in values {
                all.push(std::hint::black_box(*value));
            }
            plain.push((metrics(number), all)).map_err(|error| error.to_string())?;
        }
        let took = per_row(started);
        while plain.try_pop().is_some() {}
        Ok(took)
    });
    race(NAME, 50, vec![by_name, vector])
}

/// Flushes of dense rows beside pyarrow, which writes the same numbers as a new file.
fn dense(run: &Run<'_>, columns: usize) -> Result<Vec<Row>> {
    let names = layers(columns);
    let rows = rows_of(&names, FLUSH, columns);
    let peer = format!("pyarrow_new_file_ms_{columns}");
    let note = "100 rows of 18 fields and as many floats as the name says, appended and flushed, gzip 6 \
                once a group is full; in a row, so the pause between two is left out";
    let mut contenders = Vec::new();
    let flushes: &[usize] = if run.long { &[1, 100, 1_000] } else { &[1, 100] };
    for &flush in flushes {
        let name = format!("flush_ms_wide_{columns}_at_{flush}");
        let path = run.scratch.join(&name);
        let measure = Measure::ours(name, "ms", &[&peer], note);
        let (rows, mut log) = (&rows, None);
        contenders.push(Contender::new(measure, move || {
            if log.is_none() || flush == 1 {
                log = None; // releases the file
                log = Some(prepared(&path, rows, flush.saturating_sub(ROUNDS / 2 + 1))?);
            }
            let log = log.as_mut().ok_or("a file was just made")?;
            let started = Instant::now();
            append_all(log, rows, started)?;
            Ok(milliseconds(started))
        }));
    }
    match run.peers.python_with(&["pyarrow"]) {
        Some(python) => {
            let note = "the same number of floats, a table in memory, written as a new file with the \
                        default settings (snappy) and synced; the start of Python is left out";
            let (python, path) = (python.to_owned(), run.scratch.join("wide-pyarrow.parquet"));
            contenders.push(Contender::new(Measure::peer(peer, "ms", note), move || {
                let mut command = Command::new(&python);
                let command = command.args(["-c", SCRIPT, &columns.to_string()]).arg(&path);
                Ok(this_program::answer_of(command, "pyarrow")?.parse()?)
            }));
        }
        None => run.skip("pyarrow beside wide rows", "its environment is missing, see --peers"),
    }
    race(NAME, ROUNDS, contenders)
}

/// A file with that many flushes.
fn prepared(path: &Path, rows: &[MetricsRow], flushes: usize) -> Result<MetricsLog<MetricsRow>> {
    remove(path)?;
    let settings = WriterSettings::default().reuse_after(Duration::from_millis(200));
    let mut log = MetricsLog::open(path, settings)?;
    for _ in 0..flushes {
        append_all(&mut log, rows, Instant::now())?;
    }
    Ok(log)
}

fn append_all(log: &mut MetricsLog<MetricsRow>, rows: &[MetricsRow], now: Instant) -> Result {
    for row in rows {
        log.append(row, now);
    }
    Ok(log.flush()?)
}

/// Flushes of sparse rows beside the least footer that there is for their columns.
fn sparse(scratch: &Path) -> Result<Vec<Row>> {
    let names = layers(WIDEST);
    let rows = rows_of(&names, 50 * FLUSH, SET);
    let footer = least_footer(&scratch.join("wide-least.parquet"), &names)?;
    let path: PathBuf = scratch.join("flush_ms_sparse_10000");
    let note = "100 rows that set 20 of 10 000 known columns, appended and flushed, after 100 such flushes";
    let measure =
        Measure::ours("flush_ms_sparse_10000", "ms", &["durable_replace_ms_sparse_footer"], note);
    let mut log = None;
    let mut next = rows.chunks(FLUSH).cycle();
    let ours = Contender::new(measure, move || {
        if log.is_none() {
            let mut new = prepared(&path, &rows_of(&names, 1, WIDEST), 1)?;
            for rows in next.by_ref().take(SPARSE_BEFORE) {
                append_all(&mut new, rows, Instant::now())?;
            }
            log = Some(new);
        }
        let log = log.as_mut().ok_or("a file was just made")?;
        let rows = next.next().ok_or("it is a cycle")?;
        let started = Instant::now();
        append_all(log, rows, started)?;
        Ok(milliseconds(started))
    });
    let note = format!(
        "{footer} bytes, the footer of the same columns with one row group, as a new file: synced, \
         renamed, directory synced"
    );
    let plain = scratch.join("wide-plain");
    let bytes = vec![1; footer];
    let limit = Measure::limit("durable_replace_ms_sparse_footer", "ms", note);
    let limit = Contender::new(limit, move || {
        let started = Instant::now();
        durable::replace(&plain, |path| Ok(fs::write(path, &bytes)?))?;
        Ok(milliseconds(started))
    });
    race(NAME, 40, vec![ours, limit])
}

/// The length of the footer of a file with one row group.
fn least_footer(path: &Path, names: &[Name]) -> Result<usize> {
    prepared(path, &rows_of(names, 1, names.len()), 1)?.close()?;
    let file = fs::read(path)?;
    fs::remove_file(path)?;
    let length = file[file.len() - 8..].first_chunk().ok_or("it has a footer")?;
    Ok(u32::from_le_bytes(*length) as usize)
}

/// What a run that logs sparse rows loses, and what its background takes.
fn trickle(scratch: &Path) -> Result<Vec<Row>> {
    let path = scratch.join("wide-trickle.parquet");
    let told = this_program::ask(TRICKLE, [path.as_os_str()])?;
    fs::remove_file(&path)?;
    let (share, dropped) = told.split_once(' ').ok_or("it tells two figures")?;
    let note = "100 rows/s for 20 s, each of which sets 20 of 10 000 known columns, default settings, in a \
                process of its own; ";
    let share_note = format!("{note}processor time of all background threads ÷ time");
    let dropped_note = format!("{note}rows and values that were lost");
    let share_measure = Measure::ours("cpu_share_sparse_10000", "cores", &[], share_note);
    let dropped_measure = Measure::ours("dropped_sparse_10000", "rows", &[], dropped_note);
    Ok(vec![
        Row::new(NAME, share_measure, Summary::once(share.parse()?)),
        Row::new(NAME, dropped_measure, Summary::once(dropped.parse()?)),
    ])
}

/// Logs sparse rows into the file that is named; tells the share of a processor and what was lost.
pub(crate) fn trickle_child(arguments: &[String]) -> Result<String> {
    let [path] = arguments else { return Err("a path".into()) };
    let names = layers(WIDEST);
    let buffer = AsyncBuffer::new(AsyncBuffer::<MetricsRow>::DEFAULT_MAXSIZE)?;
    let mut writer = AsyncMetricsWriter::start(buffer.clone(), path, WriterSettings::default())?;
    for row in rows_of(&names, 1, WIDEST) {
        buffer.push(row).map_err(|error| error.to_string())?;
    }
    writer.flush(Duration::from_mins(1))?;
    let rows = rows_of(&names, (SECONDS * ROWS_PER_S) as usize, SET);
    let (started, before) = (Instant::now(), background_seconds()?);
    for (row, number) in rows.into_iter().zip(1..) {
        // A full ring counts what it hands back.
        let _ = buffer.push(row);
        let due = started + Duration::from_millis(number * 1_000 / ROWS_PER_S);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let (seconds, took) = (background_seconds()? - before, started.elapsed());
    let stats = writer.stop(Duration::from_mins(1))?;
    let lost = buffer.stats().dropped + stats.rejected_rows + stats.omitted_values;
    Ok(format!("{} {lost}", seconds / took.as_secs_f64()))
}

/// Writes dense rows into the file that is named and returns the most memory that it had, in megabytes.
pub(crate) fn grow_child(arguments: &[String]) -> Result<String> {
    let [path] = arguments else { return Err("a path".into()) };
    let names = layers(WIDEST);
    let rows = rows_of(&names, FLUSH, WIDEST);
    prepared(OsStr::new(path).as_ref(), &rows, GROWN)?.close()?;
    super::long_runs::peak_megabytes().map(|peak| peak.to_string())
}
