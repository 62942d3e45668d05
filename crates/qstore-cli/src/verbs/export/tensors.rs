//! A checkpoint as a safetensors file. The plain values beside the tensors go into its metadata, as the library
//! writes them, so that the state can be read back as it was.

use crate::failure::Failure;
use crate::place::{Kind, Place};
use qstore_schema::StateDict;
use qstore_zarr::{CheckpointReader, Checkpoints, export_safetensors};
use std::path::Path;

/// Writes all parts of a checkpoint, or the model alone if that is all there is. Returns the number of tensors, and
/// the length of the file.
pub(super) fn write(
    place: &Place,
    number: Option<u64>,
    output: &Path,
) -> Result<(usize, u64), Failure> {
    let checkpoint = match (place.kind, number) {
        (Kind::Checkpoint, None) => CheckpointReader::open(&place.path)?.checkpoint()?,
        (Kind::Checkpoint, Some(_)) => {
            return Err(Failure::usage("--epoch chooses from a directory of checkpoints"));
        }
        (_, number) => {
            let dir = place.checkpoints("export")?;
            let checkpoints = Checkpoints::open(&dir)?;
            let Some(number) = number
                .map_or_else(|| checkpoints.latest_checkpoint(), |number| Ok(Some(number)))?
            else {
                return Err(Failure::missing(format!("{} has no checkpoint", dir.display())));
            };
            checkpoints.load(number)?
        }
    };
    let parts: Vec<_> = checkpoint.parts.iter().collect();
    let state: StateDict = match &*parts {
        [(_, only)] => (*only).clone(),
        parts => parts.iter().map(|(name, state)| (*name, (*state).clone())).collect(),
    };
    let bytes = export_safetensors(output, &state)?;
    Ok((state.tensors().count(), bytes))
}
