//! Storage that never makes training wait, and never loses what it has acknowledged.
//!
//! A training loop hands over a row or a state and continues; background threads compress, write, sync and
//! publish. When a ring is full, a row is dropped and counted (or another policy applies); when the disk is
//! full, rows wait in memory and the error is reported by the next call; when the process is killed, the files
//! are complete and hold everything that was flushed.
//!
//! This crate has no code of its own: it re-exports the set under short names. Depend on it to get
//! everything, or on one of its crates to get just that one.
//!
//! | you want | take | or just the crate |
//! |---|---|---|
//! | one value that logs, saves, resumes, and records how it ended | [`Run`] | `qstore-run` |
//! | to know what has become of a run | [`RunReader`] | `qstore-run` |
//! | to pay for no job on a quantum computer twice | [`Run::ledger`], [`ledger`] | `qstore-ledger` |
//! | to log metrics in one line | [`AsyncMetricsLogger`] | `qstore-logger` |
//! | to write rows to one Parquet file | [`AsyncMetricsWriter`] | `qstore-parquet` |
//! | to save and load checkpoints | [`CheckpointManager`] | `qstore-zarr` |
//! | to store checkpoints elsewhere, or know what one is | [`checkpoint`] | `qstore-checkpoint` |
//! | a ring whose push never waits | [`AsyncBuffer`] | `qstore-buffer` |
//! | to end a run on Ctrl-C without losing a row | [`StopSignal`] | `qstore-signal` |
//! | rows, tensors, nested state | [`schema`] | `qstore-schema` |
//! | durable files, and a power cut to test with | [`storage`] | `qstore-storage` |
//!
//! ```
//! use qstore::{MetricsRow, Run, RunSettings, Snapshot, StateDict, Tensor};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("run");
//! // Starts the run; when the program is started again, goes on from the newest checkpoint.
//! let (mut run, resumed) = Run::resume_or_start(&path, RunSettings::default().param("lr", 0.1))?;
//! let first = resumed.map_or(0, |resumed| resumed.checkpoint.number() + 1);
//!
//! let mut weights = vec![0.0_f32; 1024];
//! for epoch in first..3 {
//!     weights.iter_mut().for_each(|weight| *weight += 0.1); // training goes here
//!     let step = epoch as i64;
//!     run.log_step(MetricsRow::step(step, step, 0.5).with("accuracy", 0.9))?;
//!
//!     let model = StateDict::from_iter([("weights", Tensor::from_slice(&weights, [32, 32])?)]);
//!     let _ticket = run.save(step, Snapshot::new(epoch).model(model))?; // returns at once
//! }
//! run.finish()?; // every row and every checkpoint is durable, or this is the error
//!
//! let restored = run.checkpoints().load(2)?;
//! assert_eq!(restored.model().unwrap().tensor("weights").unwrap().as_slice::<f32>()?, weights);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Two more crates are for programs that already report their figures elsewhere: `qstore-tracing` and
//! `qstore-metrics`.
//!
//! The [`manual`] answers the questions that begin with "why": why gzip, why the metrics file exists twice
//! during a run, what a power cut takes, which rows may be dropped and how you find out.
//!
//! # Features
//! `metrics`, `checkpoints`, and `runs`, which needs both; all on by default.

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(all(doctest, feature = "runs"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(all(feature = "metrics", feature = "checkpoints"))]
pub mod manual;

pub use qstore_buffer as buffer;
pub use qstore_schema as schema;
pub use qstore_storage as storage;

pub use qstore_buffer::{
    AsyncBuffer, BufferSettings, BufferStats, DrainError, Health, Hooks, Loss, Losses, Lost,
    Overflow, PushError,
};
pub use qstore_schema::{
    BigInt, Dtype, Key, Logged, QuantumMetrics, Record, Row, State, StateDict, Tensor, Timestamp,
    TrainingMetrics, Value,
};
pub use qstore_settings::{Codec, Compression, SettingError};
pub use qstore_signal::StopSignal;
pub use qstore_storage::Locking;

#[cfg(feature = "metrics")]
pub use qstore_logger as logger;
#[cfg(feature = "metrics")]
pub use qstore_logger::{
    AsyncMetricsLogger, LogError, LogHandle, LoggerSettings, LoggerStats, MetricsRow,
    ParquetMetricsLogger,
};
#[cfg(feature = "metrics")]
pub use qstore_parquet as parquet;
#[cfg(feature = "metrics")]
pub use qstore_parquet::{
    AsyncMetricsWriter, Durability, MetricsFile, WriterSettings, WriterStats, validate,
};

#[cfg(feature = "runs")]
pub use qstore_ledger as ledger;
#[cfg(feature = "runs")]
pub use qstore_run as run;
#[cfg(feature = "runs")]
pub use qstore_run::{
    Direction, PathKind, Resumed, Run, RunDirectory, RunError, RunReader, RunSettings, RunState,
    RunSummary, Status, edit_run_json,
};

#[cfg(feature = "checkpoints")]
pub use qstore_checkpoint as checkpoint;
#[cfg(feature = "checkpoints")]
pub use qstore_checkpoint::retention::Goal;
#[cfg(feature = "checkpoints")]
pub use qstore_checkpoint::{
    Checkpoint, CheckpointInfo, CheckpointStore, Counter, Latest, Layout, LoadError, Outcome,
    SaveError, Saved, Select, Snapshot,
};
#[cfg(feature = "checkpoints")]
pub use qstore_zarr as zarr;
#[cfg(feature = "checkpoints")]
pub use qstore_zarr::{
    Busy, CheckpointManager, CheckpointReader, CheckpointSettings, Checkpoints, SaveTicket,
};
