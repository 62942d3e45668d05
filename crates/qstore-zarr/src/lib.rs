//! Checkpoints that are saved in the background, appear as a whole or not at all, and are verified
//! when they are loaded.
//!
//! [`CheckpointManager::save`] takes a snapshot of a model and an optimizer, which costs nothing but
//! reference counts, and returns a [`SaveTicket`]. A background thread compresses it, writes one file
//! per checkpoint, syncs it, and only then gives it its name, `epoch_0042.zarr.zip`: a Zarr v3
//! hierarchy in a stored zip, which zarr-python opens as it is. [`Layout::Directory`] makes it a
//! directory `epoch_0042` instead, under the same promises.
//!
//! | to | use |
//! |---|---|
//! | save from borrowed memory | [`StagingArena`] |
//! | read without writing, or only some tensors | [`Checkpoints`], [`CheckpointReader`], [`Select`] |
//! | keep the best, every tenth, or one for good | [`CheckpointSettings::keep_best`], `keep_every`, [`CheckpointManager::pin`] |
//! | know what will be removed and why | [`CheckpointManager::explain`], [`retention`] |
//! | choose the place at run time | [`CheckpointStore`], [`MemoryStore`], [`conformance`] |
//! | move in and out | [`import_safetensors`], [`export_safetensors`], [`load_zarr_group`] |
//!
//! What it is **not**: not a training framework's own saver (states are [`StateDict`]s), not an
//! object store, not a database of experiments; the compressors are Zarr's. Depend on it alone when
//! all you want is checkpoints.
//!
//! ```
//! use qstore_schema::{State, StateDict, Tensor};
//! use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression};
//! use std::time::Duration;
//!
//! # let tmp = tempfile::tempdir()?;
//! # let dir = tmp.path().join("run_001/checkpoints");
//! let settings = CheckpointSettings::default().keep_last(3).compression(Compression::Lz4);
//! let mut manager = CheckpointManager::open(&dir, settings)?;
//!
//! for epoch in 0..5 {
//!     let weights = vec![epoch as f32; 1000];
//!     let model = StateDict::from_iter([("layer.0.weight", Tensor::from_vec(weights, [10, 100])?)]);
//!     let moments = StateDict::from_iter([("exp_avg", Tensor::scalar(0.5_f32))]);
//!     let optimizer = StateDict::from_iter([("state", StateDict::from_iter([(0_i64, moments)]))]);
//!     let metadata = StateDict::from_iter([("val_loss", State::from(1.0 / (1.0 + epoch as f64)))]);
//!     let _ticket = manager.save(epoch, model, Some(optimizer), Some(metadata))?;
//! }
//! manager.close(Duration::from_secs(60))?; // everything is durable, or this is the error
//!
//! assert_eq!(manager.list_checkpoints()?, [2, 3, 4]);
//! let latest = manager.load_latest()?.expect("three checkpoints are there");
//! let weights = latest.checkpoint.model_state.tensor("layer.0.weight").unwrap();
//! assert_eq!(weights.as_slice::<f32>()?[0], 4.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reading it elsewhere
//! ```python
//! import zarr
//! root = zarr.open_group(zarr.storage.ZipStore("epoch_0004.zarr.zip", mode="r"), mode="r")
//! root["model/layer.0.weight"][:], root.attrs["metadata"]["val_loss"]
//! ```
//! `bfloat16` and the 8-bit floats, which zarr-python does not know, appear as `uint16` and `uint8`
//! with the attribute `qstore_dtype`.
//!
//! # What holds
//! * A ticket that resolves to `Ok` speaks of a checkpoint that survives a power cut.
//! * A checkpoint is listed if and only if it is whole: its last entry is a manifest that names every
//!   other entry with its length and checksum.
//! * Saving an epoch again shows the old checkpoint or the new one, never neither. The newest save, the
//!   best and the pinned are never removed, whatever their epoch, and nothing before its successor is
//!   durable.
//! * Every byte is verified on load. Damage is an error that names the tensor and the entry.
//! * Any number of managers, threads or processes, may use one directory.
//!
//! # Crash
//! A process that is killed while it saves leaves a file in `.staging`; the next manager that opens
//! the directory removes it, once it has made sure that nobody is writing it.

#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("chunks are stored little-endian, as they lie in memory");

mod aligned;
mod archive;
mod arena;
mod blocking;
mod choice;
mod chunking;
mod codec;
pub mod conformance;
mod container;
mod dedup;
mod directory;
mod documents;
mod entry;
mod error;
mod fetch;
mod foreign;
mod intake;
mod load;
mod manager;
mod manifest;
mod memory_store;
mod names;
mod ordered;
mod output;
mod pin;
mod plan;
mod reader;
mod removal;
pub mod retention;
mod root;
mod root_group;
mod safetensors;
mod save;
mod settings;
mod spread;
mod staging;
mod store;
mod structure;
mod ticket;
mod tree;
mod unsynced;
mod view;
mod zip_format;

pub use arena::{ArenaStats, StagingArena};
pub use error::{Damage, Error};
pub use foreign::{MissingChunks, load_zarr_group, load_zarr_group_in};
pub use load::{Checkpoint, CheckpointInfo, Latest};
pub use manager::CheckpointManager;
pub use memory_store::MemoryStore;
pub use qstore_os::Priority;
pub use reader::{CheckpointReader, Select, TensorInfo};
pub use safetensors::{
    export_safetensors, export_safetensors_in, import_safetensors, import_safetensors_in,
};
pub use save::Saved;
pub use settings::{Busy, CheckpointSettings, Compression, Layout};
pub use store::CheckpointStore;
pub use ticket::SaveTicket;
pub use view::Checkpoints;

#[cfg(doc)]
use qstore_schema::StateDict;
