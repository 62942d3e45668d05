//! Rule: the top level is the map, and a map has no strange words on it.
//!
//! Why: the first thing anyone sees of a repository is its top-level listing. Eight names carry the
//! content; the rest are papers and tool configuration that have to lie there. Hidden names are
//! tool configuration by convention and are not checked.

use super::finding::Finding;
use super::tree::Tree;

/// Must be there.
const REQUIRED: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "adapters",
    "benches",
    "crates",
    "demo",
    "docs",
    "fuzz",
    "tests",
    "xtask",
];

/// May be there: what tools look for at this place and nowhere else.
const PERMITTED: &[&str] =
    &["clippy.toml", "deny.toml", "rust-toolchain.toml", "rustfmt.toml", "target"];

/// Nothing is missing and nothing has been added.
pub(super) fn is_exactly_as_agreed(tree: &Tree) -> Vec<Finding> {
    check(&tree.top_level)
}

fn check(names: &[String]) -> Vec<Finding> {
    let missing = REQUIRED.iter().filter(|name| !names.iter().any(|there| there == *name));
    let missing = missing.map(|name| {
        Finding::new(name, 1, "is missing", "the agreed top level has it; put it back")
    });
    let strange = names
        .iter()
        .filter(|name| !name.starts_with('.'))
        .filter(|name| !REQUIRED.iter().chain(PERMITTED).any(|known| name == known));
    let strange = strange.map(|name| {
        Finding::new(
            name,
            1,
            "is not part of the agreed top level",
            "move it below docs/, tests/, benches/ or the crate it belongs to",
        )
    });
    missing.chain(strange).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed() -> Vec<String> {
        REQUIRED.iter().chain(&["target", ".git"]).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn passes() {
        assert!(check(&agreed()).is_empty());
    }

    #[test]
    fn fails() {
        let mut names = agreed();
        names.push("scripts".to_owned());
        assert_eq!(check(&names).len(), 1);
        names.retain(|name| name != "docs" && name != "scripts");
        assert_eq!(check(&names).len(), 1);
    }
}
