//! A repository in which no checkpoint appears before the rows that were logged before it.
//!
//! A checkpoint says how many rows had been logged when it was saved. If the process is killed, those rows must be
//! in the file, or the curve of the resumed run has a hole. A writer excludes the others before it commits, and
//! that waits for the rows, on the thread that saves: `save` returns as early as ever. If the rows cannot be
//! written, the checkpoint is committed all the same, and [`Resumed`](crate::Resumed) reports the hole.

use qstore_checkpoint::LocalRepository;
use qstore_checkpoint::repository::{
    Created, Exclusion, FileDraft, FileSource, Identify, Leftovers, Listed, Repository, Result,
    TreeDraft, TreeSource,
};
use qstore_logger::ParquetMetricsLogger;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// How long a commit waits for a disk that takes no rows.
const PATIENCE: Duration = Duration::from_secs(60);

/// The logger, once there is one.
pub(crate) type LoggerSlot = Arc<OnceLock<Weak<ParquetMetricsLogger>>>;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct MetricsFirst {
    inner: LocalRepository,
    logger: LoggerSlot,
}

impl MetricsFirst {
    pub(crate) fn new(inner: LocalRepository, logger: LoggerSlot) -> Self {
        Self { inner, logger }
    }
}

impl Repository for MetricsFirst {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.inner.list(prefix)
    }

    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>> {
        self.inner.begin_file(name)
    }

    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>> {
        self.inner.open_file(name)
    }

    fn begin_tree(&self, name: &str, writers: usize) -> Result<Box<dyn TreeDraft>> {
        self.inner.begin_tree(name, writers)
    }

    fn open_tree(&self, name: &str) -> Result<Box<dyn TreeSource>> {
        self.inner.open_tree(name)
    }

    fn has_trees(&self) -> bool {
        self.inner.has_trees()
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created> {
        self.inner.create(name, bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.inner.replace(name, bytes)
    }

    fn remove(&self, names: &[String]) -> Result<Leftovers> {
        self.inner.remove(names)
    }

    fn remove_if(&self, names: &[String], is_due: Identify<'_>) -> Result<Leftovers> {
        self.inner.remove_if(names, is_due)
    }

    fn exclude(&self) -> Result<Exclusion> {
        if let Some(logger) = self.logger.get().and_then(Weak::upgrade) {
            // The logger reports its own failures.
            // mutant: checkpoint_before_its_rows
            let _ = logger.flush(PATIENCE);
        }
        self.inner.exclude()
    }

    fn available(&self) -> Result<Option<u64>> {
        self.inner.available()
    }

    fn collect_leftovers(&self, is_ours: Identify<'_>) {
        self.inner.collect_leftovers(is_ours);
    }
}
