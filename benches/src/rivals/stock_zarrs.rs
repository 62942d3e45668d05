//! zarrs with its own file-system store, as a peer: one array per tensor, chunks of about 1 MiB,
//! Blosc and crc32c like ours; then everything synced that it leaves unsynced.

use crate::Result;
use qstore_schema::Tensor;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use zarrs::array::codec::{BloscCodec, BloscCompressor, BloscShuffleMode, Crc32cCodec};
use zarrs::array::{ArrayBuilder, FillValue};
use zarrs::filesystem::FilesystemStore;
use zarrs::group::GroupBuilder;

/// Writes the tensors under `dir`, which is replaced, and syncs what the store does not.
pub(crate) fn save(dir: &Path, tensors: &[(&str, &Tensor)]) -> Result {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir(dir)?;
    let store = Arc::new(FilesystemStore::new(dir)?);
    GroupBuilder::new().build(Arc::clone(&store), "/model")?.store_metadata()?;
    for (name, tensor) in tensors {
        let shape: Vec<u64> = tensor.shape().iter().map(|length| *length as u64).collect();
        let row_bytes = 4 * shape[1..].iter().product::<u64>();
        let mut chunk = shape.clone();
        chunk[0] = ((1 << 20) / row_bytes.max(1)).clamp(1, shape[0]);
        let level = 3.try_into().map_err(|level| format!("level {level}"))?;
        let shuffle = BloscShuffleMode::BitShuffle;
        let blosc = BloscCodec::new(BloscCompressor::LZ4, level, None, shuffle, Some(4))?;
        let array = ArrayBuilder::new(shape, chunk, "float32", FillValue::new(vec![0; 4]))
            .bytes_to_bytes_codecs(vec![Arc::new(blosc), Arc::new(Crc32cCodec::new())])
            .build(Arc::clone(&store), &format!("/model/{name}"))?;
        array.store_metadata()?;
        array.store_array_subset(&array.subset_all(), tensor.as_slice::<f32>()?)?;
    }
    sync(dir)
}

/// The store syncs each file, but no directory.
fn sync(dir: &Path) -> Result {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        }
    }
    Ok(File::open(dir)?.sync_all()?)
}
