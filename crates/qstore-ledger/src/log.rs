//! Opening a ledger, and reading one.

use crate::error::LedgerError;
use crate::event::{self, JobEvent};
use crate::job::{Job, Jobs};
use qstore_parquet::{Durability, MetricsFile, MetricsLog, WriterSettings};
use qstore_schema::Record;
use qstore_storage::{FileSystem, LocalFs};
use std::path::Path;
use std::sync::Arc;

/// Opens the file for writing, and reads what is in it.
pub(crate) fn open(
    storage: Arc<dyn FileSystem>,
    path: &Path,
) -> Result<(MetricsLog<JobEvent>, Jobs), LedgerError> {
    // mutant: ledger_not_durable
    let settings = WriterSettings::default().durability(Durability::Sync);
    // The lock first: nobody appends between the look and the first event.
    let mut log = MetricsLog::<JobEvent>::open_in(Arc::clone(&storage), path, settings)?;
    let jobs = read(storage, path)?;
    // What a process that was killed has published may not be durable yet, and is relied on from here on.
    // mutant: ledger_of_a_killed_process_relied_on
    log.flush().map_err(|source| LedgerError::NotOpened { path: path.to_path_buf(), source })?;
    Ok((log, jobs))
}

fn read(storage: Arc<dyn FileSystem>, path: &Path) -> Result<Jobs, LedgerError> {
    let file = MetricsFile::open_in(storage, path)?;
    let has = |name: &str| file.fields().iter().any(|field| field.name == name);
    let names: Vec<_> = JobEvent::DECLARED
        .iter()
        .map(|field| field.name.as_str())
        .filter(|name| has(name))
        .collect();
    let mut jobs = Jobs::default();
    let table = file.read(&names, 0..file.rows())?;
    for event in event::events(&table) {
        let not_one = |(row, column)| LedgerError::NotALedger { path: path.into(), row, column };
        jobs.apply(event.map_err(not_one)?);
    }
    Ok(jobs)
}

/// The jobs in the ledger at `path`, in the order in which they were intended, while somebody writes it or not.
///
/// A job that is only intended counts as [`in_doubt`](Job::in_doubt): whether somebody still holds its intent can
/// only be seen in the process that writes.
///
/// # Errors
/// If the file cannot be read, or is not a ledger.
pub fn read_jobs(path: impl AsRef<Path>) -> Result<Vec<Job>, LedgerError> {
    read_jobs_in(Arc::new(LocalFs::new()), path)
}

/// As [`read_jobs`], on any file system.
///
/// # Errors
/// As [`read_jobs`].
pub fn read_jobs_in(
    storage: Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
) -> Result<Vec<Job>, LedgerError> {
    Ok(read(storage, path.as_ref())?.into_list())
}
