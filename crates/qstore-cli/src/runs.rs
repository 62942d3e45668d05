//! The runs that paths lead to.

use crate::console::Console;
use crate::failure::Failure;
use crate::place::{Kind, Place};
use qstore_run::{RunDirectory, RunReader};
use std::path::{Path, PathBuf};

/// The directories of all runs that these paths lead to, in their order.
pub(crate) fn find(
    paths: &[PathBuf],
    is_deep: bool,
    verb: &'static str,
) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        let place = Place::find(path)?;
        match place.kind {
            Kind::Run => found.push(path.clone()),
            Kind::Runs => {
                let dir = RunDirectory::new(path);
                found.extend(if is_deep { dir.list_deep()? } else { dir.list()? });
            }
            _ => return Err(place.refused(verb, "runs, or directories of runs")),
        }
    }
    Ok(found)
}

/// The same, open. There must be at least one.
pub(crate) fn open(
    paths: &[PathBuf],
    verb: &'static str,
    console: &Console<'_>,
) -> Result<Vec<RunReader>, Failure> {
    let found = find(paths, false, verb)?;
    if found.is_empty() {
        return Err(Failure::missing("there is no run"));
    }
    found.iter().map(|path| open_one(path, console)).collect()
}

/// Opens a run.
pub(crate) fn open_one(path: &Path, console: &Console<'_>) -> Result<RunReader, Failure> {
    Ok(RunReader::open_in(console.place().clone(), path)?)
}

/// The name of a run: that of its directory.
pub(crate) fn name(run: &RunReader) -> String {
    let name = run.path().file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| run.name().to_owned())
}
