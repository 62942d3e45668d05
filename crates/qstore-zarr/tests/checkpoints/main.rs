//! Checkpoints through the public API: what goes in comes out, whatever happens in between.

// A file system that can be cut off, made to fail, or held at any operation.
use qstore_storage::testing as watched;

/// Random and hostile states for tests, and bit-by-bit comparison.
mod states;

/// Save, load, list, info, overwrite, retention, foreign files, settings.
mod everyday;

/// Names that try to escape the directory.
mod names;

/// Random states come back exactly as they were saved.
mod round_trip;

/// Power cuts and kills before every storage operation.
mod crash;

/// Every storage operation fails once.
mod faults;

/// Every bit of a checkpoint flipped, every length truncated, files swapped.
mod damage;

/// Saves in quick succession, background failures, panics, closing.
mod background;

/// Several managers on one directory.
mod neighbors;

/// A directory that is renamed, removed or exchanged under a manager.
mod displaced;

/// What others put under the names of checkpoints.
mod foreign;

/// Partial loads, directories replaced while they are read, pins and the best.
mod partial;

/// The best is never removed, and a rule without a metric is reported.
mod best;

/// Pins, and power cuts right after them.
mod pins;

/// The conformance kit, on every store.
mod stores;

/// Checkpoints that are opened by their path.
mod by_path;

/// Directories that cannot be renamed.
mod fixed;

/// A disk that fills up at every byte count.
mod full;

/// Tensors shared between checkpoints.
mod shared;

/// Several workers writing one directory.
mod crowd;

/// Random sequences of operations, checked against a model.
mod histories;

/// More than 4 GiB, only on request.
mod large;
