//! Training runs: one value that logs, saves, resumes, and records how it ended, and everything that can be
//! learned of a run.
//!
//! | to | use |
//! |---|---|
//! | write a run | [`Run::create`], [`Run::resume`], [`Run::resume_or_start`] |
//! | read one, while it is written or later | [`RunReader`] |
//! | know what has become of it | [`RunReader::status`] |
//! | find runs | [`RunDirectory`], [`PathKind`] |
//! | send jobs to quantum computers and pay for none twice | [`Run::ledger`] |
//! | change its tags or notes, also while it runs | [`edit_run_json`] |
//!
//! A run is a directory with ordinary files: [`metrics.parquet`](qstore_parquet), [`checkpoints`](qstore_zarr), and
//! `run.json`, which says what it is and what became of each attempt. It can be copied, moved, and resumed on
//! another machine.
//!
//! # Status
//! Whether a run is running is derived, never stored: its writer holds a lock that anybody can ask for without
//! taking it. A process that is killed needs no time-out to be seen as gone, and one that is stopped for hours stays
//! alive. Where the lock cannot be seen (another machine, a copy), the status is [`RunState::Unknown`] with a
//! [reason](Reason), never a guess.
//!
//! # Resuming
//! A run that continues from a checkpoint repeats the steps since then. The rows of before stay in the file and do not
//! count anymore: [`RunReader::current_rows`] is what an uninterrupted run would have logged. This needs every row
//! of before the checkpoint to be in the file, so a checkpoint appears only after them.
//!
//! What it is **not**: no server, no queue, no database. It starts nothing and stops nothing. Depend on it alone for
//! programs that read runs; to log or save without runs, take `qstore-logger` or `qstore-zarr`.
//!
//! ```
//! use qstore_run::{Run, RunReader, RunSettings, RunState};
//!
//! # let runs = tempfile::tempdir()?;
//! let mut run = Run::create(runs.path(), RunSettings::default().param("lr", 0.01))?;
//! for step in 0..10 {
//!     run.log_step((0, step, 1.0 / (1 + step) as f64))?; // epoch, step, loss
//! }
//! run.finish()?;
//!
//! let reader = RunReader::open(runs.path().join("run_001"))?;
//! assert_eq!(reader.status()?.state, RunState::Finished);
//! assert_eq!(reader.progress()?.rows, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod directory;
mod environment;
mod error;
mod git;
mod json_file;
mod layout;
mod lineage;
mod metrics_first;
mod path_kind;
mod reader;
mod run;
mod run_file;
mod run_id;
mod secrets;
mod session;
mod settings;
mod status;
mod surroundings;
mod system;
mod utc_time;

pub use directory::RunDirectory;
pub use error::{Result, RunError};
pub use json_file::{edit_run_json, edit_run_json_in};
pub use path_kind::PathKind;
pub use reader::{Best, CurrentRows, Last, Progress, RunLosses, RunReader};
pub use run::{Resumed, Run, RunSummary};
pub use run_file::{AttemptOutcome, Direction, GitState, RunAttempt, RunFile, RunGoal, RunOrigin};
pub use settings::RunSettings;
pub use status::{Reason, RunState, Status};
pub use surroundings::{RunPlace, Surroundings, ThisMachine};
pub use utc_time::{NotATime, UtcTime};

#[doc(no_inline)]
pub use qstore_os::ProcessMark;
/// A value of a parameter, or a field of `run.json` that this version does not know.
#[doc(no_inline)]
pub use serde_json::Value as JsonValue;
