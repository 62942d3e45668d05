//! A safetensors file, saved as durably as a checkpoint of ours.

use crate::Result;
use crate::harness::durable;
use qstore_schema::Tensor;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::path::Path;

/// Replaces the file: synced, renamed, directory synced.
pub(crate) fn save(path: &Path, tensors: &[(&str, &Tensor)]) -> Result {
    durable::replace(path, |path| {
        let mut views = Vec::with_capacity(tensors.len());
        for &(name, tensor) in tensors {
            views.push((name, TensorView::new(Dtype::F32, tensor.shape().into(), tensor.data())?));
        }
        Ok(serialize_to_file(views, None, path)?)
    })
}
