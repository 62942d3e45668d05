//! How far the memory of a process rises during a save.

use crate::Result;
use crate::checkpoint::TIMEOUT;
use crate::workload::model::{self, Size};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression, Snapshot};
use std::fs;
use std::path::Path;

/// What a child is asked for, and what answers.
type Kind = (&'static str, fn(&Path) -> Result<f64>);

/// A process that saves twice and tells how far its memory rose.
pub(super) const PEAK: Kind = ("peak", |dir| peak(dir, model::MB_100));
pub(super) const PEAK_1GB: Kind = ("peak-1gb", |dir| peak(dir, model::GB_1));

fn peak(dir: &Path, size: Size) -> Result<f64> {
    let model = model::bf16_like(size)?;
    let settings = CheckpointSettings::default().compression(Compression::LZ4);
    let manager = CheckpointManager::open(dir, settings)?;
    manager.save(Snapshot::new(0).model(model.clone()))?.wait(TIMEOUT)?;
    fs::write("/proc/self/clear_refs", "5")?; // the highest so far is forgotten
    let before = memory("VmRSS:")?;
    manager.save(Snapshot::new(0).model(model.clone()))?.wait(TIMEOUT)?;
    Ok((memory("VmHWM:")? - before) / 1e3)
}

/// Kilobytes of this process.
fn memory(what: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("no such line")?;
    Ok(number.parse()?)
}
