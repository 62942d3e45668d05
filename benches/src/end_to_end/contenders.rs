//! Who takes part in the simulated runs, how each stores, and how its rows are counted afterwards.

use super::plan::Plan;
use crate::harness::this_program;
use crate::rivals::safetensors;
use crate::rivals::step_loggers::{Csv, Rival};
use crate::workload::model;
use crate::{Result, Run};
use qstore_logger::{LoggerSettings, MetricsRow, ParquetMetricsLogger};
use qstore_parquet::{MetricsFile, WriterSettings};
use qstore_schema::{StateDict, TrainingMetrics};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot, StagingArena};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/metrics_peers.py");

/// One who takes part.
#[derive(Debug, Clone)]
pub(super) struct Contender<'a> {
    pub(super) name: &'static str,
    pub(super) is_ours: bool,
    pub(super) is_limit: bool,
    pub(super) note: &'static str,
    /// The interpreter, for one in Python.
    pub(super) python: Option<&'a Path>,
}

/// Ours; then Rust's; then Python's; then the loop without any storage.
const RUST: [(&str, &str); 4] = [
    (
        QSTORE,
        "ring of 10 000, else default settings: gzip, a flush every 100 rows, at most every 50 ms, each \
         synced; the model copied into an arena, saved in the background, synced",
    ),
    ("csv_write", "one write(2) a step, not synced; safetensors written and synced by the loop"),
    (
        "sqlite_wal",
        "WAL, synchronous = OFF, a transaction a step; safetensors written and synced by the loop",
    ),
    (
        "tracing_appender",
        "the CSV line to its non-blocking writer; safetensors written and synced by the loop",
    ),
];

/// Name here and in `python/metrics_peers.py`, the packages it needs, and how it is used.
const PYTHON: [(&str, &[&str], &str); 9] = [
    (
        "original",
        &["q-store", "zarr", "pyarrow"],
        "q-store 4.1.1 (Python): ring of 10 000, else default settings; its own checkpoints, awaited",
    ),
    ("csv", &["numpy"], "Python's csv, flushed each step, not synced; numpy.savez, synced"),
    (
        "sqlite3",
        &["numpy"],
        "Python's, WAL, synchronous = NORMAL, a transaction a step; numpy.savez, synced",
    ),
    ("pyarrow", &["pyarrow"], "ParquetWriter, a row group per 1 000 steps; numpy.savez, synced"),
    ("pandas", &["pandas", "pyarrow"], "all rows rewritten every 100 steps; numpy.savez, synced"),
    ("tensorboardx", &["tensorboardX"], "add_scalar for every number; numpy.savez, synced"),
    ("wandb", &["wandb"], "offline; numpy.savez, synced"),
    ("trackio", &["trackio"], "local; numpy.savez, synced"),
    ("mlflow", &["mlflow-skinny"], "its file store; numpy.savez, synced"),
];

const QSTORE: &str = "qstore";
const NOTHING: &str = "nothing";

/// Everybody who can be measured here.
pub(super) fn all<'a>(run: &'a Run<'_>) -> Vec<Contender<'a>> {
    let rust =
        RUST.into_iter().filter(|(name, _)| cfg!(feature = "peers") || is_always_there(name));
    let mut contenders: Vec<_> = rust
        .map(|(name, note)| Contender {
            name,
            note,
            is_ours: name == QSTORE,
            is_limit: false,
            python: None,
        })
        .collect();
    contenders.extend(PYTHON.into_iter().filter_map(|(name, packages, note)| {
        let mut needed = vec!["numpy"];
        needed.extend(packages);
        let python = run.peers.python_with(&needed)?;
        Some(Contender { name, note, is_ours: false, is_limit: false, python: Some(python) })
    }));
    contenders.push(Contender {
        name: NOTHING,
        note: "nothing is stored: what the two readings of the clock cost",
        is_ours: false,
        is_limit: true,
        python: None,
    });
    contenders
}

fn is_always_there(name: &str) -> bool {
    matches!(name, QSTORE | "csv_write")
}

/// Where a contender stands in the report.
pub(super) fn place(name: Option<&str>) -> usize {
    let mut names = RUST.iter().map(|(name, _)| *name).chain(PYTHON.iter().map(|(name, ..)| *name));
    names.position(|known| Some(known) == name).unwrap_or(usize::MAX)
}

