//! The last steps of a log that writes a part of a dataset.

use super::{MetricsLog, check_process};
use crate::error::WriteError;
use crate::log::accounts::Accounts;
use crate::log::part_of::Sealing;
use crate::read::reader::MetricsFile;
use qstore_buffer::Progress;
use qstore_schema::Record;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

impl<R: Record> MetricsLog<R> {
    /// Takes over the accounts of files whose rows will be copied here; the log adds none of its own.
    pub(crate) fn continue_accounts<'a>(&mut self, files: impl Iterator<Item = &'a MetricsFile>) {
        self.accounts = Accounts::of_copy(files.map(|file| (file.audit(), file.rows())));
    }

    /// Whether the file has rows, or will have.
    pub(crate) fn has_rows(&self) -> bool {
        self.pending > 0 || self.published.as_ref().is_some_and(|file| !file.groups.is_empty())
    }

    /// The number of rows that no published version has.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// The work of publishing the closed file once more, without what no reader of an earlier version can be
    /// looking for any longer.
    pub(crate) fn trim(&mut self) -> Progress<WriteError> {
        self.settle();
        self.publish(true)
    }

    /// The work of giving the closed file the name that it keeps; its outcome is left in `outcome`.
    pub(crate) fn seal(
        &mut self,
        name: PathBuf,
        outcome: Arc<Mutex<Option<Sealing>>>,
    ) -> Progress<WriteError> {
        self.settle();
        let (disk, home) = (Arc::clone(&self.disk), self.home.clone());
        let path = Arc::clone(&self.stats.output_path);
        Progress::Work(Box::new(move || {
            check_process(&home, &path)?;
            let sealed = disk.lock().unwrap_or_else(PoisonError::into_inner).seal(&name);
            let said = match &sealed {
                Ok(()) => Sealing::Done,
                Err(WriteError::Storage(error)) if error.is_not_found() => Sealing::Missing,
                Err(_) => Sealing::Failed,
            };
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
            sealed
        }))
    }

    /// Records the name that the file has been given.
    pub(crate) fn sealed_as(&mut self, name: &Path) {
        self.stats.output_path = self.stats.output_path.with_file_name(name).into();
    }
}
