//! A Parquet file that is written as a whole: by the library's own log, in a directory beside its place, and moved
//! there when it is closed.

use crate::failure::Failure;
use qstore_parquet::{Durability, MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_storage::temporary::unused_name;
use qstore_storage::{FileSystem, LocalFs, create_dir_all, parent_of, remove_dir_all};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Rows that are pending before a row group is written.
const FLUSH_ROWS: usize = 65_536;

pub(crate) struct RowFile {
    /// Dropped before its directory is removed.
    log: MetricsLog<Row>,
    draft: Draft,
    path: PathBuf,
    is_forced: bool,
    pending: usize,
    rows: u64,
}

/// A directory that is removed in the end, whatever happens.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = remove_dir_all(&LocalFs::new(), &self.0);
    }
}

impl RowFile {
    /// Begins a file. Directories above it are created.
    pub(crate) fn create(path: &Path, run_id: &str, is_forced: bool) -> Result<Self, Failure> {
        let files = LocalFs::new();
        create_dir_all(&files, parent_of(path))?;
        let draft = parent_of(path).join(format!(".qstore-{}.draft", unused_name()));
        files.create_dir(&draft)?;
        let draft = Draft(draft);
        let settings = WriterSettings::default()
            .run_id(run_id)
            .durability(Durability::Flush)
            .flush_after(Duration::from_secs(3600));
        let log = MetricsLog::open(draft.0.join("metrics.parquet"), settings)?;
        Ok(Self { log, draft, path: path.to_path_buf(), is_forced, pending: 0, rows: 0 })
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), Failure> {
        self.log.append(row, Instant::now());
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
        let files = LocalFs::new();
        let written = self.draft.0.join("metrics.parquet");
        let Some(found) = files.metadata(&written)? else {
            return Err(Failure::usage("there are no rows to write"));
        };
        // The log has synced a closed file; now its name must last.
        files.open_writable(&written)?.sync()?;
        if self.is_forced {
            files.rename(&written, &self.path)?;
        } else {
            files.link(&written, &self.path).map_err(|error| {
                let path = self.path.clone();
                if error.is_already_exists() { Failure::Exists { path } } else { error.into() }
            })?;
        }
        files.sync_dir(parent_of(&self.path))?;
        Ok(found.len)
    }
}
