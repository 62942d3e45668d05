//! The command line of `cargo xtask torture`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::file_systems::NAMES;
use super::rows::{self, ROWS, Row, SUITES};
use crate::error::{Error, Result};

/// How much is run, which of it, and from which seed.
pub(super) struct Options {
    pub(super) full: bool,
    pub(super) seed: u64,
    /// Rows by their ids; none is all of them.
    only: Vec<&'static str>,
    /// One case of the one row.
    pub(super) case: Option<String>,
    pub(super) json: Option<PathBuf>,
    pub(super) python: Option<OsString>,
    /// The file systems to run it on; none is the one of the temporary directory.
    pub(super) file_systems: Vec<&'static str>,
}

impl Options {
    /// Everything, in its quick form, from a new seed.
    pub(super) fn quick() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = u64::from(now.subsec_nanos()) ^ now.as_secs();
        Self {
            full: false,
            seed,
            only: Vec::new(),
            case: None,
            json: None,
            python: None,
            file_systems: Vec::new(),
        }
    }

    pub(super) fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        use lexopt::Arg::Long;
        use lexopt::ValueExt;

        let mut options = Self::quick();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("quick") => options.full = false,
                Long("full") => options.full = true,
                Long("seed") => options.seed = arguments.value()?.parse()?,
                Long("only") => options.only.push(known(&arguments.value()?.string()?)?),
                Long("case") => options.case = Some(arguments.value()?.string()?),
                Long("file-systems") => options.file_systems = NAMES.to_vec(),
                Long("on") => {
                    options.file_systems.push(place(&arguments.value()?.string()?)?);
                }
                Long("json") => options.json = Some(arguments.value()?.into()),
                Long("python") => options.python = Some(arguments.value()?),
                other => return Err(other.unexpected().into()),
            }
        }
        if options.case.is_some() && options.only.len() != 1 {
            return Err(Error::Usage("--case needs the one row it belongs to: --only ROW".into()));
        }
        Ok(options)
    }

    /// The rows that are to be run.
    pub(super) fn selection(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| self.is_selected(row))
    }

    /// The rows that are to be run on each other file system.
    pub(super) fn selection_elsewhere(&self) -> impl Iterator<Item = &'static Row> {
        rows::elsewhere().filter(|row| self.is_selected(row))
    }

    fn is_selected(&self, row: &Row) -> bool {
        self.only.is_empty() || self.only.contains(&row.id)
    }

    /// The command that repeats one case, or a whole row.
    pub(super) fn replay(&self, on: Option<&str>, row: &str, case: Option<&str>) -> String {
        let full = if self.full { " --full" } else { "" };
        let on = on.map(|name| format!(" --on {name}")).unwrap_or_default();
        let case = case.map(|case| format!(" --case '{case}'")).unwrap_or_default();
        format!("cargo xtask torture{full}{on} --only {row} --seed {}{case}", self.seed)
    }
}

fn place(name: &str) -> Result<&'static str> {
    let found = NAMES.iter().find(|known| **known == name);
    found.copied().ok_or_else(|| {
        Error::Usage(format!("there is no file system `{name}`; there are: {}", NAMES.join(", ")))
    })
}

fn known(id: &str) -> Result<&'static str> {
    let known = || ROWS.iter().chain([&SUITES]);
    let found = known().find(|row| row.id.eq_ignore_ascii_case(id));
    found.map(|row| row.id).ok_or_else(|| {
        let ids: Vec<_> = known().map(|row| row.id).collect();
        Error::Usage(format!("there is no row `{id}`; there are: {}", ids.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(lexopt::Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn a_replay_command_is_understood_and_means_the_same() {
        let options = parse("--full --only t2 --seed 7").unwrap();
        let command = options.replay(Some("xfs"), "T2", Some("metrics/twin/3/lost+kept"));
        let rest = command.strip_prefix("cargo xtask torture ").unwrap().replace('\'', "");
        let again = parse(&rest).unwrap();
        assert_eq!((again.full, again.seed, again.only), (true, 7, vec!["T2"]));
        assert_eq!(again.file_systems, ["xfs"]);
        assert_eq!(again.case.unwrap(), "metrics/twin/3/lost+kept");
    }

    #[test]
    fn an_unknown_row_is_a_usage_error_that_lists_the_known_ones() {
        let error = parse("--only T99").err().unwrap();
        assert!(error.exit_code() == 2 && error.message().unwrap().contains("T13"));
    }

    #[test]
    fn file_systems_are_chosen_by_name_or_all_at_once() {
        assert_eq!(parse("--file-systems").unwrap().file_systems, NAMES);
        assert_eq!(parse("--on xfs --on fuse").unwrap().file_systems, ["xfs", "fuse"]);
        let error = parse("--on fat").err().unwrap();
        assert!(error.message().unwrap().contains("overlay-on-tmpfs"));
        let rows: Vec<_> = parse("--file-systems").unwrap().selection_elsewhere().collect();
        assert!(rows[0].id == "suites" && rows.iter().any(|row| row.id == "T3"));
    }

    #[test]
    fn a_case_belongs_to_one_row() {
        assert!(parse("--case 3").is_err() && parse("--case 3 --only T7").is_ok());
    }
}
