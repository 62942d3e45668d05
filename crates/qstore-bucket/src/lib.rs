//! Checkpoints in an object store: saved there, read from there, verified as on a disk.
//!
//! [`ObjectRepository`] is a prefix of a store as a repository: `qstore-zarr` saves to it and loads from it. Each
//! checkpoint is one object, `epoch_0042.zarr.zip`, with the same bytes as the file on a disk. It appears when
//! its upload is completed, whole or not at all.
//!
//! | to | use |
//! |---|---|
//! | save to a directory, and have it uploaded | a [`Mirror`] |
//! | save to a bucket | `CheckpointManager::over` an [`ObjectRepository`] |
//! | list, load, verify, explain, pin or prune there | `Checkpoints::of` an [`ObjectRepository`] |
//! | load some tensors | the same, with a `Select`: only their chunks and the end of the object are read |
//!
//! What it is **not**: a client for a certain store (that is `Objects` of `qstore-objects`), a cache, or a file
//! system. It has no lock: writers that share a prefix are ordered by claims, and retention removes only the
//! object that it looked at. A pin that is set while another writer's retention is under way may come too late.
//!
//! ```
//! use qstore_bucket::{BucketSettings, ObjectRepository};
//! use qstore_objects::{Limits, MemoryObjects, Store};
//! use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints, Select, Snapshot, StateDict, Tensor};
//! use std::{sync::Arc, time::Duration};
//!
//! let store = Store::open(Arc::new(MemoryObjects::new()), Limits::default())?;
//! let bucket = ObjectRepository::new(store, "run_001/checkpoints", BucketSettings::default())?;
//! let manager = CheckpointManager::over(Arc::new(bucket.clone()), CheckpointSettings::default())?;
//! let model = StateDict::from_iter([("w", Tensor::scalar(1.0_f32)), ("b", Tensor::scalar(2.0_f32))]);
//! manager.save(Snapshot::new(7).model(model))?.wait(Duration::from_secs(60))?;
//!
//! let checkpoints = Checkpoints::of(Arc::new(bucket)); // on another machine, perhaps
//! checkpoints.verify(7)?;
//! let some = checkpoints.load_tensors(7, &Select::Name("model/w".into()))?;
//! assert_eq!(some[0].1.as_slice::<f32>()?, [1.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod mirror;
mod repository;
mod settings;

pub use mirror::{
    Mirror, MirrorError, MirrorFailure, MirrorOutcome, MirrorSettings, MirrorStatus, MirrorTicket,
    Mirrored,
};
pub use repository::ObjectRepository;
pub use settings::BucketSettings;
