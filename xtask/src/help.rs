//! `cargo xtask help`: what there is.

use std::fmt;

use crate::error::Result;
use crate::workspace::Workspace;
use crate::{COMMANDS, Command};

pub(crate) const ARGUMENTS: &str = "";
pub(crate) const ABOUT: &str = "print this";

/// Prints the overview.
pub(crate) fn run(_: &Workspace, mut arguments: lexopt::Parser) -> Result {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    print!("{}", Overview(COMMANDS));
    Ok(())
}

/// How a command is called, and what it does.
pub(crate) fn usage(command: &Command) -> String {
    let Command { name, arguments, about, .. } = command;
    let call = [*name, *arguments].join(" ");
    format!("  {}\n      {about}", call.trim_end())
}

struct Overview(&'static [Command]);

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The chores of the Q-Store workspace.\n\nusage: cargo xtask COMMAND\n")?;
        for command in self.0 {
            writeln!(f, "{}", usage(command))?;
        }
        writeln!(
            f,
            "\nA newcomer runs `cargo xtask demo`; before a change is sent, `cargo xtask ci`.\n\
             Everything made on the way goes to `target/`, the Python of `test` included."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_names_every_command() {
        let text = Overview(COMMANDS).to_string();
        for command in COMMANDS {
            assert!(text.contains(&format!("\n  {}", command.name)), "{text}");
        }
    }
}
