//! A directory of runs: finding them, and the next free name.

use crate::error::{Result, RunError};
use crate::layout::is_run;
use crate::reader::RunReader;
use crate::surroundings::RunPlace;
use qstore_storage::{EntryKind, create_dir_all, parent_of};
use std::cmp::Reverse;
use std::path::{Path, PathBuf};

/// How deep runs are looked for.
const DEPTH_MAX: usize = 16;

/// A directory of runs.
///
/// ```
/// use qstore_run::{Run, RunDirectory, RunSettings};
///
/// # let runs = tempfile::tempdir()?;
/// for _ in 0..2 {
///     Run::create(runs.path(), RunSettings::default())?.finish()?;
/// }
/// let found = RunDirectory::new(runs.path()).list()?;
/// let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
/// assert_eq!(names, ["run_001", "run_002"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunDirectory {
    place: RunPlace,
    path: PathBuf,
}

impl RunDirectory {
    /// That directory on the local file system.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::new_in(RunPlace::default(), path)
    }

    /// That directory in another place.
    #[must_use]
    pub fn new_in(place: RunPlace, path: impl AsRef<Path>) -> Self {
        Self { place, path: path.as_ref().to_path_buf() }
    }

    /// The paths of the runs directly in the directory, sorted by their names, numbers in names by their value. A
    /// run is a directory with a `run.json`, a `metrics.parquet` or checkpoints. Costs a look at each entry and reads
    /// nothing.
    ///
    /// # Errors
    /// If the directory cannot be read. Those in it that cannot be looked into are left out.
    pub fn list(&self) -> Result<Vec<PathBuf>> {
        self.find(1)
    }

    /// The runs at any depth, up to 16 levels. Nothing is looked for in a run, in a hidden directory, or behind a
    /// link.
    ///
    /// # Errors
    /// If the directory cannot be read. Those below it that cannot be read are left out.
    pub fn list_deep(&self) -> Result<Vec<PathBuf>> {
        self.find(DEPTH_MAX)
    }

    /// A reader of each run directly in the directory, or the error with which it could not be opened.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn readers(&self) -> Result<Vec<(PathBuf, Result<RunReader>)>> {
        let open = |path: PathBuf| {
            let reader = RunReader::open_in(self.place.clone(), &path);
            (path, reader)
        };
        Ok(self.list()?.into_iter().map(open).collect())
    }

    /// The path of the run with the largest number in a name of the form `run_001`. A directory of that name which
    /// is not a run is passed over.
    ///
    /// # Errors
    /// If the directory exists and cannot be read, or one in it with a larger number cannot be looked into.
    pub fn latest(&self) -> Result<Option<PathBuf>> {
        let entries = match self.place.files.list(&self.path) {
            Err(error) if error.is_not_found() => return Ok(None),
            listed => listed?,
        };
        let runs = entries.iter().filter(|entry| entry.kind == EntryKind::Dir);
        let numbers = runs.filter_map(|entry| Some((number_of(entry.name.to_str()?)?, entry)));
        let mut newest_first: Vec<_> = numbers.collect();
        newest_first.sort_unstable_by_key(|(number, _)| Reverse(*number));
        for (_, entry) in newest_first {
            let path = self.path.join(&entry.name);
            if is_run(&*self.place.files, &path)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn find(&self, depth: usize) -> Result<Vec<PathBuf>> {
        let files = &*self.place.files;
        let mut found = Vec::new();
        let mut left = vec![(self.path.clone(), depth)];
        while let Some((dir, depth)) = left.pop() {
            let entries = match files.list(&dir) {
                Err(_) if dir != self.path => continue,
                listed => listed?,
            };
            for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::Dir) {
                if entry.name.to_string_lossy().starts_with('.') {
                    continue;
                }
                let path = dir.join(entry.name);
                match is_run(files, &path) {
                    Ok(true) => found.push(path),
                    Ok(false) if depth > 1 => left.push((path, depth - 1)),
                    Ok(false) | Err(_) => {}
                }
            }
        }
        found.sort_by_cached_key(|path| sort_key(path));
        Ok(found)
    }

    /// Creates the directory of a new run: of that name, or of the next number.
    pub(crate) fn create(&self, name: Option<&str>) -> Result<PathBuf> {
        let files = &*self.place.files;
        create_dir_all(files, &self.path)?;
        let path = match name {
            Some(name) => {
                let path = self.path.join(name);
                match files.create_dir(&path) {
                    Err(error) if error.is_already_exists() => {
                        return Err(RunError::Exists { path });
                    }
                    created => created?,
                }
                path
            }
            None => self.create_numbered()?,
        };
        files.sync_dir(parent_of(&path))?;
        Ok(path)
    }

    /// Another process may take the same number: the file system decides.
    fn create_numbered(&self) -> Result<PathBuf> {
        let files = &*self.place.files;
        let entries = files.list(&self.path)?;
        let numbers = entries.iter().filter_map(|entry| number_of(entry.name.to_str()?));
        let mut number = numbers.max().unwrap_or(0);
        loop {
            number += 1;
            let path = self.path.join(format!("run_{number:03}"));
            match files.create_dir(&path) {
                Err(error) if error.is_already_exists() => {}
                created => return Ok(created.map(|()| path)?),
            }
        }
    }
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("run_")?;
    let is_number = digits.len() >= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // One more must be possible.
    is_number.then(|| digits.parse().ok())?.filter(|number| *number < u64::MAX)
}

