//! Which file of a crate imports which: the paths that begin with `crate`, `super` or `self`.
//!
//! Only code that users get: comments, strings and tests are left out. A path that goes through a
//! `use` of the crate root is followed to the module it comes from.

use super::source::Source;
use crate::tokens::{self, Token};
use std::collections::BTreeMap;

/// The module path of a file below `src/`: `src/save/plan.rs` is `["save", "plan"]`, the root is empty.
pub(super) type Module = Vec<String>;

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) from: Module,
    /// The deepest module on the imported path.
    pub(super) to: Module,
    /// The name, where it was imported through the crate root.
    pub(super) through_root: Option<String>,
}

/// The modules of a package and the imports between them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) modules: BTreeMap<Module, String>,
    pub(super) imports: Vec<Import>,
}

impl Graph {
    /// Of the files below `home`, such as `crates/qstore-zarr/src/`.
    pub(super) fn of(home: &str, sources: &[Source]) -> Self {
        let files: Vec<_> = sources
            .iter()
            .filter_map(|source| Some((module(source.path.strip_prefix(home)?), source)))
            .collect();
        let is_product =
            |source: &Source| source.lines.iter().any(|line| !line.test && !line.code.is_empty());
        let modules: BTreeMap<_, _> = files
            .iter()
            .filter(|(_, source)| is_product(source))
            .map(|(module, source)| (module.clone(), source.path.clone()))
            .collect();
        let root = files.iter().find(|(module, _)| module.is_empty());
        let reexports = root.map_or_else(BTreeMap::new, |(_, root)| reexports(root));
        let mut imports = Vec::new();
        for (from, source) in files.iter().filter(|(from, _)| modules.contains_key(from)) {
            for (line, path) in paths(source, from) {
                let (to, through_root) = resolve(&path, &modules, &reexports);
                let path = source.path.clone();
                imports.push(Import { path, line, from: from.clone(), to, through_root });
            }
        }
        Self { modules, imports }
    }
}

/// `save/plan.rs` and `save/plan/mod.rs` are the module `save::plan`.
fn module(path: &str) -> Module {
    let mut parts: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "lib" | "main" | "mod")) {
        parts.pop();
    }
    parts
}

/// The module that a path leads to, and the name, if the path goes through the crate root.
fn resolve(
    path: &[String],
    modules: &BTreeMap<Module, String>,
    reexports: &BTreeMap<String, Module>,
) -> (Module, Option<String>) {
    let deepest = |path: &[String]| {
        let lengths = (0..=path.len()).rev();
        lengths.map(|len| path[..len].to_vec()).find(|module| modules.contains_key(module))
    };
    match path {
        [name, ..] if !modules.keys().any(|module| module.first() == Some(name)) => {
            let home = reexports.get(name).and_then(|home| deepest(home));
            (home.unwrap_or_default(), Some(name.clone()))
        }
        _ => (deepest(path).unwrap_or_default(), None),
    }
}

/// The names that the crate root takes from its modules, each with the path it comes from.
fn reexports(root: &Source) -> BTreeMap<String, Module> {
    let tokens = tokens::of(&root.text).unwrap_or_default();
    let mut names = BTreeMap::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.is("use") {
            let mut found = Vec::new();
            tree(&tokens[index + 1..], &mut Vec::new(), &mut found);
            for Leaf { path, name } in found {
                let path = path.strip_prefix(&["crate".to_owned()]).unwrap_or(&path).to_vec();
                names.insert(name, path);
            }
        }
    }
    names
}

/// Every path of a file that begins with `crate`, `super` or `self`, made absolute, with its line.
fn paths(source: &Source, from: &Module) -> Vec<(usize, Module)> {
    let Ok(tokens) = tokens::of(&source.text) else { return Vec::new() };
    let mut starts = vec![0];
    starts.extend(source.text.match_indices('\n').map(|(at, _)| at + 1));
    let mut paths = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_start = matches!(token.text.as_str(), "crate" | "super" | "self")
            && !is_separator(&tokens[..index])
            && tokens.get(index + 1).is_some_and(|next| next.is(":"))
            && tokens.get(index + 2).is_some_and(|next| next.is(":"));
        let is_of_a_macro = index > 0 && tokens[index - 1].is("$");
        let line = starts.partition_point(|start| *start <= token.range.start);
        let is_test = source.lines.get(line - 1).is_none_or(|line| line.test);
        if !is_start || is_of_a_macro || is_test {
            continue;
        }
        let mut found = Vec::new();
        tree(&tokens[index..], &mut Vec::new(), &mut found);
        for Leaf { path, .. } in found {
            let mut absolute = from.clone();
            for part in path {
                match part.as_str() {
                    "crate" => absolute.clear(),
                    "super" => drop(absolute.pop()),
                    "self" => {}
                    _ => absolute.push(part),
                }
            }
            paths.push((line, absolute));
        }
    }
    paths
}

