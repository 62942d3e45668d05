//! Reading, creating and changing `run.json`.
//!
//! It is replaced as a whole, so a reader sees the old one or the new one. Everything that changes it first takes
//! a lock and reads it again: a running training and a program that adds a tag lose nothing of each other.

use crate::error::{Result, RunError};
use crate::layout::{RUN_JSON, RUN_JSON_LOCK, is_run};
use crate::run_file::{FORMAT, RunFile, VERSION};
use qstore_storage::{FileSystem, LocalFs, Lock, Locking, Replacement, open_dir, read_up_to};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// More than any run has; a larger file is not read.
const BYTES_MAX: u64 = 64 << 20;
/// How long somebody else may hold the lock. It is held for some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the file of a run; `None` if it has none.
pub(crate) fn read(files: &dyn FileSystem, dir: &Path) -> Result<Option<RunFile>> {
    read_shown(files, dir, dir)
}

/// The same, with another path of the directory for messages.
fn read_shown(files: &dyn FileSystem, dir: &Path, shown: &Path) -> Result<Option<RunFile>> {
    let bytes = match read_up_to(files, &dir.join(RUN_JSON), BYTES_MAX) {
        Err(error) if error.is_not_found() => return Ok(None),
        read => read?,
    };
    parse(&bytes, &shown.join(RUN_JSON)).map(Some)
}

fn parse(bytes: &[u8], path: &Path) -> Result<RunFile> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
        version: u64,
    }
    let malformed = |reason: String| RunError::Malformed { path: path.to_path_buf(), reason };
    let head: Head = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if head.format != FORMAT {
        return Err(malformed(format!("its format is `{}`, not `{FORMAT}`", head.format)));
    }
    if head.version > VERSION {
        let (path, version) = (path.to_path_buf(), head.version);
        return Err(RunError::UnsupportedVersion { path, version });
    }
    serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))
}

/// Creates the file in an open directory, if there is none. `shown` is the path for messages.
pub(crate) fn create(files: &Arc<dyn FileSystem>, shown: &Path, run: &RunFile) -> Result<()> {
    let bytes = bytes_of(run, shown)?;
    let mut draft = Replacement::of(files, Path::new(RUN_JSON))?;
    draft.append(&bytes)?;
    Ok(draft.commit_new()?)
}

fn bytes_of(run: &RunFile, shown: &Path) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(run).expect("maps with texts as keys are JSON");
    bytes.push(b'\n');
    let (len, max) = (bytes.len() as u64, BYTES_MAX);
    if len > max {
        return Err(RunError::TooLong { path: shown.join(RUN_JSON), bytes: len, max });
    }
    Ok(bytes)
}

/// Changes the file in an open directory under its lock, and returns what it is then. `shown` is the path for
/// messages.
pub(crate) fn edit(
    files: &Arc<dyn FileSystem>,
    shown: &Path,
    locking: Locking,
    change: impl FnOnce(&mut RunFile) -> Result<()>,
) -> Result<RunFile> {
    // mutant: run_json_changed_without_its_lock
    let _lock = lock(&**files, shown, locking)?;
    let run = read_shown(&**files, Path::new(""), shown)?;
    let mut run = run.ok_or_else(|| RunError::NoRunJson { path: shown.to_path_buf() })?;
    let before = run.clone();
    change(&mut run)?;
    if run != before {
        let bytes = bytes_of(&run, shown)?;
        let mut draft = Replacement::of(files, Path::new(RUN_JSON))?;
        draft.append(&bytes)?;
        draft.commit()?;
    }
    Ok(run)
}

fn lock(files: &dyn FileSystem, shown: &Path, locking: Locking) -> Result<Box<dyn Lock>> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(lock) = locking.try_lock(files, Path::new(RUN_JSON_LOCK))? {
            return Ok(lock);
        }
        let waited = started.elapsed();
        if waited >= PATIENCE {
            return Err(RunError::Busy { path: shown.join(RUN_JSON), waited });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Changes the `run.json` of the run in `dir`, while the run goes on or not, and returns what it is then. Nobody
/// else changes it meanwhile; a reader sees the old one or the new one.
///
/// ```
/// use qstore_run::{Run, RunReader, RunSettings, edit_run_json};
///
/// # let runs = tempfile::tempdir()?;
/// let mut run = Run::create(runs.path(), RunSettings::default())?;
/// edit_run_json(run.path(), |file| file.tags.push("best so far".into()))?;
/// run.finish()?;
/// assert_eq!(RunReader::open(run.path())?.run_json().tags, ["best so far"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`RunError::NotARun`]; [`RunError::NoRunJson`] if the run has none; [`RunError::TooLong`]; [`RunError::Busy`] if somebody else changes it for 10 s;
/// [`RunError::Storage`], also where the file system has no locks: see [`edit_run_json_in`].
pub fn edit_run_json(dir: impl AsRef<Path>, change: impl FnOnce(&mut RunFile)) -> Result<RunFile> {
    edit_run_json_in(&(Arc::new(LocalFs::new()) as _), dir, Locking::Required, change)
}

/// As [`edit_run_json`], on any file system, and with a choice for those without locks.
///
/// # Errors
/// As [`edit_run_json`].
pub fn edit_run_json_in(
    files: &Arc<dyn FileSystem>,
    dir: impl AsRef<Path>,
    locking: Locking,
    change: impl FnOnce(&mut RunFile),
) -> Result<RunFile> {
    let dir = dir.as_ref();
    let opened = open_dir(files, dir)?;
    let edited = edit(&opened, dir, locking, |run| {
        change(run);
        Ok(())
    });
    match edited {
        Err(RunError::NoRunJson { path }) if !is_run(&**files, dir)? => {
            Err(RunError::NotARun { path })
        }
        edited => edited,
    }
}
