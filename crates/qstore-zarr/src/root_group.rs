//! The group that the directory of checkpoints is, for `zarr.open_group` on it.
//!
//! A plain `zarr.json`, written once, before the first directory gets its name, and never
//! consolidated: so Zarr finds the members by listing, and they are exactly the committed directories.

use crate::Error;
use crate::directory::CheckpointDir;
use crate::save::ZARR_JSON;
use crate::staging::stage_file;
use serde_json::json;
use zarrs::metadata::v3::GroupMetadataV3;

/// Makes sure that there is one. The caller holds the directory's lock.
pub(crate) fn ensure(dir: &CheckpointDir) -> Result<(), Error> {
    let path = dir.dir.join(ZARR_JSON);
    if dir.storage.metadata(&path)?.is_some() {
        return Ok(()); // ours, or somebody else's, who may have put attributes into it
    }
    let (staging, mut staged) = stage_file(dir, 0)?;
    staged.append(json!(GroupMetadataV3::new()).to_string().as_bytes())?;
    staged.commit(&path)?;
    drop(staging);
    Ok(())
}