impl Contender<'_> {
    /// The rows that can be read where it kept its metrics.
    pub(super) fn rows_in(&self, dir: &Path) -> Result<u64> {
        if let Some(python) = self.python {
            return rows_by_python(python, self.name, dir);
        }
        let path = file_of(self.name, dir);
        match self.name {
            // A file that does not exist yet has no rows; one that cannot be read would be an error.
            QSTORE if path.exists() => Ok(MetricsFile::open(path)?.rows()),
            QSTORE | NOTHING => Ok(0),
            #[cfg(feature = "peers")]
            "sqlite_wal" => {
                let connection = rusqlite::Connection::open(path)?;
                let count = "SELECT count(*) FROM steps";
                Ok(connection.query_row(count, [], |row| row.get::<_, i64>(0))? as u64)
            }
            // A line without its end is not counted.
            _ => Ok(fs::read(path)?.split(|byte| *byte == b'\n').skip(1).count() as u64),
        }
    }
}

/// The rows that a Python peer can read in a directory.
fn rows_by_python(python: &Path, name: &str, dir: &Path) -> Result<u64> {
    let mut command = Command::new(python);
    let command = command.arg(PEERS).arg(name).arg(dir);
    Ok(this_program::answer_of(command, name)?.parse()?)
}

fn file_of(name: &str, dir: &Path) -> PathBuf {
    dir.join(match name {
        QSTORE => "metrics.parquet",
        "sqlite_wal" => "steps.sqlite",
        _ => "steps.csv",
    })
}

/// What the loop calls.
pub(super) trait Storage {
    fn log(&mut self, known: &TrainingMetrics, step: i64) -> Result;

    fn save(&mut self, epoch: u64, model: &StateDict) -> Result;

    /// Returns when everything is stored.
    fn finish(self: Box<Self>) -> Result;
}

/// The one that the plan names.
pub(super) fn open(plan: &Plan, model: &StateDict) -> Result<Box<dyn Storage>> {
    let path = file_of(&plan.contender, &plan.metrics());
    let file = plan.checkpoints_dir().join("model.safetensors");
    Ok(match plan.contender.as_str() {
        QSTORE => Box::new(Ours::open(plan, &path, model)?),
        "csv_write" => Box::new(Peer { metrics: Csv::create(&path)?, file }),
        #[cfg(feature = "peers")]
        "sqlite_wal" => {
            let metrics = crate::rivals::step_loggers::Sqlite::create(&path, 0)?;
            Box::new(Peer { metrics, file })
        }
        #[cfg(feature = "peers")]
        "tracing_appender" => {
            let metrics = crate::rivals::step_loggers::Appender::create(&path)?;
            Box::new(Peer { metrics, file })
        }
        NOTHING => Box::new(Nothing),
        name => return Err(format!("there is no contender `{name}`").into()),
    })
}

struct Ours {
    logger: ParquetMetricsLogger,
    checkpoints: CheckpointManager,
    arena: StagingArena,
}

impl Ours {
    fn open(plan: &Plan, path: &Path, model: &StateDict) -> Result<Self> {
        let settings = LoggerSettings::default().buffer_size(10_000);
        let logger = ParquetMetricsLogger::open_with(path, settings, WriterSettings::default())?;
        let dir = plan.checkpoints_dir();
        let checkpoints = CheckpointManager::open(dir, CheckpointSettings::default())?;
        let arena = StagingArena::new(2 * model.tensor_bytes());
        let tensors = model::tensors(model)?;
        arena.reserve(tensors.iter().map(|(_, tensor)| tensor.data().len()))?;
        Ok(Self { logger, checkpoints, arena })
    }
}

impl Storage for Ours {
    fn log(&mut self, known: &TrainingMetrics, step: i64) -> Result {
        let metrics = TrainingMetrics { step, ..known.clone() };
        // A dropped row is counted.
        self.logger.log_step(MetricsRow::from(metrics))?;
        Ok(())
    }

    fn save(&mut self, epoch: u64, model: &StateDict) -> Result {
        let snapshot = self.arena.copy_state(model)?;
        // A save that fails is reported by the next call and by `health`.
        let _ticket = self.checkpoints.save(Snapshot::new(epoch).model(snapshot))?;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result {
        self.logger.stop(Duration::from_mins(1))?;
        self.checkpoints.health().check()?;
        Ok(self.checkpoints.close(Duration::from_mins(1))?)
    }
}

/// A Rust peer, with safetensors for its checkpoints.
struct Peer<R> {
    metrics: R,
    file: PathBuf,
}

impl<R: Rival> Storage for Peer<R> {
    fn log(&mut self, known: &TrainingMetrics, step: i64) -> Result {
        self.metrics.log(known, step, &[])
    }

    fn save(&mut self, _: u64, model: &StateDict) -> Result {
        safetensors::save(&self.file, &model::tensors(model)?)
    }

    fn finish(self: Box<Self>) -> Result {
        drop(self.metrics); // which writes what is queued
        Ok(())
    }
}

/// No storage at all.
struct Nothing;

impl Storage for Nothing {
    fn log(&mut self, _: &TrainingMetrics, _: i64) -> Result {
        Ok(())
    }

    fn save(&mut self, _: u64, _: &StateDict) -> Result {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result {
        Ok(())
    }
}
