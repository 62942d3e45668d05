//! Checkpoints that are saved in the background, appear atomically, and are verified when they are
//! loaded.
//!
//! [`CheckpointManager::save`] takes a [`Snapshot`] of named parts, which only increments reference
//! counts, and returns a [`SaveTicket`]. A background thread compresses it, writes one file per
//! checkpoint, syncs it, and only then gives it its name, `epoch_0042.zarr.zip`: a Zarr v3 hierarchy in an
//! uncompressed zip, which zarr-python can open directly. [`Layout::Directory`] makes it a directory
//! `epoch_0042` instead, with the same guarantees.
//!
//! | to | use |
//! |---|---|
//! | save | [`CheckpointManager`], [`Snapshot`], [`CheckpointSettings`] |
//! | save from borrowed memory | [`StagingArena`] |
//! | read, follow, explain, pin or prune in another process | [`Checkpoints`] |
//! | load only some tensors | [`Select`], [`CheckpointReader`] |
//! | load, verify or inspect one that was copied somewhere | [`CheckpointReader::open`] |
//! | keep the best, every tenth, or one forever | [`keep_best`](CheckpointSettings::keep_best), [`keep_every`](CheckpointSettings::keep_every), [`pin`](Checkpoints::pin) |
//! | find out what will be removed and why | [`Checkpoints::explain`], [`retention`] |
//! | store checkpoints somewhere else | [`CheckpointManager::over`] a [`Repository`](repository::Repository) |
//! | move states in and out | [`import_safetensors`], [`export_safetensors`], [`load_zarr_group`] |
//!
//! What it is **not**: a saver for one training framework (states are [`StateDict`]s), an object store, or
//! an experiment database; the compressors are Zarr's. Depend on this crate alone when all you want is
//! checkpoints. The checkpoint types and the traits to implement are in `qstore-checkpoint`, whose names
//! are re-exported here.
//!
//! ```
//! use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression, Snapshot, StateDict, Tensor};
//! use std::time::Duration;
//!
//! # let tmp = tempfile::tempdir()?;
//! # let dir = tmp.path().join("run_001/checkpoints");
//! let settings = CheckpointSettings::default().keep_last(3).compression(Compression::LZ4);
//! let mut manager = CheckpointManager::open(&dir, settings)?;
//!
//! for epoch in 0..5 {
//!     let weights = vec![epoch as f32; 1000];
//!     let model = StateDict::from_iter([("layer.0.weight", Tensor::from_vec(weights, [10, 100])?)]);
//!     let moments = StateDict::from_iter([("exp_avg", Tensor::scalar(0.5_f32))]);
//!     let optimizer = StateDict::from_iter([("state", StateDict::from_iter([(0_i64, moments)]))]);
//!     let rng = StateDict::from_iter([("state", Tensor::from_vec(vec![7_u8; 32], [32])?)]);
//!     let snapshot = Snapshot::new(epoch)
//!         .model(model)
//!         .optimizer(optimizer)
//!         .part("rng", rng)
//!         .meta("val_loss", 1.0 / (1.0 + epoch as f64));
//!     let _ticket = manager.save(snapshot)?;
//! }
//! manager.close(Duration::from_secs(60))?; // everything is durable, or this is the error
//!
//! assert_eq!(manager.list_checkpoints()?, [2, 3, 4]);
//! let latest = manager.load_latest()?.expect("three checkpoints exist").checkpoint;
//! let weights = latest.model().unwrap().tensor("layer.0.weight").unwrap();
//! assert_eq!(weights.as_slice::<f32>()?[0], 4.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reading a checkpoint from Python
//! ```python
//! import zarr
//! root = zarr.open_group(zarr.storage.ZipStore("epoch_0004.zarr.zip", mode="r"), mode="r")
//! root["model/layer.0.weight"][:], root["rng/state"][:], root.attrs["metadata"]["val_loss"]
//! ```
//! The plain values of a part are attributes of its group: `dict(root["scheduler"].attrs)`. `bfloat16`
//! and the 8-bit floats, which zarr-python does not know, appear as `uint16` and `uint8` with the
//! attribute `qstore_dtype`.
//!
//! # Guarantees
//! * When a ticket resolves to [`Outcome::Saved`], the checkpoint survives a power cut.
//! * A checkpoint is listed if and only if it is whole: its last entry is a manifest that names every
//!   other entry with its length and checksum.
//! * While a number is saved again, readers see the old checkpoint or the new one, never neither. The
//!   newest save, the best and the pinned are never removed, whatever their number, and nothing is removed
//!   before its successor is durable.
//! * Every byte is verified on load. Damage is an error that names the tensor and the entry; an I/O error
//!   is never reported as damage.
//! * Any number of managers, in any number of threads and processes, may use one directory.
//!
//! # After a crash
//! A process that is killed during a save leaves a file in `.staging`. The next manager that opens the
//! directory removes it after checking that no other process is writing it.

#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("chunks are stored little-endian, as they are in memory");

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod catalog;
mod container;
mod exchange;
mod format;
mod load;
mod manager;
mod save;
mod store;
mod workers;

pub use exchange::{
    MissingChunks, RawTensor, export_safetensors, export_safetensors_in, import_safetensors,
    import_safetensors_flat, import_safetensors_flat_in, import_safetensors_in, load_zarr_group,
    load_zarr_group_in,
};
pub use load::checkpoints::Checkpoints;
pub use load::follow::{Follow, NewSave};
pub use load::memory::{TensorBlock, TensorMemory};
pub use load::reader::{CheckpointReader, TensorInfo};
pub use manager::{CheckpointManager, TrySave};
pub use save::arena::{ArenaError, ArenaStats, StagingArena};
pub use save::settings::{Busy, CheckpointSettings};
pub use save::ticket::SaveTicket;

#[doc(no_inline)]
pub use qstore_checkpoint::{
    Attempt, Checkpoint, CheckpointInfo, CheckpointStore, Counter, Damage, Latest, Layout,
    LoadError, LocalRepository, MemoryStore, OpenError, Outcome, Parts, Rank, SaveError, Saved,
    Select, Snapshot, StateError, repository, retention,
};
#[doc(no_inline)]
pub use qstore_os::Priority;
#[doc(no_inline)]
pub use qstore_schema::{State, StateDict, Tensor};
#[doc(no_inline)]
pub use qstore_settings::{Codec, Compression, SettingError};
#[doc(inline)]
pub use qstore_storage::Locking;
