//! Rules: `unsafe` stays in a few places, and there each one says why it is sound.
//!
//! Why: an auditor can read these. The compiler's own lint has no list of exempt crates, and a crate that forgets to inherit the lints would not even be asked.

use super::finding::Finding;
use super::source::{Source, mentions};

/// Where `unsafe` may stand: the ring, the system calls, and the buffers of Python.
const ALLOWED: &[&str] = &[
    "crates/qstore-buffer/",
    "crates/qstore-storage/",
    "crates/qstore-os/",
    "crates/qstore-python/src/memory",
];

/// The word `unsafe` appears in no other crate, test or tool.
pub(super) fn stays_in_two_crates(source: &Source) -> Vec<Finding> {
    if is_allowed(source) {
        return vec![];
    }
    source
        .numbered()
        .filter(|(_, line)| mentions(&line.code, "unsafe"))
        .map(|(number, _)| {
            Finding::new(
                &source.path,
                number,
                "`unsafe` outside of the places that have it",
                "write it safely, or move the operation behind a safe function of those places",
            )
        })
        .collect()
}

/// Directly above each `unsafe` stands a comment with `SAFETY:` (or `# Safety`, for a function
/// whose caller must keep the promise).
pub(super) fn says_why_it_is_sound(source: &Source) -> Vec<Finding> {
    if !is_allowed(source) {
        return vec![];
    }
    source
        .numbered()
        .filter(|(_, line)| mentions(&line.code, "unsafe") && !is_pointer_type(&line.code))
        .filter(|(number, _)| !is_explained(source, number - 1))
        .map(|(number, _)| {
            Finding::new(
                &source.path,
                number,
                "`unsafe` without its reason",
                "put a `// SAFETY:` comment above it that says why it is sound",
            )
        })
        .collect()
}

fn is_allowed(source: &Source) -> bool {
    ALLOWED.iter().any(|place| source.path.starts_with(place))
}

/// `unsafe fn(…)` without a name is the type of a pointer; nothing unsafe happens there.
fn is_pointer_type(code: &str) -> bool {
    code.contains("fn(") && !code.contains("unsafe {") && !code.contains("unsafe(")
}

/// Looks for the reason on the line itself and above it, across attributes and the beginning of
/// the statement the line belongs to.
fn is_explained(source: &Source, index: usize) -> bool {
    let states_reason = |comment: &str| comment.contains("SAFETY:") || comment.contains("# Safety");
    if states_reason(&source.lines[index].comment) {
        return true;
    }
    for line in source.lines[..index].iter().rev() {
        let code = line.code.trim();
        if code.is_empty() && line.comment.is_empty() {
            return false;
        }
        if code.ends_with([';', '{', '}', ',']) {
            return false;
        }
        if states_reason(&line.comment) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFER: &str = "crates/qstore-buffer/src/ring.rs";

    fn misplaced(path: &str, text: &str) -> usize {
        stays_in_two_crates(&Source::new(path, text)).len()
    }

    fn unexplained(text: &str) -> usize {
        says_why_it_is_sound(&Source::new(BUFFER, text)).len()
    }

    #[test]
    fn place_passes() {
        assert_eq!(misplaced(BUFFER, "unsafe { a() }\n"), 0);
        assert_eq!(misplaced("crates/qstore-python/src/memory/export.rs", "unsafe { a() }\n"), 0);
        assert_eq!(misplaced("crates/qstore-zarr/src/lib.rs", "#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(misplaced("crates/qstore-zarr/src/lib.rs", "// unsafe\nf(\"unsafe\");\n"), 0);
    }

    #[test]
    fn place_fails() {
        assert_eq!(misplaced("crates/qstore-zarr/src/lib.rs", "unsafe { a() }\n"), 1);
        assert_eq!(misplaced("crates/qstore-python/src/logger.rs", "unsafe { a() }\n"), 1);
        assert_eq!(misplaced("tests/src/faults.rs", "unsafe impl Send for A {}\n"), 1);
    }

    #[test]
    fn reason_passes() {
        for text in [
            "// SAFETY: the slot is ours.\nunsafe { a() }\n",
            "// SAFETY: the slot is ours,\n// as `claim` said.\nlet a =\n    unsafe { a() };\n",
            "/// Reads.\n///\n/// # Safety\n/// The slot is full.\n#[inline]\nunsafe fn a() {}\n",
            "unsafe { a() } // SAFETY: the slot is ours.\n",
            "type Hook = unsafe fn(*mut u8);\n",
        ] {
            assert_eq!(unexplained(text), 0, "{text}");
        }
    }

    #[test]
    fn reason_fails() {
        for text in [
            "unsafe { a() }\n",
            "// Fast.\nunsafe { a() }\n",
            "// SAFETY: of something else.\nb();\nunsafe { a() }\n",
            "// SAFETY: too far away.\n\nunsafe { a() }\n",
            "b(); // SAFETY: of b.\nunsafe impl Send for A {}\n",
        ] {
            assert_eq!(unexplained(text), 1, "{text}");
        }
    }
}
