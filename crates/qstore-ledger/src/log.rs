//! Where events are made durable.

use crate::error::LedgerError;
use crate::event::JobEvent;
use crate::job::{Job, Jobs};
use qstore_parquet::{Appended, Durability, MetricsFile, MetricsLog, WriteError, WriterSettings};
use qstore_schema::Record;
use qstore_storage::{FileSystem, LocalFs};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Appends events. What was appended is durable once a flush has succeeded.
pub(crate) trait EventLog: Send {
    fn append(&mut self, event: &JobEvent) -> Result<(), Arc<str>>;
    fn flush(&mut self) -> Result<(), WriteError>;
    fn close(&mut self) -> Result<(), WriteError>;
}

impl EventLog for MetricsLog<JobEvent> {
    fn append(&mut self, event: &JobEvent) -> Result<(), Arc<str>> {
        match MetricsLog::append(self, event, Instant::now()) {
            Appended::Rejected(reason) | Appended::Incomplete(reason) => Err(reason),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        MetricsLog::flush(self)
    }

    fn close(&mut self) -> Result<(), WriteError> {
        MetricsLog::close(self)
    }
}

/// Opens the file for writing, and reads what is in it.
pub(crate) fn open(
    storage: Arc<dyn FileSystem>,
    path: &Path,
) -> Result<(Box<dyn EventLog>, Jobs), LedgerError> {
    // mutant: ledger_not_durable
    let settings = WriterSettings::default().durability(Durability::Sync);
    // The lock first: nobody appends between the look and the first event.
    let log = MetricsLog::<JobEvent>::open_in(Arc::clone(&storage), path, settings)?;
    let jobs = read(storage, path)?;
    Ok((Box::new(log), jobs))
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
    for (row, values) in (0..).zip(table.iter_rows()) {
        let event = JobEvent::of(&values).map_err(|column| LedgerError::NotALedger {
            path: path.to_path_buf(),
            row,
            column,
        })?;
        jobs.apply(event);
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
    Ok(read(Arc::new(LocalFs::new()), path.as_ref())?.into_list())
}
