//! A Parquet file that appears as a whole: written by the library's own log in a directory beside its place, and
//! copied there when it is closed.

use crate::failure::Failure;
use crate::writer_lock;
use qstore_parquet::{Appended, Durability, MetricsLog, WriterSettings};
use qstore_schema::{Field, Row};
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
    /// Dropped before its directory is removed. `None` until a column is known.
    log: Option<MetricsLog<Row>>,
    draft: Draft,
    path: PathBuf,
    run_id: String,
    /// What it is known to have before there is a value.
    columns: Vec<Field>,
    /// Held while an existing file is replaced.
    _lock: Option<Box<dyn Lock>>,
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
        let lock = writer_lock::hold(path, is_forced)?;
        Ok(Self {
            log: None,
            draft: Draft::beside(path)?,
            path: path.to_path_buf(),
            run_id: run_id.to_owned(),
            columns: Vec::new(),
            _lock: lock,
            is_forced,
            pending: 0,
            rows: 0,
        })
    }

    /// Columns that the file has, whether or not a row has a value of them. Known before the first row; of two
    /// with one name the first counts.
    pub(crate) fn columns(&mut self, fields: impl IntoIterator<Item = Field>) {
        for field in fields {
            if self.columns.iter().all(|known| known.name != field.name) {
                self.columns.push(field);
            }
        }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If a value of it cannot be kept: the file would have less than it was given.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), Failure> {
        if self.log.is_none() && row.is_empty() && self.columns.is_empty() {
            // A file without columns has no rows: they wait for the first value.
            self.rows += 1;
            return Ok(());
        }
        self.begin(row)?;
        self.append(row, self.rows)?;
        self.rows += 1;
        Ok(())
    }

    /// Opens the log, with the rows that waited for a column of this one.
    fn begin(&mut self, row: &Row) -> Result<(), Failure> {
        if self.log.is_some() {
            return Ok(());
        }
        let mut settings = WriterSettings::default()
            .run_id(&*self.run_id)
            .durability(Durability::Flush)
            .flush_after(Duration::from_secs(3600));
        for field in &self.columns {
            settings = settings.column(field.name.clone(), field.data_type);
        }
        if self.columns.is_empty() && self.rows > 0 {
            let named = row.iter().filter(|(name, _)| !name.is_empty());
            for (name, value) in named {
                if let Some(data_type) = value.as_ref().data_type() {
                    settings = settings.column(name.clone(), data_type);
                }
            }
        }
        self.log = Some(MetricsLog::open(self.draft.dir.join("metrics.parquet"), settings)?);
        (0..self.rows).try_for_each(|number| self.append(&Row::new(), number))
    }

    fn append(&mut self, row: &Row, number: u64) -> Result<(), Failure> {
        let Some(log) = &mut self.log else { return Ok(()) };
        match log.append(row, Instant::now()) {
            Appended::Incomplete(reason) | Appended::Rejected(reason) => {
                return Err(Failure::Unkept { path: self.path.clone(), row: number, reason });
            }
            _ => {}
        }
        self.pending += 1;
        if self.pending >= FLUSH_ROWS {
            log.flush()?;
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
        if !self.columns.is_empty() {
            self.begin(&Row::new())?;
        }
        let Some(log) = &mut self.log else {
            return Err(Failure::usage(match self.rows {
                0 => "there are no rows to write".to_owned(),
                rows => format!("none of {rows} rows has a value, so there is no column to write"),
            }));
        };
        log.close()?;
        let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        let written = files.open(&self.draft.dir.join("metrics.parquet"))?;
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
                if error.is_already_exists() { Failure::exists(&path) } else { error.into() }
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
    fn rows_and_columns_without_a_value_are_kept() {
        use qstore_parquet::MetricsFile;
        use qstore_schema::DataType;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let column = |name: &str| {
            let (name, data_type) = (name.into(), DataType::Int64);
            Field { name, data_type, nullable: true }
        };
        let write = |columns: &[&str], rows: &[Row]| {
            let mut file = RowFile::create(&path, "a", true).unwrap();
            file.columns(columns.iter().map(|name| column(name)));
            rows.iter().try_for_each(|row| file.push(row)).unwrap();
            assert_eq!(file.rows(), rows.len() as u64);
            file.finish().map(|_| MetricsFile::open(&path).unwrap())
        };
        let (none, one) = (Row::new(), Row::from([("loss", 0.5)]));
        let file = write(&[], &[none.clone(), none.clone(), one.clone(), none.clone()]).unwrap();
        let loss = file.read(&["loss"], 0..9).unwrap();
        assert_eq!(format!("{:?}", loss.columns[0].values), "Float([None, None, Some(0.5), None])");
        let file = write(&["a", "b", "a"], &[none.clone(), one]).unwrap();
        assert_eq!((file.rows(), file.fields().len()), (2, 3));
        let file = write(&["a"], &[]).unwrap();
        assert_eq!((file.rows(), file.fields().len()), (0, 1));
        let error = write(&[], &[none.clone(), none]).unwrap_err().to_string();
        assert!(error.starts_with("none of 2 rows has a value"), "{error}");
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
