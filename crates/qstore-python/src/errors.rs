//! The exceptions, and which error of the engine becomes which.
//!
//! They are classes of the package `qstore`: pickle finds them by that name.

use pyo3::exceptions::{PyException, PyMemoryError, PyOSError, PyTimeoutError, PyValueError};
use pyo3::{PyErr, create_exception, import_exception};
use qstore_buffer::DrainError;
use qstore_checkpoint::{LoadError, OpenError as CheckpointsOpenError, SaveError as SaveFailed};
use qstore_ledger::LedgerError as LedgerFailed;
use qstore_logger::{LogError, OpenError as LoggerOpenError};
use qstore_parquet as parquet;
use qstore_run::RunError as RunFailed;
use qstore_zarr::ArenaError;
use std::error::Error as StdError;

create_exception!(qstore, Error, PyException, "Anything that qstore could not do.");
create_exception!(
    qstore,
    OpenError,
    Error,
    "A file could not be opened or continued. Nothing was changed."
);
create_exception!(qstore, WriteError, Error, "Rows could not be written. They are still held.");
create_exception!(
    qstore,
    StoppedError,
    Error,
    "The logger or writer was stopped. The row was not taken, and counts as refused."
);
create_exception!(
    qstore,
    ForkedError,
    Error,
    "This process was forked from the one that opened it, whose threads run only there."
);

// These have attributes or a second base class, and are written in Python.
import_exception!(qstore.errors, CheckpointError);
import_exception!(qstore.errors, AlreadyPaidError);
import_exception!(qstore.errors, DamagedError);
import_exception!(qstore.errors, LedgerError);
import_exception!(qstore.errors, NotARunError);
import_exception!(qstore.errors, NotFoundError);
import_exception!(qstore.errors, OverBudgetError);
import_exception!(qstore.errors, RunError);
import_exception!(qstore.errors, RunExistsError);
import_exception!(qstore.errors, RunningError);
import_exception!(qstore.errors, SaveError);
import_exception!(qstore.errors, StateError);
import_exception!(qstore.errors, UnderWayError);

