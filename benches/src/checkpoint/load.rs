//! A load in a process of its own, as when a training run is resumed: all its memory is new.
//!
//! Getting memory from the system costs more than reading into it. In the bench's own process it
//! would depend on what earlier turns left with the allocator whether that has to be paid, and the
//! comparison would be a toss.

use super::peak;
use crate::harness::this_program;
use crate::workload::model;
use crate::{Result, checkpoint};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::ffi::OsStr;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// A way to load: its name on the command line, and the load itself, which tells its seconds.
pub(crate) type Kind = (&'static str, fn(&Path) -> Result<f64>);

/// A directory of checkpoints, by its manager.
pub(crate) const QSTORE: Kind = ("qstore", qstore);

/// One tensor of a directory of checkpoints.
pub(crate) const QSTORE_ONE: Kind = ("qstore-one", qstore_one);

/// A safetensors file; the tensors are views of what was read.
pub(crate) const SAFETENSORS: Kind =
    ("safetensors", |path| safetensors(path, |view| view.data().len()));

/// A safetensors file; every tensor gets memory of its own.
pub(crate) const SAFETENSORS_OWNED: Kind =
    ("safetensors-owned", |path| safetensors(path, |view| view.data().to_vec()));

/// A file as it is.
pub(crate) const BYTES: Kind = ("bytes", bytes);

const KINDS: [Kind; 7] =
    [QSTORE, QSTORE_ONE, SAFETENSORS, SAFETENSORS_OWNED, BYTES, peak::PEAK, peak::PEAK_1GB];

/// The word that makes a child do one load.
pub(crate) const CHILD: &str = "load";

/// Loads in a new process; the seconds it took there, the start of the process not included.
pub(crate) fn in_new_process((name, _): Kind, path: &Path) -> Result<f64> {
    Ok(this_program::ask(CHILD, [OsStr::new(name), path.as_os_str()])?.parse()?)
}

/// Loads in this process.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [name, path] = arguments else { return Err("a way to load, and a path".into()) };
    let kind = KINDS.iter().find(|(known, _)| known == name);
    let (_, load) = kind.ok_or_else(|| format!("there is no way to load called `{name}`"))?;
    Ok(load(Path::new(path))?.to_string())
}

fn qstore(dir: &Path) -> Result<f64> {
    let manager = CheckpointManager::open(dir, CheckpointSettings::default())?;
    let started = Instant::now();
    let loaded = black_box(manager.load(checkpoint::EPOCH)?);
    complete(loaded.model().unwrap().len(), started.elapsed().as_secs_f64())
}

fn qstore_one(dir: &Path) -> Result<f64> {
    let started = Instant::now();
    let reader = Checkpoints::open(dir)?.reader(checkpoint::EPOCH)?;
    black_box(reader.tensor(model::ONE_TENSOR)?);
    Ok(started.elapsed().as_secs_f64())
}

fn safetensors<T>(path: &Path, keep: impl Fn(&TensorView<'_>) -> T) -> Result<f64> {
    let started = Instant::now();
    let bytes = fs::read(path)?;
    let views = SafeTensors::deserialize(&bytes)?;
    let loaded: Vec<T> = black_box(views.iter().map(|(_, view)| keep(&view)).collect());
    complete(loaded.len(), started.elapsed().as_secs_f64())
}

fn bytes(path: &Path) -> Result<f64> {
    let started = Instant::now();
    black_box(fs::read(path)?);
    Ok(started.elapsed().as_secs_f64())
}

fn complete(tensors: usize, took: f64) -> Result<f64> {
    match tensors {
        model::TENSORS => Ok(took),
        _ => Err(format!("{tensors} tensors were loaded, not {}", model::TENSORS).into()),
    }
}
