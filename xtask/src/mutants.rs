//! `cargo xtask mutants`: is there a test for every step that durability rests on?
//!
//! Each mutant is the workspace with one such step taken away: a sync, an order, a comparison, a count.
//! The named tests must then fail. A mutant that nobody notices is a promise without a test; one that
//! does not compile, or whose text is not in its file any more, is a fault of the list. Mutants are made
//! in a copy of the tracked files below `target/mutants`, which has a build directory of its own.

mod buffer;
mod copy;
mod mutant;
mod parquet;
mod storage;
mod trial;
mod zarr;

use crate::error::{Error, Result};
use crate::workspace::Workspace;
use copy::Copy;
use lexopt::Arg::Long;
use mutant::Mutant;
use std::time::Instant;
use trial::{Trial, Verdict};

pub(crate) const ARGUMENTS: &str = "[--only NAME]… [--list]";
pub(crate) const ABOUT: &str = "take away a sync, an order, a comparison: does a test notice?";

/// All of them, crate by crate from the bottom up.
fn all() -> Vec<&'static Mutant> {
    [buffer::MUTANTS, storage::MUTANTS, parquet::MUTANTS, zarr::MUTANTS]
        .into_iter()
        .flatten()
        .collect()
}

struct Options {
    /// One of them stands in a mutant's name or file; none: all mutants.
    only: Vec<String>,
    list: bool,
}

/// Tries every mutant; fails if one survives, or cannot be tried.
pub(crate) fn run(workspace: &Workspace, arguments: lexopt::Parser) -> Result {
    let Options { only, list } = options(arguments)?;
    let is_meant = |mutant: &&Mutant| {
        let is_named = |word: &String| mutant.name.contains(word) || mutant.file.contains(word);
        only.is_empty() || only.iter().any(is_named)
    };
    let chosen: Vec<_> = all().into_iter().filter(is_meant).collect();
    if chosen.is_empty() {
        return Err(Error::Usage(format!("there is no mutant of `{}`", only.join("`, `"))));
    }
    if list {
        for Mutant { name, file, danger, .. } in chosen {
            println!("{name}\n    {file}: {danger}");
        }
        return Ok(());
    }
    let copy = Copy::make(workspace)?;
    // A text that is not there any more is told before an hour of building.
    let (there, mut broken): (Vec<_>, Vec<_>) =
        chosen.iter().partition(|mutant| copy.mutated(mutant).is_ok());
    let mut trial = Trial::new(&copy);
    let (mut caught, mut survived) = (0, Vec::new());
    for mutant in there {
        let started = Instant::now();
        let verdict = trial.of(mutant)?;
        println!("{verdict:9} {} ({} s)", mutant.name, started.elapsed().as_secs());
        match verdict {
            Verdict::Caught => caught += 1,
            Verdict::Survived => survived.push(mutant),
            Verdict::Broken { reason } => {
                println!("{reason}");
                broken.push(mutant);
            }
        }
    }
    let (survivors, faults) = (survived.len(), broken.len());
    println!("\n{caught} caught, {survivors} survived, {faults} broken");
    for Mutant { name, file, danger, .. } in survived {
        println!("survived: {name}, {file}\n    {danger}");
    }
    for mutant in broken {
        let why = copy.mutated(mutant).err().unwrap_or_else(|| "see above".into());
        println!("broken: {}, {}: {why}", mutant.name, mutant.file);
    }
    if survivors + faults == 0 { Ok(()) } else { Err(Error::Told(1)) }
}

fn options(mut arguments: lexopt::Parser) -> Result<Options> {
    let mut options = Options { only: Vec::new(), list: false };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("only") => {
                options.only.push(arguments.value()?.to_string_lossy().into_owned());
            }
            Long("list") => options.list = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_mutant_has_a_name_of_its_own_and_changes_something() {
        let names: HashSet<_> = all().iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), all().len());
        for Mutant { name, edits, tests, .. } in all() {
            assert!(!edits.is_empty() && !tests.is_empty(), "{name}");
            assert!(edits.iter().all(|(from, to)| from != to), "{name}");
        }
    }

    /// The list cannot rot unnoticed: this needs no build of the mutants.
    #[test]
    fn every_mutant_finds_its_text_once() {
        let root = Workspace::locate();
        let stale = all().into_iter().filter_map(|mutant| {
            let text = std::fs::read_to_string(root.root().join(mutant.file)).unwrap();
            mutant.apply(&text).err().map(|why| format!("{}: {why}", mutant.name))
        });
        let stale: Vec<_> = stale.collect();
        assert!(stale.is_empty(), "{}", stale.join("\n\n"));
    }
}