/// The path with each number in it as a value: `run_2` comes before `run_10`.
fn sort_key(path: &Path) -> Vec<(String, u64)> {
    let text = path.to_string_lossy();
    let mut key = Vec::new();
    let mut rest = &*text;
    while !rest.is_empty() {
        let digits_at = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(digits_at);
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        key.push((word.to_owned(), after[..digits].parse().unwrap_or(u64::MAX)));
        rest = &after[digits..];
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{METRICS, RUN_JSON};
    use crate::surroundings::ThisMachine;
    use qstore_storage::{FileSystem, MemoryFs};
    use std::sync::Arc;

    fn directory() -> (MemoryFs, RunDirectory) {
        let memory = MemoryFs::new();
        let place = RunPlace::new(Arc::new(memory.clone()), Arc::new(ThisMachine));
        (memory, RunDirectory::new_in(place, "/runs"))
    }

    #[test]
    fn a_new_run_has_the_number_after_the_largest() {
        let (memory, runs) = directory();
        assert_eq!(runs.latest().unwrap(), None);
        assert_eq!(runs.create(None).unwrap(), Path::new("/runs/run_001"));
        assert_eq!(runs.create(None).unwrap(), Path::new("/runs/run_002"));
        for name in ["run_0100", "run_x", "run_7", "other", "run_18446744073709551615"] {
            memory.create_dir(&Path::new("/runs").join(name)).unwrap();
        }
        assert_eq!(runs.create(None).unwrap(), Path::new("/runs/run_101"));
        assert_eq!(runs.latest().unwrap(), None, "a directory alone is not a run");
        for name in ["run_002", "run_0100"] {
            memory.create_new(&Path::new("/runs").join(name).join(RUN_JSON)).unwrap();
        }
        assert_eq!(runs.latest().unwrap().unwrap(), Path::new("/runs/run_0100"));
        assert!(matches!(runs.create(Some("other")), Err(RunError::Exists { .. })));
        assert_eq!(runs.create(Some("new")).unwrap(), Path::new("/runs/new"));
        assert!(memory.power_cut().metadata(Path::new("/runs/new")).unwrap().is_some());
    }

    #[test]
    fn runs_are_found_where_they_are_and_sorted_by_number() {
        let (memory, runs) = directory();
        for name in ["run_10", "run_9", "a/b/deep", "run_9/checkpoints/x", ".hidden/run_1", "empty"]
        {
            create_dir_all(&memory, &Path::new("/runs").join(name)).unwrap();
        }
        for (dir, name) in [
            ("run_10", RUN_JSON),
            ("run_9", METRICS),
            ("run_9/checkpoints/x", RUN_JSON),
            ("a/b/deep", RUN_JSON),
            (".hidden/run_1", RUN_JSON),
        ] {
            memory.create_new(&Path::new("/runs").join(dir).join(name)).unwrap();
        }
        let below = |paths: Vec<PathBuf>| -> Vec<String> {
            let name = |path: PathBuf| path.strip_prefix("/runs").unwrap().display().to_string();
            paths.into_iter().map(name).collect()
        };
        assert_eq!(below(runs.list().unwrap()), ["run_9", "run_10"]);
        assert_eq!(below(runs.list_deep().unwrap()), ["a/b/deep", "run_9", "run_10"]);
    }
}