/// The message of an error with those of its causes, each once.
fn message(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

pub(crate) fn of_setting(error: &qstore_settings::SettingError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn of_open(error: &parquet::OpenError) -> PyErr {
    match error {
        parquet::OpenError::Setting(error) => of_setting(error),
        other => OpenError::new_err(message(other)),
    }
}

pub(crate) fn of_logger_open(error: &LoggerOpenError<parquet::WriteError>) -> PyErr {
    match error {
        LoggerOpenError::Setting(error) => of_setting(error),
        LoggerOpenError::Sink(parquet::WriteError::NextPart(error)) => of_open(error),
        LoggerOpenError::Sink(error) => OpenError::new_err(message(error)),
        other => PyOSError::new_err(message(other)),
    }
}

pub(crate) fn of_log(error: &LogError) -> PyErr {
    match error {
        LogError::Stopped => StoppedError::new_err(error.to_string()),
        LogError::Forked => ForkedError::new_err(error.to_string()),
        other => PyValueError::new_err(other.to_string()),
    }
}

pub(crate) fn of_drain(error: DrainError<parquet::WriteError>) -> PyErr {
    of_writer(&parquet::Error::from(error))
}

pub(crate) fn of_writer(error: &parquet::Error) -> PyErr {
    match error {
        parquet::Error::Open(error) => of_open(error),
        parquet::Error::Stopped => StoppedError::new_err(message(error)),
        parquet::Error::Forked => ForkedError::new_err(message(error)),
        parquet::Error::TimedOut { .. } => PyTimeoutError::new_err(message(error)),
        parquet::Error::Spawn(error) => PyOSError::new_err(error.to_string()),
        other => WriteError::new_err(message(other)),
    }
}

pub(crate) fn of_checkpoints_open(error: &CheckpointsOpenError) -> PyErr {
    match error {
        CheckpointsOpenError::Setting(error) => of_setting(error),
        CheckpointsOpenError::Spawn { .. } => PyOSError::new_err(message(error)),
        other => OpenError::new_err(message(other)),
    }
}

pub(crate) fn of_arena(error: &ArenaError) -> PyErr {
    PyMemoryError::new_err(message(error))
}

pub(crate) fn of_save(error: &SaveFailed) -> PyErr {
    match error {
        SaveFailed::State(_) => StateError::new_err(message(error)),
        SaveFailed::TimedOut { .. } | SaveFailed::CloseTimedOut { .. } => {
            PyTimeoutError::new_err(message(error))
        }
        SaveFailed::Closed { .. } => StoppedError::new_err(message(error)),
        SaveFailed::Forked => ForkedError::new_err(message(error)),
        SaveFailed::Spawn { .. } => PyOSError::new_err(message(error)),
        other => SaveError::new_err(message(other)),
    }
}

pub(crate) fn of_load(error: &LoadError) -> PyErr {
    match error {
        LoadError::NotFound { .. } => NotFoundError::new_err(message(error)),
        LoadError::Damaged { damage, .. } => {
            DamagedError::new_err((message(error), damage.tensor().map(ToOwned::to_owned)))
        }
        LoadError::OutOfMemory { .. } => PyMemoryError::new_err(message(error)),
        LoadError::Catalog(error) => of_checkpoints_open(error),
        LoadError::Spawn { .. } => PyOSError::new_err(message(error)),
        other => CheckpointError::new_err(message(other)),
    }
}

pub(crate) fn of_run(error: &RunFailed) -> PyErr {
    match error {
        RunFailed::Setting(error) => of_setting(error),
        RunFailed::NotARun { .. } => NotARunError::new_err(message(error)),
        RunFailed::Exists { .. } => RunExistsError::new_err(message(error)),
        RunFailed::Running { .. } => RunningError::new_err(message(error)),
        RunFailed::NoneValid { .. } => CheckpointError::new_err(message(error)),
        RunFailed::Busy { .. } | RunFailed::SystemTimedOut { .. } => {
            PyTimeoutError::new_err(message(error))
        }
        RunFailed::Forked => ForkedError::new_err(message(error)),
        RunFailed::Ended => StoppedError::new_err(message(error)),
        RunFailed::Logger(error) => of_logger_open(error),
        RunFailed::Metrics(error) => of_open(error),
        RunFailed::Write(error) => WriteError::new_err(message(error)),
        RunFailed::Rows(error) => of_rows(error),
        RunFailed::Checkpoints(error) => of_checkpoints_open(error),
        RunFailed::Load(error) => of_load(error),
        RunFailed::Save(error) => of_save(error),
        RunFailed::Spawn(_) => PyOSError::new_err(message(error)),
        other => RunError::new_err(message(other)),
    }
}

/// As of a stop that did not write all rows. They are still held.
fn of_rows(error: &DrainError<parquet::WriteError>) -> PyErr {
    match error {
        DrainError::TimedOut { .. } => PyTimeoutError::new_err(message(error)),
        other => WriteError::new_err(message(other)),
    }
}

pub(crate) fn of_ledger(error: &LedgerFailed) -> PyErr {
    let text = message(error);
    match error {
        LedgerFailed::Open(error) => of_open(error),
        LedgerFailed::Read(_) | LedgerFailed::NotOpened { .. } => OpenError::new_err(text),
        LedgerFailed::Closed => StoppedError::new_err(text),
        LedgerFailed::Forked => ForkedError::new_err(text),
        LedgerFailed::BadValue { .. } | LedgerFailed::NoEstimate => PyValueError::new_err(text),
        LedgerFailed::AlreadyDone { job, .. } => AlreadyPaidError::new_err((text, job.clone())),
        LedgerFailed::UnderWay { job, .. } => UnderWayError::new_err((text, job.clone())),
        LedgerFailed::OverBudget { .. } => OverBudgetError::new_err(text),
        LedgerFailed::NotDurable { job, .. }
        | LedgerFailed::Rejected { job, .. }
        | LedgerFailed::UnknownJob { job }
        | LedgerFailed::OtherIdentifier { job, .. }
        | LedgerFailed::IdentifierTaken { job, .. }
        | LedgerFailed::NoIdentifier { job, .. }
        | LedgerFailed::NotInDoubt { job, .. } => LedgerError::new_err((text, job.clone())),
        _ => LedgerError::new_err(text),
    }
}
