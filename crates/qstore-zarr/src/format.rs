//! How tensors and states are encoded: chunks, Zarr metadata, and the structure that Zarr cannot express.

pub(crate) mod aligned;
pub(crate) mod chunking;
pub(crate) mod codec;
pub(crate) mod documents;
pub(crate) mod root_document;
pub(crate) mod seconds;
pub(crate) mod structure;

/// The metadata document of every group and array, the root included.
pub(crate) const ZARR_JSON: &str = "zarr.json";
