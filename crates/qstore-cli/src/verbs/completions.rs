//! `qstore completions` and `qstore man`: both are made from the same definition of the command line as its
//! help, so neither can say anything else.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use clap::Command;
use clap_complete::{Shell, generate};
use qstore_storage::{FileSystem, LocalFs, Replacement, create_dir_all};
use std::path::PathBuf;
use std::sync::Arc;

/// Print what a shell needs to complete the command line
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore completions bash > ~/.local/share/bash-completion/completions/qstore
  qstore completions zsh > ~/.zfunc/_qstore")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Runs the verb, for this command line.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn run(&self, mut command: Command, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut command, "qstore", &mut script);
        console.bytes(&script)?;
        Ok(Exit::Done)
    }
}

/// Print the manual, or write all its pages into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore man | man -l -
  qstore man ~/.local/share/man/man1")]
pub struct Man {
    /// Where to write qstore.1, qstore-ls.1 and so on; existing pages are replaced
    dir: Option<PathBuf>,
}

impl Man {
    /// Runs the verb, for this command line.
    ///
    /// # Errors
    /// If the output or a page cannot be written.
    pub fn run(&self, command: Command, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let Some(dir) = &self.dir else {
            console.bytes(&page(command)?)?;
            return Ok(Exit::Done);
        };
        let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        create_dir_all(&*files, dir)?;
        let mut command = command;
        // This names each verb as its page is called: qstore-ls.
        command.build();
        let verbs = command.get_subcommands().cloned();
        for command in [command.clone()].into_iter().chain(verbs) {
            let name = command.get_display_name().unwrap_or(command.get_name());
            let name = format!("{name}.1");
            let mut file = Replacement::of(&files, &dir.join(name))?;
            file.append(&page(command)?)?;
            file.commit()?;
        }
        Ok(Exit::Done)
    }
}

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Failure::Output)?;
    Ok(page)
}
