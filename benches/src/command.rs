//! How long does one wait for the command, and for a run that begins?
//!
//! The verbs are called as `main` calls them, without the start of a process: a list of a thousand runs, the last rows of
//! a long file, what watching takes, and a whole checkpoint verified beside its bytes read and checksummed.

pub(crate) mod watching;

use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::parquet::milliseconds;
use crate::workload::model::{GB_1, MB_100, bf16_like};
use crate::{Result, Run, view};
use qstore_cli::console::{Screen, Waiting, World};
use qstore_cli::{Exit, run as call};
use qstore_run::{Run as TrainingRun, RunPlace, RunSettings};
use qstore_schema::TrainingMetrics;
use qstore_zarr::Snapshot;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "command";
pub(crate) const QUESTION: &str = "how long one waits for the command, and for a run that begins";

/// Runs in the directory that is listed, and the rows of each.
const RUNS: usize = 1_000;
const ROWS: usize = 100;

/// Rows that are shown of a file.
const TAIL: usize = 20;

const ROUNDS: usize = 9;
const TIMEOUT: Duration = Duration::from_mins(5);

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let dir = run.scratch.join("command");
    fs::create_dir(&dir)?;
    let (rows, size) = if run.long { (10_000_000, "1e7") } else { (1_000_000, "1e6") };
    let long = dir.join("long.parquet");
    drop(view::write(&long, rows)?);
    let runs = dir.join("runs");
    fill(&runs)?;
    let mut found = race(
        NAME,
        ROUNDS,
        vec![listing(&runs), last_rows(&long, size), beginning(dir.join("new"))],
    )?;
    found.extend(verifying(&dir.join("model"), run.long)?);
    fs::remove_dir_all(&dir)?;
    found.extend(watching::rows(run)?);
    Ok(found)
}

/// Nobody presses Ctrl-C.
struct Patient;

impl Waiting for Patient {
    fn handle_interrupts(&mut self) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn wait(&mut self, _: Duration) {}
}

/// What a call prints, if it succeeds.
fn printed(words: &[&str]) -> Result<String> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let world = World {
        out: &mut out,
        err: &mut err,
        screen: Screen::default(),
        place: RunPlace::default(),
        dir: ".".into(),
        waiting: &mut Patient,
    };
    match call(["qstore"].iter().chain(words), world) {
        Exit::Done => Ok(String::from_utf8(out)?),
        _ => Err(String::from_utf8_lossy(&err).into()),
    }
}

/// A thousand directories, each a copy of one run that has ended.
fn fill(runs: &Path) -> Result {
    let mut first = TrainingRun::create(runs, RunSettings::default().git_timeout(Duration::ZERO))?;
    for step in 0..ROWS {
        let row = TrainingMetrics {
            step: step as i64,
            train_loss: Some(1.0 / (1 + step) as f64),
            ..TrainingMetrics::default()
        };
        first.log_step(row)?;
    }
    first.finish()?;
    let files: Vec<_> = fs::read_dir(first.path())?.collect::<Result<_, _>>()?;
    for number in 2..=RUNS {
        let copy = runs.join(format!("run_{number:04}"));
        fs::create_dir(&copy)?;
        for file in files.iter().filter(|file| file.path().is_file()) {
            fs::copy(file.path(), copy.join(file.file_name()))?;
        }
    }
    Ok(())
}

fn listing(runs: &Path) -> Contender<'static> {
    let runs = runs.display().to_string();
    let note = "qstore ls of 1 000 runs with 100 rows each, the files in the system's cache";
    Contender::new(Measure::ours("ls_1000_runs_s", "s", &[], note), move || {
        let started = Instant::now();
        let text = printed(&["ls", &runs])?;
        let took = started.elapsed().as_secs_f64();
        let listed = text.lines().filter(|line| line.contains("run_")).count();
        if listed == RUNS { Ok(took) } else { Err(format!("{listed} runs are listed").into()) }
    })
}

fn last_rows(file: &Path, size: &str) -> Contender<'static> {
    let file = file.display().to_string();
    let note = "qstore tail of 20 rows of 20 columns, of a file with that many rows";
    Contender::new(Measure::ours(format!("tail_ms_{size}"), "ms", &[], note), move || {
        let started = Instant::now();
        let text = printed(&["tail", &file, "-n", &TAIL.to_string()])?;
        let took = milliseconds(started);
        let shown = text.lines().count();
        if shown > TAIL { Ok(took) } else { Err(format!("{shown} lines are shown").into()) }
    })
}

fn beginning(runs: PathBuf) -> Contender<'static> {
    let note = "Run::create in a directory of runs: its number taken, run.json with the surroundings and git, the metrics \
                file and the checkpoints open";
    Contender::new(Measure::ours("run_create_ms", "ms", &[], note), move || {
        let started = Instant::now();
        let mut run = TrainingRun::create(&runs, RunSettings::default())?;
        let took = milliseconds(started);
        run.finish()?;
        Ok(took)
    })
}

/// A checkpoint, verified by the command, and its bytes read and checksummed.
fn verifying(dir: &Path, is_long: bool) -> Result<Vec<Row>> {
    let size = if is_long { GB_1 } else { MB_100 };
    let settings = RunSettings::default().git_timeout(Duration::ZERO);
    let mut run = TrainingRun::create_at(dir, settings)?;
    run.save(0, Snapshot::new(0).model(bf16_like(size)?))?.wait(TIMEOUT)?;
    run.finish()?;
    let checkpoint = dir.join("checkpoints").join("epoch_0000.zarr.zip");
    let (path, limit) =
        (checkpoint.display().to_string(), format!("read_and_checksum_s_{}", size.suffix));
    let note =
        "qstore verify of one checkpoint, default settings, in the system's cache; all cores";
    let ours = Measure::ours(format!("verify_s_{}", size.suffix), "s", &[&limit], note);
    let note = "the file's bytes read a megabyte at a time, and their crc32c; one core";
    let limit = Measure::limit(limit, "s", note);
    race(
        NAME,
        size.rounds,
        vec![
            Contender::new(ours, move || {
                let started = Instant::now();
                printed(&["verify", &path])?;
                Ok(started.elapsed().as_secs_f64())
            }),
            Contender::new(limit, move || {
                let started = Instant::now();
                let (mut file, mut piece) = (File::open(&checkpoint)?, vec![0; 1 << 20]);
                let mut checksum = 0;
                loop {
                    match file.read(&mut piece)? {
                        0 => break,
                        len => checksum = crc32c::crc32c_append(checksum, &piece[..len]),
                    }
                }
                black_box(checksum);
                Ok(started.elapsed().as_secs_f64())
            }),
        ],
    )
}
