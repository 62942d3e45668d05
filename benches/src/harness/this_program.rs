//! This program once more, in a process of its own: for memory that is all new, for peaks that are
//! nobody else's, for a kill.
//!
//! It is called with `--child`, a word and that word's arguments; `children.rs` has the words.

use crate::Result;
use std::env;
use std::ffi::OsStr;
use std::process::Command;

/// The option that makes this program a child.
pub(crate) const OPTION: &str = "child";

/// A command that starts it so.
pub(crate) fn command(word: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(format!("--{OPTION}")).arg(word);
    Ok(command)
}

/// Runs it to its end and returns what it printed; what it complained about is the error.
pub(crate) fn ask<A: AsRef<OsStr>>(
    word: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String> {
    answer_of(command(word)?.args(arguments), word)
}

/// Runs a program to its end and returns what it printed; what it complained about is the error.
pub(crate) fn answer_of(command: &mut Command, name: &str) -> Result<String> {
    let output = command.output().map_err(|error| format!("{name} cannot be started: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} ended with {}: {}", output.status, message.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_complains_about_is_the_error() {
        let failing = &mut Command::new("ls");
        let error = answer_of(failing.arg("no-such-file"), "a lister").unwrap_err().to_string();
        assert!(error.starts_with("a lister ended with"), "{error}");
        assert!(error.contains("no-such-file"), "{error}");
        let error = answer_of(&mut Command::new("no-such-program"), "it").unwrap_err();
        assert!(error.to_string().starts_with("it cannot be started"), "{error}");
    }
}
