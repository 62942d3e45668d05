//! The runs that are shown, each under a number that was given to it here.
//!
//! Invariant: a request names a run by its number, which is a place in a list. No text of a request becomes a path.

use crate::error::PageError;
use qstore_run::{RunDirectory, RunPlace, RunReader};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The names in the directory of a run whose changes are seen.
const WATCHED: [&str; 5] =
    ["run.json", "metrics.parquet", "system.parquet", "jobs.parquet", "checkpoints"];

/// Where the runs are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Source {
    /// All runs in a directory, also those that are created later.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Whether runs in directories of the directory are meant, too.
        is_deep: bool,
    },
    /// These runs.
    Runs(Vec<PathBuf>),
}

/// A run that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number.
    pub(crate) id: usize,
    /// Its directory.
    pub(crate) path: PathBuf,
    /// Its name, which may be anything.
    pub(crate) name: String,
}

/// What the files of a run were when they were looked at: another version, other contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Version(u64);

impl Version {
    /// As text, for a page to compare.
    pub(crate) fn text(self) -> String {
        format!("{:x}", self.0)
    }
}

/// The runs that were seen so far. A number is never given to another run.
#[derive(Debug)]
pub(crate) struct Catalog {
    place: RunPlace,
    source: Source,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    paths: Vec<PathBuf>,
    ids: HashMap<PathBuf, usize>,
}

impl Catalog {
    pub(crate) fn new(place: RunPlace, source: Source) -> Self {
        Self { place, source, seen: Mutex::default() }
    }

    /// In which directory the runs are, for a title.
    pub(crate) fn title(&self) -> String {
        let of = |path: &Path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.unwrap_or_else(|| path.display().to_string())
        };
        match &self.source {
            Source::Directory { path, .. } => of(path),
            Source::Runs(paths) => match &**paths {
                [one] => of(one),
                paths => format!("{} runs", paths.len()),
            },
        }
    }

    /// The runs that exist now.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, PageError> {
        let paths = match &self.source {
            Source::Directory { path, is_deep } => {
                let dir = RunDirectory::new_in(self.place.clone(), path);
                if *is_deep { dir.list_deep()? } else { dir.list()? }
            }
            Source::Runs(paths) => paths.clone(),
        };
        let mut seen = self.seen();
        Ok(paths.into_iter().map(|path| self.listed(seen.id_of(&path), path)).collect())
    }

    /// The run of that number, if there was one.
    pub(crate) fn find(&self, id: usize) -> Option<Listed> {
        let path = self.seen().paths.get(id)?.clone();
        Some(self.listed(id, path))
    }

    pub(crate) fn open(&self, run: &Listed) -> Result<RunReader, PageError> {
        Ok(RunReader::open_in(self.place.clone(), &run.path)?)
    }

    /// What the files of a run are now. Costs a look at five names.
    pub(crate) fn version(&self, run: &Listed) -> Version {
        let mut hasher = DefaultHasher::new();
        for name in WATCHED {
            let stamp = self.place.files.stamp(&run.path.join(name));
            // A stamp has no other form that can be hashed. What cannot be seen is as if it did not exist.
            stamp.ok().flatten().map(|stamp| format!("{stamp:?}")).hash(&mut hasher);
        }
        Version(hasher.finish())
    }

    fn listed(&self, id: usize, path: PathBuf) -> Listed {
        let base = match &self.source {
            Source::Directory { path, .. } => Some(path),
            Source::Runs(_) => None,
        };
        // Below other directories the last name alone may not tell runs apart.
        let short = base.and_then(|base| path.strip_prefix(base).ok()).map(Path::to_path_buf);
        let short = short.or_else(|| path.file_name().map(PathBuf::from));
        let name = short.unwrap_or_else(|| path.clone()).to_string_lossy().into_owned();
        Listed { id, path, name }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A list that is only added to is whole whenever a thread may have panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn id_of(&mut self, path: &Path) -> usize {
        if let Some(id) = self.ids.get(path) {
            return *id;
        }
        let id = self.paths.len();
        self.paths.push(path.to_path_buf());
        self.ids.insert(path.to_path_buf(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_run::ThisMachine;
    use qstore_storage::{FileSystem, MemoryFs, create_dir_all};
    use std::sync::Arc;

    #[test]
    fn a_number_stays_with_its_run() {
        let memory = MemoryFs::new();
        let place = RunPlace::new(Arc::new(memory.clone()), Arc::new(ThisMachine));
        let make = |name: &str| {
            let dir = Path::new("/runs").join(name);
            create_dir_all(&memory, &dir).unwrap();
            memory.create_new(&dir.join("run.json")).unwrap();
        };
        make("run_002");
        let path = PathBuf::from("/runs");
        let catalog = Catalog::new(place, Source::Directory { path, is_deep: false });
        let names = || -> Vec<_> {
            catalog.list().unwrap().into_iter().map(|run| (run.id, run.name)).collect()
        };
        assert_eq!(names(), [(0, "run_002".into())]);
        make("run_001");
        assert_eq!(names(), [(1, "run_001".into()), (0, "run_002".into())]);
        assert_eq!(catalog.find(0).unwrap().path, Path::new("/runs/run_002"));
        assert_eq!(catalog.find(2), None);

        let run = catalog.find(0).unwrap();
        let before = catalog.version(&run);
        assert_eq!(catalog.version(&run), before);
        let file = memory.open(&run.path.join("run.json")).unwrap();
        drop(file);
        memory.create_new(&run.path.join("metrics.parquet")).unwrap();
        assert_ne!(catalog.version(&run), before);
    }
}
