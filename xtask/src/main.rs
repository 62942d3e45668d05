//! `cargo xtask`: every chore of this workspace, as plain Rust.
//!
//! One file per command. The package depends on no crate of the workspace, so it still runs when
//! one of them does not compile, and it calls `cargo` and Python but no shell, so it runs wherever
//! they do. Only `torture --file-systems`, which needs Linux anyway, has a script for the shell.

mod adapters;
mod bench;
mod ci;
mod demo;
mod error;
mod help;
#[cfg(test)]
mod known_tests;
mod mutants;
mod package;
mod pictures;
mod process;
mod prop;
mod properties;
mod python;
mod readers;
mod test;
mod test_programs;
mod tidy;
mod tokens;
mod torture;
mod workspace;

use std::process::ExitCode;

use crate::error::{Error, Result};
use crate::workspace::Workspace;

/// A command: the word that calls it, what `help` says about it, and what it does.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, lexopt::Parser) -> Result,
}

const COMMANDS: &[Command] = &[
    Command { name: "demo", arguments: demo::ARGUMENTS, about: demo::ABOUT, run: demo::run },
    Command { name: "test", arguments: test::ARGUMENTS, about: test::ABOUT, run: test::run },
    Command {
        name: "torture",
        arguments: torture::ARGUMENTS,
        about: torture::ABOUT,
        run: torture::run,
    },
    Command { name: "prop", arguments: prop::ARGUMENTS, about: prop::ABOUT, run: prop::run },
    Command {
        name: "python",
        arguments: package::session::ARGUMENTS,
        about: package::session::ABOUT,
        run: package::session::run,
    },
    Command {
        name: "wheel",
        arguments: package::wheel::ARGUMENTS,
        about: package::wheel::ABOUT,
        run: package::wheel::run,
    },
    Command { name: "bench", arguments: bench::ARGUMENTS, about: bench::ABOUT, run: bench::run },
    Command {
        name: "pictures",
        arguments: pictures::ARGUMENTS,
        about: pictures::ABOUT,
        run: pictures::run,
    },
    Command { name: "tidy", arguments: tidy::ARGUMENTS, about: tidy::ABOUT, run: tidy::run },
    Command {
        name: "mutants",
        arguments: mutants::ARGUMENTS,
        about: mutants::ABOUT,
        run: mutants::run,
    },
    Command {
        name: "adapters",
        arguments: adapters::ARGUMENTS,
        about: adapters::ABOUT,
        run: adapters::run,
    },
    Command { name: "ci", arguments: ci::ARGUMENTS, about: ci::ABOUT, run: ci::run },
    Command { name: "help", arguments: help::ARGUMENTS, about: help::ABOUT, run: help::run },
];

fn main() -> ExitCode {
    match dispatch(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(message) = error.message() {
                eprintln!("error: {message}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(mut arguments: lexopt::Parser) -> Result {
    use lexopt::Arg::{Long, Short, Value};

    let word = match arguments.next()? {
        None | Some(Long("help") | Short('h')) => "help".to_owned(),
        Some(Value(word)) => word.to_string_lossy().into_owned(),
        Some(option) => return Err(option.unexpected().into()),
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == word) else {
        let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        return Err(Error::Usage(format!(
            "there is no command `{word}`; there are: {}",
            names.join(", ")
        )));
    };
    // A bench that was only asked about would run for half an hour.
    if let Some(Long("help") | Short('h')) = arguments.clone().next()? {
        println!("{}", help::usage(command));
        return Ok(());
    }
    (command.run)(&Workspace::locate(), arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_a_usage_error_that_lists_the_known_ones() {
        let error = dispatch(lexopt::Parser::from_args(["tets"])).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let message = error.message().unwrap();
        assert!(message.contains("`tets`"), "{message}");
        assert!(COMMANDS.iter().all(|command| message.contains(command.name)), "{message}");
    }

    #[test]
    fn help_after_a_command_runs_nothing() {
        for command in COMMANDS {
            for help in ["--help", "-h"] {
                dispatch(lexopt::Parser::from_args([command.name, help])).unwrap();
            }
        }
    }

    #[test]
    fn an_unknown_option_is_a_usage_error() {
        let error = dispatch(lexopt::Parser::from_args(["--fast"])).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
