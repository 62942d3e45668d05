//! How tensors and states are coded: chunks, Zarr's metadata, and the structure that Zarr has no word
//! for.

pub(crate) mod aligned;
pub(crate) mod chunking;
pub(crate) mod codec;
pub(crate) mod documents;
pub(crate) mod root_document;
pub(crate) mod structure;

/// The metadata document of every group and array, the root included.
pub(crate) const ZARR_JSON: &str = "zarr.json";
