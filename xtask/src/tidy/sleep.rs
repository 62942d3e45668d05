//! Rule: a test that sleeps says why.
//!
//! Why: a sleep is a guess about the machine, too short on a busy one and wasted on every other.
//! Barriers, hooks and an injected clock wait for exactly the thing that is awaited. What is left
//! (giving another process a random time to live before it is killed) is explained in one line.

use super::finding::Finding;
use super::source::{Role, Source, mentions};

/// `thread::sleep` in test code has a comment beginning `// sleep:` on its line or directly above.
pub(super) fn explained_in_tests(source: &Source) -> Vec<Finding> {
    let explains = |comment: &str| comment.starts_with("// sleep:");
    source
        .numbered()
        .filter(|(_, line)| line.test || source.role == Role::Test)
        .filter(|(_, line)| mentions(&line.code, "thread::sleep"))
        .filter(|(number, line)| {
            let above = source.lines[..number - 1].iter().rev();
            let mut comments = above.take_while(|line| line.code.trim().is_empty());
            !explains(&line.comment) && !comments.any(|line| explains(&line.comment))
        })
        .map(|(number, _)| {
            Finding::new(
                &source.path,
                number,
                "a sleep in a test",
                "wait on a barrier, a hook or a clock; or say why not in a `// sleep:` comment",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        explained_in_tests(&Source::new(path, text)).len()
    }

    #[test]
    fn passes() {
        let explained = "// sleep: the child lives for a random time,\n// then dies.\n\
                         thread::sleep(a);\n";
        assert_eq!(findings("tests/src/kill.rs", explained), 0);
        assert_eq!(findings("tests/src/kill.rs", "thread::sleep(a); // sleep: see above\n"), 0);
        assert_eq!(findings("crates/a/src/drain.rs", "thread::sleep(a);\n"), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings("tests/src/kill.rs", "// Wait.\nthread::sleep(a);\n"), 1);
        let inside = "#[cfg(test)]\nmod tests {\n  std::thread::sleep(a);\n}\n";
        assert_eq!(findings("crates/a/src/drain.rs", inside), 1);
    }
}
