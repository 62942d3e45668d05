//! Importing and exporting states: safetensors files, and Zarr groups written by other programs.

mod foreign;
mod safetensors;

pub use foreign::{MissingChunks, load_zarr_group, load_zarr_group_in};
pub use safetensors::{
    RawTensor, export_safetensors, export_safetensors_in, import_safetensors,
    import_safetensors_flat, import_safetensors_flat_in, import_safetensors_in,
};
