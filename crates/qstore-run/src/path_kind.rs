//! What a path leads to: a run, a directory of runs, a metrics file, checkpoints, or one checkpoint.

use crate::directory::RunDirectory;
use crate::layout::{holds_checkpoints, is_run};
use crate::surroundings::RunPlace;
use qstore_storage::{EntryKind, FileSystem, Result};
use std::path::Path;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathKind {
    /// The directory of a run.
    Run,
    /// A directory in which there are runs.
    RunDirectory,
    /// A metrics file, of any program that writes Parquet.
    MetricsFile,
    /// A directory of checkpoints.
    Checkpoints,
    /// One checkpoint, a file or a directory.
    Checkpoint,
    /// A directory of the files of many ranks.
    Dataset,
    /// An empty directory.
    Empty,
    /// Nothing of ours.
    Other,
    /// There is nothing.
    Missing,
}

impl PathKind {
    /// What that path of the local file system leads to. Only names and the first bytes of a file are looked at.
    ///
    /// ```
    /// use qstore_run::{PathKind, Run, RunSettings};
    ///
    /// # let runs = tempfile::tempdir()?;
    /// assert_eq!(PathKind::of(runs.path())?, PathKind::Empty);
    /// let mut run = Run::create(runs.path(), RunSettings::default())?;
    /// assert_eq!(PathKind::of(runs.path())?, PathKind::RunDirectory);
    /// assert_eq!(PathKind::of(run.path())?, PathKind::Run);
    /// assert_eq!(PathKind::of(run.path().join("metrics.parquet"))?, PathKind::MetricsFile);
    /// assert_eq!(PathKind::of(run.path().join("checkpoints"))?, PathKind::Checkpoints);
    /// # run.finish()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        Self::of_in(&RunPlace::default(), path)
    }

    /// The same in another place.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_in(place: &RunPlace, path: impl AsRef<Path>) -> Result<Self> {
        let files = &*place.files;
        // A link is as good as what it leads to.
        let path = match files.resolve(path.as_ref()) {
            Err(error) if error.is_not_found() => return Ok(Self::Missing),
            resolved => resolved?,
        };
        match files.metadata(&path)?.map(|found| found.kind) {
            None => Ok(Self::Missing),
            Some(EntryKind::Other) => Ok(Self::Other),
            Some(EntryKind::File) => of_file(files, &path),
            Some(EntryKind::Dir) => of_dir(place, &path),
        }
    }
}

fn of_file(files: &dyn FileSystem, path: &Path) -> Result<PathKind> {
    let file = files.open(path)?;
    let mut start = [0; 4];
    if file.len()? < start.len() as u64 {
        return Ok(PathKind::Other);
    }
    file.read_at(0, &mut start)?;
    Ok(match &start {
        b"PAR1" => PathKind::MetricsFile,
        b"PK\x03\x04" => PathKind::Checkpoint,
        _ => PathKind::Other,
    })
}

fn of_dir(place: &RunPlace, dir: &Path) -> Result<PathKind> {
    let files = &*place.files;
    if is_run(files, dir)? {
        return Ok(PathKind::Run);
    }
    let entries = files.list(dir)?;
    let names: Vec<_> = entries.iter().filter_map(|entry| entry.name.to_str()).collect();
    if names.is_empty() {
        return Ok(PathKind::Empty);
    }
    let has = |name: &str| names.contains(&name);
    if has("manifest.json") && has("zarr.json") {
        return Ok(PathKind::Checkpoint);
    }
    if holds_checkpoints(names.iter().copied()) {
        return Ok(PathKind::Checkpoints);
    }
    if names.iter().any(|name| name.starts_with("rank=")) {
        return Ok(PathKind::Dataset);
    }
    let runs = RunDirectory::new_in(place.clone(), dir).list();
    Ok(if runs.is_ok_and(|runs| !runs.is_empty()) {
        PathKind::RunDirectory
    } else {
        PathKind::Other
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::ThisMachine;
    use qstore_storage::{MemoryFs, create_dir_all};
    use std::sync::Arc;

    #[test]
    fn the_kind_is_found_by_names_and_first_bytes() {
        let memory = MemoryFs::new();
        let place = RunPlace::new(Arc::new(memory.clone()), Arc::new(ThisMachine));
        let write = |path: &str, bytes: &[u8]| {
            let path = Path::new(path);
            create_dir_all(&memory, path.parent().unwrap()).unwrap();
            memory.create_new(path).unwrap().write_at(0, bytes).unwrap();
        };
        write("/a/run/run.json", b"{}");
        write("/a/bare/metrics.parquet", b"PAR1");
        write("/c/epoch_0001.zarr.zip", b"PK\x03\x04...");
        write("/early/checkpoints/.qstore.json", b"{}");
        write("/foreign/checkpoints/model.pt", b"PK\x03\x04...");
        write("/tree/manifest.json", b"{}");
        write("/tree/zarr.json", b"{}");
        write("/text", b"hello");
        write("/short", b"PK");
        write("/ranks/rank=0/part-00000.parquet", b"PAR1");
        create_dir_all(&memory, Path::new("/empty")).unwrap();
        for (path, kind) in [
            ("/a", PathKind::RunDirectory),
            ("/a/run", PathKind::Run),
            ("/a/bare", PathKind::Run),
            ("/a/bare/metrics.parquet", PathKind::MetricsFile),
            ("/c", PathKind::Checkpoints),
            ("/c/epoch_0001.zarr.zip", PathKind::Checkpoint),
            ("/tree", PathKind::Checkpoint),
            ("/ranks", PathKind::Dataset),
            ("/early", PathKind::Run),
            ("/foreign", PathKind::Other),
            ("/text", PathKind::Other),
            ("/short", PathKind::Other),
            ("/empty", PathKind::Empty),
            ("/none", PathKind::Missing),
            ("/none/deeper", PathKind::Missing),
        ] {
            assert_eq!(PathKind::of_in(&place, path).unwrap(), kind, "{path}");
            let is_run = is_run(&memory, Path::new(path)).is_ok_and(|is_run| is_run);
            assert_eq!(is_run, kind == PathKind::Run, "{path}");
        }
    }
}
