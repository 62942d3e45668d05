//! What can go wrong with a ledger.

use crate::state::JobState;
use qstore_parquet::{OpenError, ReadError, WriteError};
use std::path::PathBuf;
use std::sync::Arc;

/// Why the ledger did not do what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The file could not be opened for writing.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What the file has could not be made durable, so nothing can rely on it.
    #[error("{} was opened, but what it has is not known to be durable: {source}; open it again", path.display())]
    NotOpened {
        /// The file.
        path: PathBuf,
        /// Why.
        source: WriteError,
    },
    /// The last events are not known to be durable, or the file is not marked as closed.
    #[error("the ledger could not be closed: {source}; call `close` again")]
    NotClosed {
        /// Why.
        source: WriteError,
    },
    /// The ledger was closed.
    #[error("the ledger is closed; open it again to record something")]
    Closed,
    /// This process was forked from the one that opened the ledger.
    #[error(
        "this process was forked from the one that opened the ledger, which goes on writing it; record jobs there"
    )]
    Forked,
    /// The file is a metrics file, but not a ledger.
    #[error(
        "{} is not a ledger of jobs: row {row} has no column `{column}` of its type; name another file",
        path.display()
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// The row, counted from 0.
        row: u64,
        /// The column.
        column: &'static str,
    },
    /// What became known is held in memory, but is not durable yet. The next call that records something tries again
    /// first.
    #[error(
        "job {job}: what became known is not durable yet, and is kept in memory: {source}; call again, or \
         `Ledger::close`"
    )]
    NotDurable {
        /// The job.
        job: String,
        /// Why.
        source: WriteError,
    },
    /// The intent could not be made durable. It was withdrawn: send nothing.
    #[error("job {job} was not intended, so nothing may be sent: {source}")]
    NotIntended {
        /// The key that it would have had.
        job: String,
        /// Why.
        source: WriteError,
    },
    /// The row does not fit the columns of the file.
    #[error(
        "job {job}: its row was rejected: {reason}; use a file that only a ledger has written to"
    )]
    Rejected {
        /// The job.
        job: String,
        /// The log's reason.
        reason: Arc<str>,
    },
    /// A job for the same batch is done.
    #[error(
        "batch {batch} was paid for by job {job}: read its result, or pay for the batch again with \
         `JobSpec::repeated`"
    )]
    AlreadyDone {
        /// The digest.
        batch: String,
        /// The job.
        job: String,
    },
    /// A job for the same batch is under way, or in doubt.
    #[error(
        "job {job} for batch {batch} is {state}{}: call `Ledger::reconcile` first; `JobSpec::repeated` sends the \
         batch again, which may be paid for twice",
        if *in_doubt { " and in doubt" } else { "" }
    )]
    UnderWay {
        /// The digest.
        batch: String,
        /// The job.
        job: String,
        /// Its state.
        state: JobState,
        /// Whether its request may have arrived although no identifier is known.
        in_doubt: bool,
    },
    /// The job may cost more than what is left.
    #[error(
        "a job of {estimate_usd:.2} USD is over the limit of {limit_usd:.2} USD: {settled_usd:.2} USD are \
         spent and {reserved_usd:.2} USD are reserved for jobs under way"
    )]
    OverBudget {
        /// What it may cost.
        estimate_usd: f64,
        /// The limit.
        limit_usd: f64,
        /// What jobs did cost.
        settled_usd: f64,
        /// What jobs under way may cost.
        reserved_usd: f64,
    },
    /// The ledger has a limit, and the job has no estimate.
    #[error("a job without an estimate cannot be reserved: call `JobSpec::estimate_usd`")]
    NoEstimate,
    /// A value is not possible.
    #[error("{name} is {value}, and must be {expected}")]
    BadValue {
        /// What it is.
        name: &'static str,
        /// The value.
        value: String,
        /// What is possible.
        expected: &'static str,
    },
    /// There is no such job.
    #[error("the ledger has no job {job}")]
    UnknownJob {
        /// The key.
        job: String,
    },
    /// The job has another identifier at its provider.
    #[error(
        "job {job} is {known} at its provider, and not {seen}: one of the two is another job's"
    )]
    OtherIdentifier {
        /// The job.
        job: String,
        /// Its identifier in the ledger.
        known: String,
        /// The one that was seen.
        seen: String,
    },
    /// Another job has the identifier.
    #[error("{provider_job} is the identifier of job {owner}, so it cannot be that of job {job}")]
    IdentifierTaken {
        /// The job.
        job: String,
        /// The identifier.
        provider_job: String,
        /// The job that has it.
        owner: String,
    },
    /// The state needs an identifier, and none is known.
    #[error("job {job} cannot be {state} without its identifier: add it with `Seen::id`")]
    NoIdentifier {
        /// The job.
        job: String,
        /// The state that was seen.
        state: JobState,
    },
    /// The job is not in doubt.
    #[error("job {job} is {state}, and not in doubt")]
    NotInDoubt {
        /// The job.
        job: String,
        /// Its state.
        state: JobState,
    },
}
