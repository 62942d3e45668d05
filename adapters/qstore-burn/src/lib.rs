//! Runs of [burn](https://burn.dev): metrics in Parquet, and checkpoints that are whole or not there.
//!
//! [`BurnRun`] is a [`Run`](qstore_run::Run) with the parts that a burn
//! [`SupervisedTraining`](burn::train::SupervisedTraining) asks for:
//!
//! | burn asks for | is |
//! |---|---|
//! | a `MetricLogger` | [`BurnRun::metric_logger`]: a row for each training batch, and one with step −1 for each epoch |
//! | a `TrainingProgressLogger` | [`BurnRun::progress_logger`], which answers [`BurnRun::progress`] |
//! | three `Checkpointer`s | [`BurnRun::checkpointers`]: model, optimizer and scheduler of an epoch are **one** checkpoint, written, verified and removed together |
//! | a `CheckpointingStrategy` | [`BurnRun::strategy`]: saves after each epoch; which checkpoints stay is for the [retention](qstore_zarr::CheckpointSettings) to decide |
//! | the epoch to go on from | [`BurnRun::resumed_epoch`] |
//!
//! # What happens in each case
//! * **The process is killed, at any moment.** What is on the disk is the last checkpoint of which all three parts were
//!   handed over, whole. The next process goes on from it, and ends with the same weights, bit for bit, as if nothing had
//!   happened, as far as the training is decided by model, optimizer, scheduler and epoch.
//! * **A save fails in the background.** The next one tells burn, which ends the training with that error
//!   ([`OnError::Stop`]), or goes on ([`OnError::Warn`]). Either way [`BurnRun::finish`] reports it. No thread of burn
//!   panics.
//! * **A checkpoint is damaged.** The run goes on from the newest one that is whole.
//!
//! # Limits, from what burn tells
//! A checkpoint is taken after an epoch, never within one. The state of burn's random numbers and the position of a data
//! loader are not part of it: give each epoch an order that follows from its number, or do not shuffle. Early stopping
//! begins to count anew in a resumed process, although the metrics of earlier epochs are there for it.
//!
//! `examples/iris.rs` is a complete program.

#![forbid(unsafe_code)]

mod checkpointer;
mod error;
mod history;
mod joint;
mod metrics;
mod names;
mod progress;
mod record;
mod run;

pub use checkpointer::{PartCheckpointer, SaveEachEpoch};
pub use error::{BurnError, OnError};
pub use joint::Blocked;
pub use metrics::RunMetricLogger;
pub use progress::{Progress, RunProgressLogger};
pub use run::BurnRun;
