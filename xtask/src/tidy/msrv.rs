//! Rule: no dependency asks for a newer Rust than we promise.
//!
//! Why: the workspace states its MSRV once, and a person on that Rust must be able to build us. A
//! dependency can take the promise back in a patch release; this rule says which one did, long
//! before the job with the old toolchain fails on some line of it.

use super::finding::Finding;
use super::metadata::Metadata;

/// Compares what every package of the graph declares with what we do.
pub(super) fn no_dependency_is_newer(metadata: &Metadata) -> Vec<Finding> {
    let Some(ours) = metadata.members.iter().find_map(|package| package.rust_version.as_deref())
    else {
        return vec![Finding::new(
            "Cargo.toml",
            1,
            "the workspace states no MSRV",
            "write `rust-version` below [workspace.package]",
        )];
    };
    metadata
        .third_party
        .iter()
        .filter_map(|package| Some((package, package.rust_version.as_deref()?)))
        .filter(|(_, theirs)| number(theirs) > number(ours))
        .map(|(package, theirs)| {
            Finding::new(
                "Cargo.lock",
                1,
                format!(
                    "{} {} needs Rust {theirs}, we promise {ours}",
                    package.name, package.version
                ),
                "take an older version, or raise `rust-version` and say so in the changelog",
            )
        })
        .collect()
}

/// `1.91` and `1.91.0` are the same number.
fn number(version: &str) -> (u32, u32, u32) {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Package;
    use super::*;

    fn findings(ours: Option<&str>, theirs: Option<&str>) -> usize {
        let package = |rust_version: Option<&str>| Package {
            rust_version: rust_version.map(str::to_owned),
            ..Package::default()
        };
        no_dependency_is_newer(&Metadata {
            members: vec![package(ours)],
            third_party: vec![package(theirs)],
        })
        .len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings(Some("1.91"), Some("1.91.0")), 0);
        assert_eq!(findings(Some("1.91"), Some("1.9")), 0);
        assert_eq!(findings(Some("1.91"), None), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings(Some("1.91"), Some("1.91.1")), 1);
        assert_eq!(findings(Some("1.91"), Some("1.100")), 1);
        assert_eq!(findings(None, None), 1);
    }
}
