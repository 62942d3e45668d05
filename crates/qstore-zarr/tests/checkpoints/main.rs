//! Checkpoints through the public API: what goes in comes out, whatever happens in between.

// A file system that can be cut off, made to fail, or held at any operation.
use qstore_storage::testing as watched;

/// States for tests, random and hostile ones, and their comparison bit by bit.
mod states;

/// Save, load, list, info, overwrite, retention, foreign files, settings.
mod everyday;

/// Names that try to get out.
mod names;

/// What a random state is when it comes back.
mod round_trip;

/// Power cuts and kills before every storage operation.
mod crash;

/// Every storage operation fails once.
mod faults;

/// Every bit of a checkpoint changed, every length cut, files exchanged.
mod damage;

/// Saves that come too fast, background failures, panics, closing.
mod background;

/// Several managers on one directory.
mod neighbours;

/// Partial loads, directories replaced while they are read, pins and the best.
mod partial;

/// Pins, and power cuts behind them.
mod pins;

/// Every store behind the seam.
mod stores;

/// A full disk, at every number of bytes.
mod full;

/// Tensors that checkpoints share.
mod shared;

/// Several workers that write one directory.
mod crowd;

/// Any order of anything, against a model.
mod histories;

/// More than 4 GiB, on request.
mod large;
