//! What `qstore watch` takes from a run that it watches: of a processor, of memory, and from the writer.
//!
//! The verb runs in a process of its own, with a terminal that shows nothing and on which nobody presses a key until the
//! end. The run is in this process and logs 10 000 rows a second, watched and alone in turns.

use super::NAME;
use crate::harness::processor;
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::parquet::long_runs::peak_megabytes;
use crate::parquet::processor_share::background_seconds;
use crate::workload::steps;
use crate::{Result, Run};
use qstore_cli::console::{Screen, Terminal, Waiting, World};
use qstore_cli::{Exit, run as call};
use qstore_logger::LoggerSettings;
use qstore_run::{Run as TrainingRun, RunPlace, RunSettings};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The word that makes a child watch a run and print what that took.
pub(crate) const CHILD: &str = "watch";

/// Pairs of a run that is watched and one that is not.
const PAIRS: usize = 3;
/// Rows that are logged together, one batch a millisecond: 10 000 rows a second.
const BATCH: usize = 10;
const BATCHES: usize = 15_000;
/// The child watches for as long as the run logs, and for most of that.
const WATCHED: Duration = Duration::from_secs(14);

const SIZE: (u16, u16) = (120, 40);

/// Nobody sits there until the time is over.
struct Unattended {
    started: Instant,
}

impl Terminal for Unattended {
    fn take(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn give_back(&mut self) {}

    fn size(&self) -> (u16, u16) {
        SIZE
    }

    fn read(&mut self, typed: &mut Vec<u8>, wait: Duration) -> io::Result<bool> {
        thread::sleep(wait);
        if self.started.elapsed() >= WATCHED {
            typed.push(b'q');
        }
        Ok(true)
    }

    fn suspend(&mut self) {}
}

impl Waiting for Unattended {
    fn handle_interrupts(&mut self) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn wait(&mut self, time: Duration) {
        thread::sleep(time);
    }

    fn terminal(&mut self) -> Option<&mut dyn Terminal> {
        Some(self)
    }
}

/// Watches the run that is named; prints the share of a processor, and the megabytes.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [run] = arguments else { return Err("a run".into()) };
    let mut unattended = Unattended { started: Instant::now() };
    let (mut out, mut err) = (Count(0), Vec::new());
    let world = World {
        out: &mut out,
        err: &mut err,
        screen: Screen { width: Some(SIZE.0.into()), is_colored: true, is_talkative: false },
        place: RunPlace::default(),
        dir: ".".into(),
        waiting: &mut unattended,
    };
    let (started, before) = (Instant::now(), processor::of_process());
    let exit = call(["qstore", "watch", run], world);
    let share = (processor::of_process() - before) / started.elapsed().as_secs_f64();
    if exit != Exit::Done || out.0 < 10_000 {
        return Err(format!("{exit:?}, {} bytes: {}", out.0, String::from_utf8_lossy(&err)).into());
    }
    Ok(format!("{share} {}", peak_megabytes()?))
}

/// Counts what is printed.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn rows(run: &Run<'_>) -> Result<Vec<Row>> {
    let dir = run.scratch.join("watched");
    let (mut shares, mut megabytes) = (Vec::new(), Vec::new());
    let (mut watched, mut alone) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // The order of a pair alternates, so that a machine that becomes slower favors neither.
        for is_watched in [pair % 2 == 0, pair % 2 == 1] {
            let (writer, child) = log(&dir, is_watched)?;
            if let Some((share, memory)) = child {
                shares.push(share);
                megabytes.push(memory);
            }
            if is_watched { &mut watched } else { &mut alone }.push(writer);
            fs::remove_dir_all(&dir)?;
        }
    }
    let row = |name, unit, note, values| -> Result<Row> {
        let summary = Summary::of(values).ok_or("it was run")?;
        Ok(Row::new(NAME, Measure::ours(name, unit, &[], note), summary))
    };
    let note = "processor time of qstore watch ÷ time, on a run that logs 10 000 rows/s, 120 × 40 characters, in a process \
                of its own; its start included";
    let memory = "the most memory that it had";
    let with =
        "processor time of the writer's threads ÷ time at 10 000 rows/s, while the run is watched";
    let without = "the same while nobody looks; in turns with the row above";
    Ok(vec![
        row("watch_cpu_share", "cores", note, shares)?,
        row("watch_rss_mb", "MB", memory, megabytes)?,
        row("writer_cpu_share_watched", "cores", with, watched)?,
        row("writer_cpu_share_alone", "cores", without, alone)?,
    ])
}

/// Logs for a while; returns the writer's share of a processor, and what the child took.
fn log(dir: &Path, is_watched: bool) -> Result<(f64, Option<(f64, f64)>)> {
    let logger = LoggerSettings::default().buffer_size(100_000);
    let settings = RunSettings::default().git_timeout(Duration::ZERO).logger(logger);
    let mut run = TrainingRun::create_at(dir, settings)?;
    let rows = steps::random(BATCH * BATCHES);
    run.log_step(rows[0].clone())?;
    run.logger().flush(Duration::from_mins(1))?;
    let mut share = 0.0;
    let child = thread::scope(|scope| -> Result<_> {
        let ask = || this_program::ask(CHILD, [dir.as_os_str()]).map_err(|error| error.to_string());
        let child = is_watched.then(|| scope.spawn(ask));
        let (started, before) = (Instant::now(), background_seconds()?);
        for (batch, number) in rows.chunks(BATCH).zip(1..) {
            for row in batch {
                run.log_step(row.clone())?;
            }
            let due = started + Duration::from_millis(number);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        share = (background_seconds()? - before) / started.elapsed().as_secs_f64();
        child
            .map(|child| child.join().map_err(|_| "the child's thread panicked"))
            .transpose()
            .map_err(Into::into)
    })?;
    run.finish()?;
    let Some(told) = child else { return Ok((share, None)) };
    let told = told?;
    let (of_child, memory) = told.trim().split_once(' ').ok_or("two numbers")?;
    Ok((share, Some((of_child.parse()?, memory.parse()?))))
}