/// Do the tokens end in `::`?
fn is_separator(tokens: &[Token]) -> bool {
    matches!(tokens, [.., first, second] if first.is(":") && second.is(":"))
}

/// One name of a tree of imports.
struct Leaf {
    path: Module,
    /// The name it has afterwards.
    name: String,
}

/// Reads `a::{b, c::d as e}` from the beginning of the tokens; returns how many it has read.
fn tree(tokens: &[Token], prefix: &mut Module, found: &mut Vec<Leaf>) -> usize {
    let depth = prefix.len();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.is("{") {
            at += 1;
            while tokens.get(at).is_some_and(|token| !token.is("}")) {
                let read = tree(&tokens[at..], prefix, found);
                at += read;
                // A comma, or something that is not a tree.
                if read == 0 || tokens.get(at).is_some_and(|token| token.is(",")) {
                    at += 1;
                }
            }
            at += 1;
            break;
        }
        let is_word = token.text.starts_with(|first: char| first == '_' || first.is_alphabetic());
        if !is_word && !token.is("*") {
            break;
        }
        prefix.push(token.text.clone());
        at += 1;
        if is_separator(&tokens[..(at + 2).min(tokens.len())]) {
            at += 2;
            if tokens.get(at).is_some_and(|token| token.is("<")) {
                found.push(Leaf { path: prefix.clone(), name: token.text.clone() });
                break;
            }
            continue;
        }
        let mut name = token.text.clone();
        if let [word, new, ..] = &tokens[at..]
            && word.is("as")
        {
            name.clone_from(&new.text);
            at += 2;
        }
        found.push(Leaf { path: prefix.clone(), name });
        break;
    }
    prefix.truncate(depth);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let imports = Graph::of("crates/a/src/", &sources).imports.into_iter();
        imports
            .map(|Import { from, to, line, through_root, .. }| {
                let root = through_root.map(|name| format!(" ({name})")).unwrap_or_default();
                format!("{}:{line} -> {}{root}", from.join("::"), to.join("::"))
            })
            .collect()
    }

    const LIB: (&str, &str) = (
        "crates/a/src/lib.rs",
        "//! A.\nmod b;\nmod c;\npub use b::{Busy, d::Deep as Other};\npub fn own() {}\n",
    );

    #[test]
    fn every_spelling_of_an_import() {
        let b = "use crate::c::{self, One, e::{Two, Three as T}};\nuse super::c::One;\n\
                 fn f() { crate::c::f::<u8>(); self::d::x(); }\n";
        let files = [
            LIB,
            ("crates/a/src/b.rs", b),
            ("crates/a/src/b/d.rs", "use super::Busy;\n"),
            ("crates/a/src/c.rs", "fn f() {}\n"),
            ("crates/a/src/c/e.rs", "pub(crate) fn g() {}\n"),
        ];
        let expected = [
            "b:1 -> c",
            "b:1 -> c",
            "b:1 -> c::e",
            "b:1 -> c::e",
            "b:2 -> c",
            "b:3 -> c",
            "b:3 -> b::d",
            "b::d:1 -> b",
        ];
        assert_eq!(graph(&files), expected);
    }

    #[test]
    fn a_name_of_the_root_is_followed_to_its_module() {
        let c = "use crate::{Busy, Other, own};\nuse crate::*;\n";
        let files = [
            LIB,
            ("crates/a/src/b.rs", "pub struct Busy;\n"),
            ("crates/a/src/b/d.rs", "pub struct Deep;\n"),
            ("crates/a/src/c.rs", c),
        ];
        assert_eq!(
            graph(&files),
            ["c:1 -> b (Busy)", "c:1 -> b::d (Other)", "c:1 ->  (own)", "c:2 ->  (*)"]
        );
    }

    #[test]
    fn comments_strings_tests_and_macros_are_left_out() {
        let b = "// use crate::c::One;\n/// [`crate::c::One`]\nconst A: &str = \"crate::c\";\n\
                 macro_rules! m { () => { $crate::c::one() } }\n\
                 #[cfg(test)]\nmod tests {\n use crate::c::One;\n}\n";
        let files = [LIB, ("crates/a/src/b.rs", b), ("crates/a/src/c.rs", "fn f() {}\n")];
        assert!(graph(&files).is_empty(), "{:?}", graph(&files));
    }
}
