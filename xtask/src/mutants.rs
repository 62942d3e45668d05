//! `cargo xtask mutants`: does a test cover every step that durability depends on?
//!
//! Each mutant is the workspace with one such step taken away: a sync, an order, a comparison, a count.
//! The named tests must then fail. A mutant that survives is a promise without a test; one that
//! does not compile, or whose anchor (`// mutant: NAME`) is missing, is a fault of the list. Mutants are
//! made in a copy of the tracked files below `target/mutants`, which has a build directory of its own.

mod buffer;
mod copy;
mod edit;
mod forks;
mod ledger;
mod mutant;
mod objects;
mod parquet;
mod run;
mod sources;
mod storage;
mod trial;
mod zarr;

use crate::error::{Error, Result};
use crate::workspace::Workspace;
use copy::Copy;
use lexopt::Arg::Long;
use mutant::Mutant;
use sources::Sources;
use std::time::Instant;
use trial::{Trial, Verdict};

pub(crate) const ARGUMENTS: &str = "[--only NAME]… [--list]";
pub(crate) const ABOUT: &str = "take away a sync, an order, a comparison: does a test notice?";

/// All of them, crate by crate from the bottom up.
fn all() -> Vec<&'static Mutant> {
    [
        buffer::MUTANTS,
        storage::MUTANTS,
        parquet::MUTANTS,
        zarr::MUTANTS,
        objects::MUTANTS,
        forks::MUTANTS,
        ledger::MUTANTS,
        run::MUTANTS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

struct Options {
    /// Mutants with one of these in the name or the file; empty: all mutants.
    only: Vec<String>,
    list: bool,
}

/// Tries every mutant; fails if one survives, or cannot be tried.
pub(crate) fn run(workspace: &Workspace, arguments: lexopt::Parser) -> Result {
    let Options { only, list } = options(arguments)?;
    let sources = Sources::read(workspace.root())?;
    let dangling = sources.dangling(&all());
    if !dangling.is_empty() {
        return Err(Error::Failed(dangling.join("\n")));
    }
    let chosen: Vec<_> = all()
        .into_iter()
        .filter(|Mutant { name, .. }| {
            let is_named = |word: &String| {
                name.contains(word) || sources.files_of(name).iter().any(|file| file.contains(word))
            };
            only.is_empty() || only.iter().any(is_named)
        })
        .collect();
    if chosen.is_empty() {
        return Err(Error::Usage(format!(
            "no mutant has `{}` in its name or file",
            only.join("` or `")
        )));
    }
    if list {
        for Mutant { name, danger, .. } in chosen {
            println!("{name}\n    {}: {danger}", sources.files_of(name).join(", "));
        }
        return Ok(());
    }
    // A missing anchor is reported before an hour of building.
    let (there, mut broken): (Vec<_>, Vec<_>) =
        chosen.iter().partition(|mutant| sources.mutated(mutant).is_ok());
    let copy = Copy::make(workspace)?;
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
    for Mutant { name, danger, .. } in survived {
        println!("survived: {name}, {}\n    {danger}", sources.files_of(name).join(", "));
    }
    for mutant in broken {
        let why = sources.mutated(mutant).err().unwrap_or_else(|| "see above".into());
        println!("broken: {}: {why}", mutant.name);
    }
    if survivors + faults == 0 { Ok(()) } else { Err(Error::Reported(1)) }
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
    use crate::known_tests::KnownTests;
    use std::collections::HashSet;

    #[test]
    fn every_mutant_has_a_unique_name_edits_and_tests() {
        let names: HashSet<_> = all().iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), all().len());
        for Mutant { name, edits, tests, .. } in all() {
            assert!(!edits.is_empty() && !tests.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_tests_of_every_mutant_exist() {
        let known = KnownTests::read(&Workspace::locate());
        for Mutant { name, tests, .. } in all() {
            for tests in *tests {
                assert_eq!(known.missing(tests.filter), None, "{name}: {}", tests.filter);
            }
        }
    }

    /// The list cannot rot unnoticed: this needs no build of the mutants.
    #[test]
    fn every_mutant_finds_its_anchors_and_fits_them() {
        let root = Workspace::locate();
        let sources = Sources::read(root.root()).unwrap();
        let broken = all().into_iter().filter_map(|mutant| match sources.mutated(mutant) {
            Ok(changed) => {
                let is_rust = |(_, text): &(String, String)| crate::tokens::of(text).is_ok();
                (!changed.iter().all(is_rust)).then(|| format!("{}: not Rust", mutant.name))
            }
            Err(why) => Some(format!("{}: {why}", mutant.name)),
        });
        let broken: Vec<_> = broken.chain(sources.dangling(&all())).collect();
        assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    }
}
