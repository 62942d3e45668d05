//! How a command ends when it does not end well.

use std::process::ExitStatus;

/// What a command returns.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

/// Why a command stopped, and therefore with which code the process ends.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line was not understood. Exit code 2.
    Usage(String),
    /// Something went wrong; the text says what, and what to do about it. Exit code 1.
    Failed(String),
    /// Something went wrong and was reported already, so that nothing more is printed:
    /// the last line on the screen stays the one that counts.
    Reported(u8),
}

impl Error {
    /// The failure of a program that explains itself on its own standard error.
    pub(crate) fn told_by(status: ExitStatus) -> Self {
        // A program that was killed has no code, and one of 256 or more exists only on Windows.
        Self::Reported(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }

    /// What is left to say.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Usage(message) => Some(format!("{message}\nhelp: cargo xtask help")),
            Self::Failed(message) => Some(message.clone()),
            Self::Reported(_) => None,
        }
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
            Self::Reported(code) => *code,
        }
    }
}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}
