//! Rule: no name is made of a process number.
//!
//! Why: process numbers repeat. The first process of every container is number 1, so a temporary name made
//! of it is taken as soon as one container was killed, or two share a volume. Random names do not repeat, and
//! a lock tells a leftover from a file that is being written.

use super::finding::Finding;
use super::source::{Source, mentions};

/// No `format!` or `join` is given `process::id()`, in the product, the tests, the examples or the tools.
pub(super) fn are_not_process_numbers(source: &Source) -> Vec<Finding> {
    let is_a_name =
        |code: &str| ["format!(", "join(", "push_str("].iter().any(|name| code.contains(name));
    source
        .numbered()
        .filter(|(_, line)| mentions(&line.code, "process::id()"))
        .filter(|(number, _)| is_a_name(&statement(source, *number)))
        .map(|(number, _)| {
            Finding::new(
                &source.path,
                number,
                "a name made of a process number",
                "use `tempfile`, `qstore_storage::Replacement` or a random number",
            )
        })
        .collect()
}

/// The code of the statement that a line is in, as far as `;` and braces show.
fn statement(source: &Source, number: usize) -> String {
    let ends = |code: &str| code.trim_end().ends_with([';', '{', '}']);
    let before = source.lines[..number - 1].iter().rev().take_while(|line| !ends(&line.code));
    let mut lines: Vec<_> = before.map(|line| line.code.as_str()).collect();
    lines.reverse();
    for line in &source.lines[number - 1..] {
        lines.push(&line.code);
        if ends(&line.code) {
            break;
        }
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        are_not_process_numbers(&Source::new("crates/a/examples/b.rs", text)).len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings("let is_ours = self.process == process::id();\n"), 0);
        assert_eq!(findings("let dir = a.join(b);\nlet id = process::id().to_string();\n"), 0);
        assert_eq!(findings("let id = process::id();\nlet dir = format!(\"{}\", b);\n"), 0);
        assert_eq!(findings("// format!(\"{}\", process::id())\n"), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings("let a = dir.join(format!(\"a_{}\", std::process::id()));\n"), 1);
        assert_eq!(findings("let a = format!(\n    \"a_{}\",\n    process::id()\n);\n"), 1);
        assert_eq!(findings("let a = dir.join(process::id().to_string());\n"), 1);
    }
}
