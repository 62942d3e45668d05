//! A Rust file as the rules see it: lines of code and comment, and which of them are tests.

use super::lexer::{self, is_word};

/// Files among a library's sources that are test code by their name. A conformance kit is one: it
/// is public so that others can run it on their implementations, and a panic is how it reports.
const TEST_FILES: &[&str] = &["/tests.rs", "/conformance.rs"];

/// What a file is for, told from where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `crates/*/src`: what other people's programs will contain.
    Library,
    /// `crates/*/tests` and the top-level `tests`.
    Test,
    /// Examples, benches, build scripts and xtask itself: run by us, linked by nobody.
    Tool,
}

/// One line.
pub(super) struct Line {
    /// The code, without comments and without what stands in quotes.
    pub(super) code: String,
    /// The comments.
    pub(super) comment: String,
    /// Compiled for tests only.
    pub(super) test: bool,
}

/// One file.
pub(super) struct Source {
    /// From the top of the workspace, with forward slashes.
    pub(super) path: String,
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) lines: Vec<Line>,
}

impl Source {
    /// Takes a file apart.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let role = role(path);
        let whole = role == Role::Test || TEST_FILES.iter().any(|name| path.ends_with(name));
        let mut lines: Vec<Line> = lexer::split(text)
            .into_iter()
            .map(|split| Line { code: split.code, comment: split.comment, test: whole })
            .collect();
        mark_tests(&mut lines);
        Self { path: path.to_owned(), role, text: text.to_owned(), lines }
    }

    /// The lines with their numbers, counted from 1.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Lines that end up in other people's programs.
    pub(super) fn library_lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.numbered().filter(|(_, line)| self.role == Role::Library && !line.test)
    }

    /// The modules that this file declares for tests only, each with the line of its declaration and its
    /// path without `.rs`: `#[cfg(test)] mod model;` in `src/ring.rs` is `src/ring/model`.
    pub(super) fn test_modules(&self) -> Vec<(usize, String)> {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let (parent, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let home = if matches!(name, "lib" | "main" | "mod") { parent } else { stem };
        self.numbered()
            .filter(|(_, line)| line.test)
            .filter_map(|(number, line)| {
                let module = line.code.split_once("mod ")?.1.trim().strip_suffix(';')?;
                Some((number, format!("{home}/{module}")))
            })
            .collect()
    }

    /// Declares the whole file to be test code.
    pub(super) fn mark_as_test(&mut self) {
        for line in &mut self.lines {
            line.test = true;
        }
    }
}

fn role(path: &str) -> Role {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("crates"), _, Some("src")) => Role::Library,
        (Some("crates"), _, Some("tests")) | (Some("tests"), ..) => Role::Test,
        _ => Role::Tool,
    }
}

/// Marks every item that carries a test attribute, from the attribute to the item's end.
fn mark_tests(lines: &mut [Line]) {
    let mut index = 0;
    while index < lines.len() {
        if !is_test_attribute(&lines[index].code) {
            index += 1;
            continue;
        }
        let end = item_end(lines, index);
        for line in &mut lines[index..=end] {
            line.test = true;
        }
        index = end + 1;
    }
}

fn is_test_attribute(code: &str) -> bool {
    ["#[test]", "#[cfg(test)]", "#[cfg(all(test,"]
        .iter()
        .any(|start| code.trim().starts_with(start))
}

/// The line on which the item ends that the attribute on line `start` belongs to: the `;` or the
/// closing brace that leaves no bracket open.
fn item_end(lines: &[Line], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, line) in lines.iter().enumerate().skip(start) {
        for character in line.code.chars() {
            match character {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (character == ';' || character == '}') {
                return index;
            }
        }
    }
    lines.len().saturating_sub(1)
}

/// Does the code contain this token, and not merely as a part of a longer name?
pub(super) fn mentions(code: &str, token: &str) -> bool {
    code.match_indices(token).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = code[start + token.len()..].chars().next();
        let open = |inner: Option<char>, outer: Option<char>| {
            !(inner.is_some_and(is_word) && outer.is_some_and(is_word))
        };
        open(token.chars().next(), before) && open(token.chars().next_back(), after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(text: &str) -> Vec<usize> {
        let source = Source::new("crates/a/src/lib.rs", text);
        source.numbered().filter(|(_, line)| line.test).map(|(number, _)| number).collect()
    }

    #[test]
    fn a_test_item_reaches_to_its_end() {
        assert_eq!(
            tested("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n"),
            [2, 3, 4, 5]
        );
        assert_eq!(tested("#[cfg(test)]\n#[path = \"x.rs\"]\nmod x;\nfn c() {}\n"), [1, 2, 3]);
        assert_eq!(tested("#[cfg(test)]\nuse a::{b,\n c};\nfn c() {}\n"), [1, 2, 3]);
        assert!(tested("#[cfg(not(test))]\nfn c() {}\n").is_empty());
    }

    #[test]
    fn a_brace_in_quotes_does_not_end_an_item() {
        assert_eq!(tested("#[test]\nfn a() {\n  f('}', \"}\");\n}\nfn b() {}\n"), [1, 2, 3, 4]);
    }

    #[test]
    fn a_file_can_be_test_code_by_its_name() {
        for (path, expected) in [
            ("crates/a/src/ring/tests.rs", true),
            ("crates/a/src/conformance.rs", true),
            ("tests/src/faults.rs", true),
            ("crates/a/src/ring.rs", false),
        ] {
            let source = Source::new(path, "fn a() {}\n");
            assert_eq!(source.lines.iter().all(|line| line.test), expected, "{path}");
        }
    }

    #[test]
    fn roles_follow_the_place() {
        for (path, expected) in [
            ("crates/a/src/ring.rs", Role::Library),
            ("crates/a/tests/ring.rs", Role::Test),
            ("tests/src/faults.rs", Role::Test),
            ("crates/a/examples/first.rs", Role::Tool),
            ("xtask/src/main.rs", Role::Tool),
        ] {
            assert_eq!(role(path), expected, "{path}");
        }
    }

    #[test]
    fn modules_for_tests_are_found_where_they_lie() {
        let text = "#[cfg(test)]\nmod model;\nmod ring;\n";
        let modules = |path| Source::new(path, text).test_modules();
        assert_eq!(modules("crates/a/src/lib.rs"), [(2, "crates/a/src/model".to_owned())]);
        assert_eq!(modules("crates/a/src/ring.rs"), [(2, "crates/a/src/ring/model".to_owned())]);
    }

    #[test]
    fn a_token_is_not_a_part_of_a_name() {
        assert!(mentions("std::fs::rename(a, b)", "fs::rename"));
        assert!(!mentions("std::fs::rename_all(a, b)", "fs::rename"));
        assert!(!mentions("vfs::rename(a, b)", "fs::rename"));
        assert!(mentions("a.unwrap()", ".unwrap()"));
        assert!(!mentions("#![forbid(unsafe_code)]", "unsafe"));
    }
}
