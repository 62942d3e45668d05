//! Jobs on quantum computers: none is lost, and none is paid for twice without a word.
//!
//! A job waits in a queue for hours and costs money. If the client dies, its identifier is gone, and the retry is
//! paid again. A [`Ledger`] prevents it with one Parquet file, `jobs.parquet`:
//!
//! 1. [`intend`](Ledger::intend) makes the job durable, under a token of ours, before the request leaves, and
//!    reserves what it may cost;
//! 2. the provider's identifier is durable when [`Intent::submitted`] returns, before anybody waits;
//! 3. what becomes known later, the price included, is a row, written by whichever process learns it
//!    ([`observe`](Ledger::observe));
//! 4. the next process finds what is not finished ([`reconcile`](Ledger::reconcile)) and what was paid for
//!    ([`finished`](Ledger::finished)).
//!
//! What it is **not**: a client of any provider. It opens no connection and starts no thread; the one trait to
//! implement is [`Provider`]. There is no format of its own either: each event is a row of an ordinary metrics log
//! with [`Durability::Sync`](qstore_parquet::Durability::Sync), so pandas reads it while it grows, and each row of a
//! job repeats what was known before. It costs two syncs for each event.
//!
//! Take it alone if you send jobs from plain Rust; it needs `qstore-parquet`, `qstore-schema` and `qstore-storage`.

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod batch;
mod budget;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod event;
mod job;
mod key;
mod ledger;
mod log;
mod provider;
mod rules;
mod seen;
#[cfg(feature = "testing")]
pub mod simulated;
mod spec;
mod state;
#[cfg(feature = "testing")]
pub mod training;

pub use batch::{Batch, BatchDigest};
pub use budget::{Alarm, Budget, Spending};
pub use error::LedgerError;
pub use event::JobEvent;
pub use job::Job;
pub use key::JobKey;
pub use ledger::{Intent, Ledger};
pub use log::{read_jobs, read_jobs_in};
pub use provider::{Found, Provider, Reconciled, SendError, SubmitError};
pub use seen::Seen;
pub use spec::JobSpec;
pub use state::JobState;
