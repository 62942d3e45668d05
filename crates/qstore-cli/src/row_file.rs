//! A Parquet file that appears as a whole: written by the library's own log in a directory beside its place, and
//! copied there when it is closed.

use crate::failure::Failure;
use qstore_parquet::{Appended, Durability, MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_storage::temporary::{LOCK_SUFFIX, is_temporary, lock_of, unused_name};
use qstore_storage::{
    FileSystem, LocalFs, Lock, Replacement, create_dir_all, parent_of, remove_dir_all,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows that are pending before a row group is written.
const FLUSH_ROWS: usize = 65_536;
/// Bytes are copied in pieces of this size.
const PIECE: u64 = 1 << 20;

const PREFIX: &str = ".qstore-";
const SUFFIX: &str = ".draft";

pub(crate) struct RowFile {
    /// Dropped before its directory is removed.
    log: MetricsLog<Row>,
    draft: Draft,
    path: PathBuf,
    is_forced: bool,
    pending: usize,
    rows: u64,
}

/// A directory that is removed in the end. Its lock tells it from one that a killed process left behind.
struct Draft {
    dir: PathBuf,
    /// Released after the directory is gone.
    _lock: Option<Box<dyn Lock>>,
}

impl Draft {
    fn beside(path: &Path) -> Result<Self, Failure> {
        let (files, parent) = (LocalFs::new(), parent_of(path));
        collect(parent);
        let dir = parent.join(format!("{PREFIX}{}{SUFFIX}", unused_name()));
        let lock = match files.try_lock(&lock_of(&dir)) {
            // Leftovers stay then.
            Err(error) if error.is_unsupported() => None,
            lock => lock?,
        };
        files.create_dir(&dir)?;
        Ok(Self { dir, _lock: lock })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = remove_dir_all(&LocalFs::new(), &self.dir);
    }
}

/// Removes what killed processes left behind. Best effort: a leftover is in nobody's way.
fn collect(parent: &Path) {
    let files = LocalFs::new();
    for entry in files.list(parent).unwrap_or_default() {
        let Some(name) = entry.name.to_str() else { continue };
        let name = name.strip_suffix(LOCK_SUFFIX).unwrap_or(name);
        let unique = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
        if !unique.is_some_and(is_temporary) {
            continue;
        }
        let dir = parent.join(name);
        // Dropping the lock also removes a lock file that was left behind.
        if let Ok(Some(_lock)) = files.try_lock(&lock_of(&dir)) {
            let _ = remove_dir_all(&files, &dir);
        }
    }
}

impl RowFile {
    /// Begins a file. Directories above it are created.
    pub(crate) fn create(path: &Path, run_id: &str, is_forced: bool) -> Result<Self, Failure> {
        create_dir_all(&LocalFs::new(), parent_of(path))?;
        let draft = Draft::beside(path)?;
        let settings = WriterSettings::default()
            .run_id(run_id)
            .durability(Durability::Flush)
            .flush_after(Duration::from_secs(3600));
        let log = MetricsLog::open(draft.dir.join("metrics.parquet"), settings)?;
        Ok(Self { log, draft, path: path.to_path_buf(), is_forced, pending: 0, rows: 0 })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If a value of it cannot be kept: the file would have less than it was given.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), Failure> {
        match self.log.append(row, Instant::now()) {
            Appended::Incomplete(reason) | Appended::Rejected(reason) => {
                let (path, row) = (self.path.clone(), self.rows);
                return Err(Failure::Unkept { path, row, reason });
            }
            _ => {}
        }
        self.rows += 1;
        self.pending += 1;
        if self.pending >= FLUSH_ROWS {
            self.log.flush()?;
            self.pending = 0;
        }
        Ok(())
    }

    /// How many rows were appended.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Publishes the file, and returns its length in bytes.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        self.log.close()?;
        let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        let written = self.draft.dir.join("metrics.parquet");
        if files.metadata(&written)?.is_none() {
            return Err(Failure::usage("there are no rows to write"));
        }
        let written = files.open(&written)?;
        let len = written.len()?;
        let mut public = Replacement::of(&files, &self.path)?;
        let mut bytes = Vec::new();
        for start in (0..len).step_by(PIECE as usize) {
            // bounded: by the size of a piece
            bytes.resize((len - start).min(PIECE) as usize, 0);
            written.read_at(start, &mut bytes)?;
            public.append(&bytes)?;
        }
        if self.is_forced {
            public.commit()?;
        } else {
            let path = self.path.clone();
            public.commit_new().map_err(|error| {
                if error.is_already_exists() { Failure::Exists { path } } else { error.into() }
            })?;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_a_live_draft_stays() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(format!("{PREFIX}{}{SUFFIX}", unused_name()));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("metrics.parquet"), "half").unwrap();
        fs::create_dir(dir.path().join(".qstore-mine.draft")).unwrap();
        let path = dir.path().join("a.parquet");
        let mut live = RowFile::create(&path, "a", false).unwrap();
        let other = RowFile::create(&dir.path().join("b.parquet"), "b", false).unwrap();
        assert!(!left.exists() && live.draft.dir.exists() && other.draft.dir.exists());
        drop(other);
        live.push(&Row::from([("loss", 0.5)])).unwrap();
        live.finish().unwrap();
        assert_eq!(names(dir.path()), [".qstore-mine.draft", "a.parquet"]);
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_mode_and_one_that_appears_is_left_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let write = |is_forced: bool| {
            let mut file = RowFile::create(&path, "a", is_forced).unwrap();
            file.push(&Row::from([("loss", 0.5)])).unwrap();
            file.finish()
        };
        fs::write(&path, "another program's").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(write(false), Err(Failure::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"another program's");
        write(true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_value_that_cannot_be_kept_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = RowFile::create(&dir.path().join("a.parquet"), "a", false).unwrap();
        file.push(&Row::from([("loss", 0.5)])).unwrap();
        let error = file.push(&Row::from([("", 0.5)])).unwrap_err().to_string();
        assert!(error.contains("row 1"), "{error}");
    }
}
