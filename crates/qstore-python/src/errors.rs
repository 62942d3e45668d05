//! The exceptions, and which error of the engine becomes which.
//!
//! They are classes of the package `qstore`: pickle finds them by that name.

use pyo3::exceptions::{PyException, PyOSError, PyTimeoutError, PyValueError};
use pyo3::{PyErr, create_exception};
use qstore_buffer::DrainError;
use qstore_logger::{LogError, OpenError as LoggerOpenError};
use qstore_parquet as parquet;
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
