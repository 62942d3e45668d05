//! What was asked for on the command line.

use crate::Result;
use crate::harness::this_program;
use crate::run::Set;
use crate::sets::SETS;
use lexopt::ValueExt;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;

const USAGE: &str = "usage: qstore-bench [SET…] [--long] [--baseline FILE] [--save-baseline FILE] \
                     [--write-docs] [--json FILE] [--from FILE]";

const OPTIONS: [(&str, &str); 6] = [
    ("--long", "figures that take minutes, too"),
    ("--baseline FILE", "compare with an earlier report; fails where something got worse"),
    ("--save-baseline FILE", "write the part of the report that later runs can be compared with"),
    ("--write-docs", "refresh the summary in docs/benchmarks.md"),
    ("--json FILE", "write the figures there, too"),
    ("--from FILE", "measure nothing; take the figures of that report, and of further ones"),
];

#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) sets: Vec<&'static Set>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) long: bool,
    pub(crate) help: bool,
    pub(crate) baseline: Option<PathBuf>,
    pub(crate) save_baseline: Option<PathBuf>,
    pub(crate) write_docs: bool,
    /// Reports that are rendered again instead of measuring.
    pub(crate) from: Vec<PathBuf>,
    /// One thing and nothing else, as this program asks of its own children.
    pub(crate) child: Option<Vec<String>>,
    /// What decides how the figures come about: sets and `--long`.
    pub(crate) words: Vec<String>,
}

impl Request {
    pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        use lexopt::Arg::{Long, Short, Value};

        let mut request = Self::default();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long(this_program::OPTION) => {
                    let words = arguments.raw_args()?.map(|word| Ok(word.string()?));
                    request.child = Some(words.collect::<Result<_>>()?);
                }
                Long("json") => request.json = Some(arguments.value()?.into()),
                Long("baseline") => request.baseline = Some(arguments.value()?.into()),
                Long("save-baseline") => request.save_baseline = Some(arguments.value()?.into()),
                Long("from") => request.from.push(arguments.value()?.into()),
                Long("write-docs") => request.write_docs = true,
                Long("long") => request.long = true,
                Long("help") | Short('h') => request.help = true,
                Value(name) => request.sets.push(set_of(&name)?),
                option => return Err(option.unexpected().into()),
            }
        }
        request.words.extend(request.sets.iter().map(|set| set.name.to_owned()));
        if request.long {
            request.words.push("--long".into());
        }
        if request.sets.is_empty() {
            request.sets.extend(&SETS);
        }
        Ok(request)
    }

    pub(crate) fn help() -> String {
        let mut text = format!("{USAGE}\n\n");
        for (option, about) in OPTIONS {
            let _ = writeln!(text, "  {option:<21} {about}");
        }
        text.push_str("\nsets (all when none is named):\n");
        for set in &SETS {
            let _ = writeln!(text, "  {:<12} {}", set.name, set.question);
        }
        text
    }
}

fn set_of(name: &OsString) -> Result<&'static Set> {
    SETS.iter().find(|set| name == set.name).ok_or_else(|| {
        let known: Vec<_> = SETS.iter().map(|set| set.name).collect();
        let name = name.to_string_lossy();
        format!("there is no set `{name}`; there are: {}", known.join(", ")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(arguments: &[&str]) -> Result<Request> {
        Request::parse(lexopt::Parser::from_args(arguments))
    }

    fn names(request: &Request) -> Vec<&str> {
        request.sets.iter().map(|set| set.name).collect()
    }

    #[test]
    fn no_set_means_all_of_them() {
        assert_eq!(names(&parse(&[]).unwrap()), SETS.map(|set| set.name));
        let request = parse(&["logger", "--json", "rows.json", "--long", "buffer"]).unwrap();
        assert!(request.long);
        assert_eq!(names(&request), ["logger", "buffer"]);
        assert_eq!(request.words, ["logger", "buffer", "--long"]);
        assert_eq!(request.json.as_deref(), Some(Path::new("rows.json")));
    }

    #[test]
    fn an_unknown_set_names_the_known_ones() {
        let error = parse(&["bufer"]).unwrap_err().to_string();
        assert!(error.starts_with("there is no set `bufer`; there are: buffer, logger"), "{error}");
        assert!(parse(&["--jsn"]).is_err());
    }

    #[test]
    fn all_words_of_a_child_are_its_own() {
        let request = parse(&["--child", "load", "--long", "a"]).unwrap();
        assert_eq!(request.child.unwrap(), ["load", "--long", "a"]);
        assert!(!request.long);
    }

    #[test]
    fn the_help_names_every_option_and_set() {
        let help = Request::help();
        assert!(SETS.iter().all(|set| help.contains(set.name)), "{help}");
        for (option, _) in OPTIONS {
            let word = option.split(' ').next().unwrap();
            assert!(USAGE.contains(word), "{word}");
        }
    }
}
