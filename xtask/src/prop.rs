//! `cargo xtask prop`: runs one property test, or all of them, with as many cases as asked for.
//!
//! The tests are found in the sources, so only their own programs are built. Each runs alone, in a process of
//! its own and from one seed, and one that fails is printed with the command that repeats it. proptest keeps
//! the case in a folder `proptest-regressions/`; committed, it is tried first from then on.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::process;
use crate::properties::{self, Program, Property};
use crate::test_programs::TestPrograms;
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[NAME] [--cases N] [--seed S] [--list]";
pub(crate) const ABOUT: &str =
    "run the property tests, or those with NAME in their name or file, with N cases each";

/// What a file needs that the tests of its crate do not have by themselves.
const FEATURES: &[(&str, &str)] =
    &[("crates/qstore-schema/src/ndarray.rs", "qstore-schema/ndarray")];

struct Options {
    /// What is in their names or files; none is all of them.
    name: Option<String>,
    /// `None`: each test has its own number.
    cases: Option<u32>,
    seed: u64,
    list: bool,
}

/// Runs what the command line asks for.
pub(crate) fn run(workspace: &Workspace, arguments: lexopt::Parser) -> Result {
    let options = Options::parse(arguments)?;
    let all = all(workspace)?;
    let chosen = options.selection(&all)?;
    if options.list {
        for Property { name, file, line, cases, .. } in chosen {
            println!("{name}\n    {file}:{line}, {cases} cases");
        }
        return Ok(());
    }
    eprintln!("building");
    let programs = TestPrograms::build(workspace, &to_build(&chosen)?)?;
    let mut failed = Vec::new();
    for property in &chosen {
        let started = Instant::now();
        let holds = options.holds(property, &programs)?;
        let seconds = started.elapsed().as_secs_f64();
        println!("{} {} ({seconds:.1} s)", if holds { "holds " } else { "failed" }, property.name);
        if !holds {
            failed.push(property);
        }
    }
    println!(
        "\n{} hold, {} failed; seed {}",
        chosen.len() - failed.len(),
        failed.len(),
        options.seed
    );
    for property in &failed {
        println!("repeat it: {}", options.replay(&property.name));
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::Reported(1)) }
}

/// Every property of the workspace, also in files that are not committed yet.
fn all(workspace: &Workspace) -> Result<Vec<Property>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"];
    let paths = process::read(workspace.git().args(arguments))?;
    let paths: BTreeSet<_> = paths.lines().collect();
    // A file that was just removed is still listed.
    let texts = paths
        .into_iter()
        .filter_map(|path| Some((path, fs::read_to_string(workspace.root().join(path)).ok()?)));
    Ok(texts.flat_map(|(path, text)| properties::in_file(path, &text)).collect())
}

/// The arguments of `cargo test` that select the programs of these properties.
fn to_build(chosen: &[&Property]) -> Result<Vec<String>> {
    let mut arguments = BTreeSet::new();
    for property in chosen {
        let (package, program) = home(property)?;
        arguments.insert(format!("--package={package}"));
        arguments.insert(match program {
            Program::Library => "--lib".into(),
            Program::Test(name) => format!("--test={name}"),
        });
        let features = FEATURES.iter().filter(|(file, _)| *file == property.file);
        arguments.extend(features.map(|(_, feature)| format!("--features={feature}")));
    }
    Ok(arguments.into_iter().collect())
}

fn home(property: &Property) -> Result<(&str, Program<'_>)> {
    property.home().ok_or_else(|| {
        let Property { name, file, .. } = property;
        Error::Failed(format!("{file}: no program of tests has `{name}`; move it into a crate"))
    })
}

