//! The sources of all crates, with the anchors of the mutants in them.
//!
//! An anchor is a line `// mutant: NAME, NAME` directly above the statement that a mutant changes. Its
//! name is all that the list of mutants knows, so files and modules can be moved and renamed.

use super::edit::Splice;
use super::mutant::Mutant;
use crate::error::{Error, Result};
use crate::tokens::{self, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const MARK: &str = "// mutant:";

/// Every `.rs` file below the `src/` of a crate that has an anchor, by its path from the top of the
/// workspace.
pub(super) struct Sources {
    files: BTreeMap<String, Source>,
}

struct Source {
    text: String,
    tokens: Vec<Token>,
    anchors: Vec<Anchor>,
}

struct Anchor {
    mutant: String,
    /// Where its line ends.
    at: usize,
}

impl Sources {
    /// Reads the crates of the workspace whose top is `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for package in list(&root.join("crates"))? {
            let sources = package.join("src");
            if sources.is_dir() {
                read_dir(root, &sources, &mut files)?;
            }
        }
        Ok(Self { files })
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| {
            ((*path).to_owned(), Source::of((*text).to_owned()).expect("it is Rust"))
        });
        Self { files: files.collect() }
    }

    /// The files with an anchor of this name, in order.
    pub(super) fn files_of(&self, mutant: &str) -> Vec<&str> {
        let has_anchor =
            |source: &Source| source.anchors.iter().any(|anchor| anchor.mutant == mutant);
        let files = self.files.iter().filter(|(_, source)| has_anchor(source));
        files.map(|(path, _)| path.as_str()).collect()
    }

    /// The files that a mutant changes, each with its new text, or why the mutant does not fit.
    pub(super) fn mutated(
        &self,
        mutant: &Mutant,
    ) -> std::result::Result<Vec<(String, String)>, String> {
        let mut edits = mutant.edits.to_vec();
        let mut changed = Vec::new();
        let mut count = 0;
        for (path, source) in &self.files {
            let mut splices = Vec::new();
            for anchor in source.anchors.iter().filter(|anchor| anchor.mutant == mutant.name) {
                count += 1;
                let splice =
                    |edit: super::edit::Edit| edit.splice(&source.text, &source.tokens, anchor.at);
                let mut errors = Vec::new();
                // The first edit that is left over and fits.
                let found = edits.iter().enumerate().find_map(|(index, edit)| {
                    splice(*edit).map_err(|why| errors.push(why)).ok().map(|done| (index, done))
                });
                let Some((index, splice)) = found else {
                    return Err(match errors.as_slice() {
                        [] => format!("{path}: one anchor more than the mutant has edits"),
                        _ => format!("{path}: {}", errors.join("\n")),
                    });
                };
                edits.remove(index);
                splices.push(splice);
            }
            if !splices.is_empty() {
                changed.push((path.clone(), source.with(splices)));
            }
        }
        match edits.len() {
            0 => Ok(changed),
            _ => Err(format!(
                "{count} of {} anchors found: `{MARK} {}` is missing above a statement in crates/*/src",
                mutant.edits.len(),
                mutant.name
            )),
        }
    }

    /// The anchors of mutants that do not exist: `path: name`.
    pub(super) fn dangling(&self, mutants: &[&Mutant]) -> Vec<String> {
        let known: BTreeSet<_> = mutants.iter().map(|mutant| mutant.name).collect();
        let anchors = self.files.iter().flat_map(|(path, source)| {
            source.anchors.iter().map(move |anchor| (path, &anchor.mutant))
        });
        anchors
            .filter(|(_, mutant)| !known.contains(mutant.as_str()))
            .map(|(path, mutant)| format!("{path}: there is no mutant `{mutant}`"))
            .collect()
    }
}

impl Source {
    fn of(text: String) -> std::result::Result<Self, String> {
        let tokens = tokens::of(&text)?;
        let mut anchors = Vec::new();
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            end += line.len();
            if let Some(names) = line.trim().strip_prefix(MARK) {
                let names = names.split(',').map(|name| name.trim().to_owned());
                anchors.extend(names.map(|mutant| Anchor { mutant, at: end }));
            }
        }
        Ok(Self { text, tokens, anchors })
    }

    /// The text with these changes, which do not overlap.
    fn with(&self, mut splices: Vec<Splice>) -> String {
        splices.sort_by_key(|splice| std::cmp::Reverse(splice.range.start));
        let mut text = self.text.clone();
        for Splice { range, text: new } in splices {
            text.replace_range(range, &new);
        }
        text
    }
}

fn read_dir(root: &Path, dir: &Path, files: &mut BTreeMap<String, Source>) -> Result {
    for path in list(dir)? {
        if path.is_dir() {
            read_dir(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|error| {
                Error::Failed(format!("cannot read {}: {error}", path.display()))
            })?;
            if text.contains(MARK) {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                let source =
                    Source::of(text).map_err(|why| Error::Failed(format!("{name}: {why}")))?;
                files.insert(name.replace('\\', "/"), source);
            }
        }
    }
    Ok(())
}

fn list(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(dir)
        .map_err(|error| Error::Failed(format!("cannot list {}: {error}", dir.display())))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::edit::Edit::{self, Delete, Replace};
    use super::*;

    fn mutant(edits: &'static [Edit]) -> Mutant {
        Mutant { name: "m", edits, danger: "", tests: &[] }
    }

    #[test]
    fn an_anchor_is_found_wherever_its_file_is() {
        let text = "fn f() {\n    // mutant: other, m\n    a();\n}\n";
        for path in ["crates/a/src/b.rs", "crates/c/src/d/e.rs"] {
            let sources = Sources::of(&[(path, text), ("crates/z/src/lib.rs", "fn g() {}")]);
            let changed = sources.mutated(&mutant(&[Delete])).unwrap();
            let expected = "fn f() {\n    // mutant: other, m\n    \n}\n";
            assert_eq!(changed, [(path.to_owned(), expected.to_owned())]);
            assert_eq!(sources.files_of("m"), [path]);
        }
    }

    #[test]
    fn several_edits_need_as_many_anchors() {
        let two = "fn f() {\n// mutant: m\na();\n// mutant: m\nb();\n}";
        let one = "fn f() {\n// mutant: m\na();\n}";
        let edits: &[Edit] = &[Replace("b", "c"), Delete];
        let changed = |text, edits| {
            let changed = Sources::of(&[("a.rs", text)]).mutated(&mutant(edits));
            changed.map(|files| files[0].1.clone())
        };
        let result = changed(two, edits).unwrap();
        assert_eq!(result, "fn f() {\n// mutant: m\n\n// mutant: m\nc();\n}");
        assert!(changed(one, edits).unwrap_err().contains("1 of 2 anchors"));
        assert!(changed(two, &[Delete]).unwrap_err().contains("more than the mutant has edits"));
        assert!(changed(one, &[Replace("b", "c")]).unwrap_err().contains("0 times"));
    }

    #[test]
    fn an_anchor_without_a_mutant_is_an_error() {
        let sources = Sources::of(&[("a.rs", "fn f() {\n// mutant: m, gone\na();\n}")]);
        assert_eq!(sources.dangling(&[&mutant(&[Delete])]), ["a.rs: there is no mutant `gone`"]);
    }
}
