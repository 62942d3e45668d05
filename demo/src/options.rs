//! The command line of the demo.

use std::error::Error;
use std::path::PathBuf;

use lexopt::prelude::*;
use qstore::RunDirectory;

/// Printed by `--help`.
const HELP: &str = "\
Trains a variational quantum classifier on the Iris data and records the run.

  --out DIR       where the run is recorded; a new DIR unless --resume is given
  --runs DIR      where numbered runs are recorded if there is no --out  [target/demo]
  --epochs N      passes over the training data                          [25]
  --seed S        decides every random choice of the run                 [7]
  --resume        goes on from the latest checkpoint in --out, or of the latest run
  --journal FILE  also writes every row and every saved number to FILE at once, as
                  plain JSON lines: slow, and what the tests compare the run with

The circuits of each step can be jobs at a provider, which waits, runs them and asks for money:
  --provider simulated
                  a provider that lives on when the demo is killed; with --resume nothing is paid
                  twice
  --provider-log FILE
                  what the provider knows                     [provider.jsonl beside the run]
  --hold N        job N, counted from 0, waits in the queue until the demo is killed and resumed
  --hold-answer N the provider accepts job N, and its answer is lost: the demo waits for it until
                  it is killed";

/// The choices, all defaults filled in.
#[derive(Debug)]
pub struct Options {
    /// Where the run is recorded.
    pub place: Place,
    /// Passes over the training data.
    pub epochs: u64,
    /// Decides every random choice; `None` where it was not given.
    pub seed: Option<u64>,
    /// Whether to go on with what is in `out`.
    pub resume: bool,
    /// Where to keep a plain second record.
    pub journal: Option<PathBuf>,
    /// Who runs the circuits, if not this process.
    pub provider: Option<Simulated>,
}

/// What the simulated provider does.
#[derive(Debug, Default)]
pub struct Simulated {
    /// What it knows, from one process to the next; `None` for beside the run.
    pub log: Option<PathBuf>,
    /// The job that stays in the queue.
    pub hold: Option<usize>,
    /// The job whose answer is lost.
    pub hold_answer: Option<usize>,
}

/// Where a run is recorded.
#[derive(Debug)]
pub enum Place {
    /// In this directory, which may hold it already.
    At(PathBuf),
    /// In a new directory of this one.
    NewIn(PathBuf),
}

impl Options {
    /// Reads the command line; `None` when only help was asked for.
    ///
    /// # Errors
    /// An unknown option, a value that is not a number, no run to go on with.
    pub fn parse() -> Result<Option<Self>, Box<dyn Error>> {
        let (mut out, mut runs) = (None, PathBuf::from("target/demo"));
        let (mut epochs, mut seed, mut resume, mut journal) = (25, None, false, None);
        let (mut provider, mut simulated) = (None, Simulated::default());
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("out") => out = Some(PathBuf::from(parser.value()?)),
                Long("runs") => runs = parser.value()?.into(),
                Long("epochs") => epochs = parser.value()?.parse()?,
                Long("seed") => seed = Some(parser.value()?.parse()?),
                Long("resume") => resume = true,
                Long("journal") => journal = Some(parser.value()?.into()),
                Long("provider") => provider = Some(parser.value()?.string()?),
                Long("provider-log") => simulated.log = Some(parser.value()?.into()),
                Long("hold") => simulated.hold = Some(parser.value()?.parse()?),
                Long("hold-answer") => simulated.hold_answer = Some(parser.value()?.parse()?),
                Long("help") | Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let place = match out {
            Some(out) => Place::At(out),
            None if resume => {
                let latest = RunDirectory::new(&runs).latest()?;
                let none = || format!("there is no run in {} yet", runs.display());
                Place::At(latest.ok_or_else(none)?)
            }
            None => Place::NewIn(runs),
        };
        let provider = match provider.as_deref() {
            None => None,
            Some("simulated") => Some(simulated),
            Some(other) => return Err(format!("there is no provider `{other}`: simulated").into()),
        };
        Ok(Some(Self { place, epochs, seed, resume, journal, provider }))
    }
}