impl Options {
    fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        use lexopt::Arg::{Long, Value};
        use lexopt::ValueExt;

        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = u64::from(now.subsec_nanos()) ^ now.as_secs();
        let mut options = Self { name: None, cases: None, seed, list: false };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("cases") => options.cases = Some(arguments.value()?.parse()?),
                Long("seed") => options.seed = arguments.value()?.parse()?,
                Long("list") => options.list = true,
                Value(name) if options.name.is_none() => options.name = Some(name.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    /// A whole name means that property and no other.
    fn selection<'a>(&self, all: &'a [Property]) -> Result<Vec<&'a Property>> {
        let Some(word) = &self.name else { return Ok(all.iter().collect()) };
        let exact: Vec<_> = all.iter().filter(|property| property.name == *word).collect();
        if !exact.is_empty() {
            return Ok(exact);
        }
        let has_word = |property: &&Property| {
            property.name.contains(word.as_str()) || property.file.contains(word.as_str())
        };
        let found: Vec<_> = all.iter().filter(has_word).collect();
        if found.is_empty() {
            return Err(Error::Usage(format!(
                "no property test has `{word}` in its name or file; `cargo xtask prop --list` has all of them"
            )));
        }
        Ok(found)
    }

    /// The environment variables of proptest.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("PROPTEST_RNG_SEED", self.seed.to_string())];
        if let Some(cases) = self.cases {
            variables.push(("PROPTEST_CASES", cases.to_string()));
            // What a test rejects grows with the number of cases, and by default does not.
            let rejects = cases.saturating_mul(10).max(1024);
            variables.push(("PROPTEST_MAX_GLOBAL_REJECTS", rejects.to_string()));
        }
        variables
    }

    /// Runs a property alone; what a failed one printed is shown.
    fn holds(&self, property: &Property, programs: &TestPrograms) -> Result<bool> {
        let (package, program) = home(property)?;
        let target = match program {
            Program::Library => package.replace('-', "_"),
            Program::Test(name) => name.to_owned(),
        };
        let list = process::read(programs.command(&target)?.arg("--list"))?;
        let path = path_of(&property.name, &list).ok_or_else(|| {
            let Property { name, file, .. } = property;
            Error::Failed(format!("{file}: `{name}` is not compiled; does it need a feature?"))
        })?;
        let mut command: Command = programs.command(&target)?;
        command.args(["--exact", path, "--nocapture"]).envs(self.variables());
        let output = process::output(&mut command)?;
        if !output.status.success() {
            print!("{}", String::from_utf8_lossy(&output.stdout));
            print!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.status.success())
    }

    /// The command that repeats one property.
    fn replay(&self, name: &str) -> String {
        let cases = self.cases.map(|cases| format!(" --cases {cases}")).unwrap_or_default();
        format!("cargo xtask prop {name}{cases} --seed {}", self.seed)
    }
}

/// The path of a test, in what its program prints for `--list`: `module::name: test`.
fn path_of<'a>(name: &str, list: &'a str) -> Option<&'a str> {
    let mut paths = list.lines().filter_map(|line| line.strip_suffix(": test"));
    paths.find(|path| path.rsplit("::").next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(lexopt::Parser::from_args(line.split_whitespace()))
    }

    fn property(name: &str, file: &str) -> Property {
        let (name, file) = (name.into(), file.into());
        Property { name, file, line: 1, cases: 256, is_adjustable: true }
    }

    #[test]
    fn a_replay_command_is_understood_and_means_the_same() {
        let options = parse("--cases 5000 --seed 7").unwrap();
        let command = options.replay("no_row_is_lost");
        let again = parse(command.strip_prefix("cargo xtask prop ").unwrap()).unwrap();
        assert_eq!(again.name.as_deref(), Some("no_row_is_lost"));
        assert_eq!(again.variables(), options.variables());
        let without = parse("--seed 7").unwrap();
        assert_eq!(without.variables(), [("PROPTEST_RNG_SEED", "7".to_owned())]);
        assert_eq!(without.replay("a"), "cargo xtask prop a --seed 7");
    }

    #[test]
    fn properties_are_chosen_by_a_part_of_their_name_or_file_or_by_all_of_it() {
        let all = [
            property("rows", "crates/a/src/log.rs"),
            property("no_rows", "crates/a/tests/ring/log.rs"),
            property("items", "crates/b/src/ring.rs"),
        ];
        let chosen = |word: &str| -> Vec<_> {
            let options = parse(word).unwrap();
            options.selection(&all).unwrap().iter().map(|found| found.name.clone()).collect()
        };
        assert_eq!(chosen(""), ["rows", "no_rows", "items"]);
        assert_eq!(chosen("row"), ["rows", "no_rows"]);
        assert_eq!(chosen("rows"), ["rows"]);
        assert_eq!(chosen("ring"), ["no_rows", "items"]);
        let error = parse("columns").unwrap().selection(&all).unwrap_err();
        assert!(error.exit_code() == 2 && error.message().unwrap().contains("`columns`"));
    }

    #[test]
    fn only_the_programs_of_what_was_chosen_are_built() {
        let (one, other) =
            (property("a", "crates/x/src/a.rs"), property("b", "crates/y/tests/t/b.rs"));
        let arguments = to_build(&[&one, &other]).unwrap();
        assert_eq!(arguments, ["--lib", "--package=x", "--package=y", "--test=t"]);
        assert!(to_build(&[&property("c", "benches/c.rs")]).is_err());
    }

    #[test]
    fn a_test_is_found_in_its_program() {
        let list = "log::tests::no_rows: test\nlog::tests::rows: test\nrows: bench\n\n2 tests";
        assert_eq!(path_of("rows", list), Some("log::tests::rows"));
        assert_eq!(path_of("row", list), None);
    }

    #[test]
    fn every_property_of_the_workspace_can_be_run_by_its_name() {
        let all = all(&Workspace::locate()).unwrap();
        let names: HashSet<_> = all.iter().map(|property| &property.name).collect();
        assert_eq!(names.len(), all.len(), "two properties have one name");
        assert!(all.len() > 50, "{}", all.len());
        for property in &all {
            assert!(property.home().is_some(), "{property:?}");
        }
        for (file, _) in FEATURES {
            assert!(all.iter().any(|property| property.file == *file), "{file}");
        }
    }
}
