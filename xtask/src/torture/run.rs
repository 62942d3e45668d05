//! Runs the parts of a row, one after the other, and listens to them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use super::binaries::Binaries;
use super::file_systems::FileSystem;
use super::listen::{Outcome, Program, Runner as Heard};
use super::options::Options;
use super::progress::Progress;
use super::rows::{Knobs, Part, Row, Tests};
use super::scorecard::Finished;
use super::small_disk::SmallDisk;
use crate::error::{Error, Result};
use crate::process;
use crate::test;
use crate::workspace::Workspace;

/// Where everything is that the parts need.
pub(super) struct Runner<'a> {
    workspace: &'a Workspace,
    target: &'a Path,
    binaries: &'a Binaries,
    /// What the parts print, a file for each.
    logs: PathBuf,
    python: &'a Path,
    options: &'a Options,
    /// Where the temporary directories are; `None` is where they are anyway.
    place: Option<FileSystem>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        workspace: &'a Workspace,
        target: &'a Path,
        binaries: &'a Binaries,
        python: &'a Path,
        options: &'a Options,
    ) -> Result<Self> {
        let logs = target.join("torture");
        fs::create_dir_all(&logs)
            .map_err(|error| Error::Failed(format!("cannot create {}: {error}", logs.display())))?;
        Ok(Self { workspace, target, binaries, logs, python, options, place: None })
    }

    /// The same on another file system.
    pub(super) fn on(mut self, place: FileSystem) -> Self {
        self.place = Some(place);
        self
    }

    fn on_its_file_system(&self, command: Command) -> Command {
        match &self.place {
            Some(place) => place.run(&command),
            None => command,
        }
    }

    /// Runs one row; whatever goes wrong is a failure of that row and of no other.
    pub(super) fn run(&self, row: &'static Row) -> Finished {
        let started = Instant::now();
        let progress = Progress::new(row.id, row.title);
        let mut outcome = Outcome::default();
        for (number, part) in row.parts.iter().enumerate().filter(|(_, part)| self.is_asked(part)) {
            let on =
                self.place.as_ref().map(|place| format!("{}-", place.name)).unwrap_or_default();
            let log = self.logs.join(format!("{on}{}-{number}.log", row.id));
            let one = self.part(part, &progress, &log, outcome.cases);
            outcome.add(one.unwrap_or_else(|error| {
                Outcome::failed(error.message().unwrap_or_else(|| "see above".into()))
            }));
        }
        if outcome.cases == 0 && self.options.case.is_some() {
            outcome.add(Outcome::failed("there is no such case"));
        }
        progress.clear();
        let on = self.place.as_ref().map(|place| place.name);
        Finished { on, row, outcome, took: started.elapsed() }
    }

    /// Whether the one case that is asked for, if any, can belong to it: the program's cases are paths.
    fn is_asked(&self, part: &Part) -> bool {
        // Neither a file system of its own nor a model is any different on another one.
        let is_elsewhere =
            matches!(part, Part::Program(_) | Part::Tests(_) | Part::InLittleMemory(_));
        if self.place.is_some() && !is_elsewhere {
            return false;
        }
        let Some(case) = &self.options.case else { return true };
        case.contains('/') == matches!(part, Part::Program(_))
    }

    fn part(&self, part: &Part, progress: &Progress, log: &Path, before: u64) -> Result<Outcome> {
        match part {
            Part::Program(module) => self.program(module, progress, log, before),
            Part::Tests(tests) => self.tests(tests, |command| command, progress, log, before),
            Part::InLittleMemory(tests) => {
                self.tests(tests, |command| in_little_memory(&command), progress, log, before)
            }
            Part::OnSmallDisk(tests) => match SmallDisk::mount(self.target) {
                Ok(disk) => {
                    let on_it = |mut command: Command| {
                        command.env("QSTORE_SMALL_DISK", disk.dir());
                        command
                    };
                    self.tests(tests, on_it, progress, log, before)
                }
                Err(reason) => {
                    let skipped = vec![format!("a disk that really is full: {reason}")];
                    Ok(Outcome { skipped, ..Outcome::default() })
                }
            },
            Part::Models(knobs) => {
                let mut outcome = Outcome::default();
                for mut command in test::models(self.workspace, self.target) {
                    command.args(["--", "--nocapture"]).envs(self.knobs(knobs));
                    outcome.add(self.listen(
                        &mut command,
                        progress,
                        log,
                        before + outcome.cases,
                    )?);
                }
                Ok(outcome)
            }
            Part::XtaskIfFull(arguments) => {
                if !self.options.full {
                    let skipped =
                        vec![format!("`cargo xtask {}`: only with --full", arguments.join(" "))];
                    return Ok(Outcome { skipped, ..Outcome::default() });
                }
                let mut command = self.workspace.cargo();
                self.listen(command.arg("xtask").args(*arguments), progress, log, before)
            }
        }
    }

    fn knobs(&self, knobs: &Knobs) -> Vec<(&'static str, &'static str)> {
        if self.options.full { knobs.full.to_vec() } else { knobs.quick.to_vec() }
    }

    /// A module of the program in `tests/torture/`.
    fn program(
        &self,
        module: &str,
        progress: &Progress,
        log: &Path,
        before: u64,
    ) -> Result<Outcome> {
        let mut command = self.binaries.torture();
        command.arg(module).arg("--seed").arg(self.options.seed.to_string());
        if self.options.full {
            command.arg("--full");
        }
        if let Some(case) = &self.options.case {
            command.arg("--case").arg(case);
        }
        command.env("QSTORE_READERS", self.python).env(test::SPARK, self.target);
        let mut command = self.on_its_file_system(command);
        let heard = Mutex::new((Program::default(), log_file(log)?));
        let status = process::listen(&mut command, |line| {
            let Ok(mut heard) = heard.lock() else { return };
            heard.0.hear(line);
            let _ = writeln!(heard.1, "{line}");
            progress.show(before + heard.0.outcome.cases, heard.0.planned.map(|all| all + before));
        })?;
        let heard = heard.into_inner().map_err(|_| Error::Failed("a listener panicked".into()))?.0;
        let mut outcome = heard.outcome;
        if !heard.has_ended {
            let text =
                format!("`{module}` ended with {status} before its end; see {}", log.display());
            outcome.add(Outcome::failed(text));
        }
        let is_skipped = !outcome.skipped.is_empty();
        if heard.has_ended && outcome.cases == 0 && !is_skipped && self.options.case.is_none() {
            outcome.add(Outcome::failed(format!("`{module}` ran nothing")));
        }
        Ok(outcome)
    }

    fn tests(
        &self,
        tests: &Tests,
        within: impl FnOnce(Command) -> Command,
        progress: &Progress,
        log: &Path,
        before: u64,
    ) -> Result<Outcome> {
        let mut command = self.binaries.tests(tests.target)?;
        command.args([tests.filter, "--nocapture"]);
        command.envs(self.knobs(&tests.knobs));
        let mut command = self.on_its_file_system(within(command));
        self.listen(&mut command, progress, log, before)
    }

    /// Runs tests, or what talks like them, from our seed.
    fn listen(
        &self,
        command: &mut Command,
        progress: &Progress,
        log: &Path,
        before: u64,
    ) -> Result<Outcome> {
        let seed = self.options.seed.to_string();
        command.env("QSTORE_READERS", self.python).env(test::SPARK, self.target);
        command.env("QSTORE_SEED", &seed).env("PROPTEST_RNG_SEED", &seed);
        match &self.options.case {
            Some(case) => command.env("QSTORE_CASE", case),
            None => command.env_remove("QSTORE_CASE"),
        };
        let heard = Mutex::new((Heard::default(), log_file(log)?));
        progress.show(before, None);
        let status = process::listen(command, |line| {
            let Ok(mut heard) = heard.lock() else { return };
            heard.0.hear(line);
            let _ = writeln!(heard.1, "{line}");
            progress.show(before, None);
        })?;
        let heard = heard.into_inner().map_err(|_| Error::Failed("a listener panicked".into()))?.0;
        Ok(heard.outcome(status.success()))
    }
}

/// The same command with two gigabytes of address space, most of which its threads reserve.
fn in_little_memory(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 2097152 && exec \"$0\" \"$@\""]);
    process::within(shell, command)
}

fn log_file(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| Error::Failed(format!("cannot write {}: {error}", path.display())))
}
