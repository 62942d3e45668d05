//! What a checkpoint is, which ones are kept, and where they are stored, independent of any file format.
//!
//! | to | use |
//! |---|---|
//! | describe what is saved | [`Snapshot`], with any number of named parts |
//! | find out how a save ended | [`Outcome`], [`Saved`]; failures are [`SaveError`]s |
//! | use a loaded checkpoint | [`Checkpoint`], [`CheckpointInfo`], [`Latest`] |
//! | decide which checkpoints are kept, and explain why | [`retention::plan`], a pure function |
//! | store bytes somewhere else: a bucket, a map | the trait [`Repository`](repository::Repository) |
//! | store whole states somewhere else | the trait [`CheckpointStore`] |
//! | test either of them | `repository::conformance`, `store::conformance` (feature `testing`) |
//!
//! There are two traits to implement, at two levels. A [`Repository`](repository::Repository) stores
//! bytes under names and knows no format; `qstore-zarr` saves and loads through it. A
//! [`CheckpointStore`] takes and returns whole states, asynchronously, and says nothing about bytes;
//! [`MemoryStore`] is one.
//!
//! What it is **not**: it does not encode or compress anything, and starts no threads. Depend on it alone
//! to write your own repository, store or framework adapter. To save and load checkpoints, depend on
//! `qstore-zarr`.
//!
//! ```
//! use qstore_checkpoint::retention::{Candidate, Goal, Policy, plan};
//! use qstore_checkpoint::{MemoryStore, CheckpointStore, Snapshot};
//! use qstore_schema::{StateDict, Tensor};
//!
//! async fn train(store: &dyn CheckpointStore) -> Result<(), Box<dyn std::error::Error>> {
//!     let weights = StateDict::from_iter([("w", Tensor::scalar(1.0_f32))]);
//!     let snapshot = Snapshot::new(7).model(weights.clone()).meta("val_loss", 0.25);
//!     let saved = store.save(snapshot).await?.saved().expect("nothing else is being saved");
//!     assert_eq!(store.load(saved.number).await?.model(), Some(&weights));
//!     Ok(())
//! }
//!
//! let policy = Policy::keep_last(1).best(1, "val_loss", Goal::Lowest);
//! let history = [Candidate::new(6, 1).metric("val_loss", 0.1), Candidate::new(7, 2)];
//! assert!(plan(&history, &policy).iter().all(|decision| decision.keep));
//! # use std::{pin::pin, task::{Context, Poll, Waker}};
//! # let store = MemoryStore::new();
//! # let mut training = pin!(train(&store));
//! # while let Poll::Pending = training.as_mut().poll(&mut Context::from_waker(Waker::noop())) {}
//! ```
//!
//! # Features
//! `testing`: the conformance kits, and `repository::Faulty`, a repository whose requests fail on
//! demand. Disabled by default.

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod check;
mod checkpoint;
mod damage;
mod error;
mod id;
mod local;
mod memory_store;
mod naming;
mod outcome;
pub mod path;
pub mod repository;
pub mod retention;
pub mod seal;
mod select;
mod snapshot;
pub mod store;

pub use check::{DEPTH_MAX, DIMENSIONS_MAX};
pub use checkpoint::{Checkpoint, CheckpointInfo, Latest};
pub use damage::Damage;
pub use error::{LoadError, OpenError, RetentionError, SaveError, StateError};
pub use id::{Attempt, CheckpointId, Counter, Part, Rank};
pub use local::LocalRepository;
pub use memory_store::MemoryStore;
pub use naming::Layout;
pub use outcome::{Outcome, Saved};
pub use select::Select;
pub use snapshot::{Parts, Snapshot};
pub use store::CheckpointStore;
