//! Rules for the manifests: what is common is declared once, in the workspace.
//!
//! Why: one version, edition, MSRV and license for the set means that a person who takes two of our
//! crates never has to ask whether they fit. One list of third-party versions means that no library
//! is built twice, and that an update is one line.

use super::finding::Finding;
use super::manifest::{Entry, Manifest, Mention};
use super::tree::{ROOT_MANIFEST, Tree};

/// Directories of packages that are never published.
const ASIDES: &[&str] = &["xtask/", "tests/", "benches/"];

/// A member names its dependencies and takes their versions from `[workspace.dependencies]`. Itself, which its
/// tests may need with other features, it takes from where it lies: a version of it is in no registry yet, and
/// cargo could not package it.
pub(super) fn dependencies_are_inherited(manifest: &Manifest) -> Vec<Finding> {
    let is_name = |entry: &&Entry| entry.key == "name";
    let own = manifest.section("package").find(is_name).map(|entry| entry.value.trim_matches('"'));
    let finding = |mention: Mention| {
        let (what, remedy) = match (own == Some(&*mention.name), mention.inherited) {
            (false, false) => (
                format!("`{}` is not taken from the workspace", mention.name),
                "give its version in [workspace.dependencies] and write `workspace = true` here",
            ),
            (true, true) => {
                ("a package that depends on a version of itself".into(), "write `path = \".\"`")
            }
            _ => return None,
        };
        Some(Finding::new(&manifest.path, mention.line, what, remedy))
    };
    manifest.dependencies().into_iter().filter_map(finding).collect()
}

/// A member takes version, edition, MSRV, license and lints from the workspace.
pub(super) fn package_is_inherited(manifest: &Manifest) -> Vec<Finding> {
    let mut missing: Vec<&str> = ["version", "edition", "rust-version", "license"]
        .into_iter()
        .filter(|key| !manifest.inherits("package", key))
        .collect();
    if !manifest.section("lints").any(|entry| entry.key == "workspace" && entry.value == "true") {
        missing.push("lints");
    }
    missing
        .into_iter()
        .map(|key| {
            Finding::new(
                &manifest.path,
                1,
                format!("`{key}` is not taken from the workspace"),
                "write `KEY.workspace = true` below [package], or `workspace = true` below [lints]",
            )
        })
        .collect()
}

/// xtask, tests and benches carry `publish = false`.
pub(super) fn asides_are_unpublished(manifest: &Manifest) -> Vec<Finding> {
    let aside = ASIDES.iter().any(|place| manifest.path.starts_with(place));
    let unpublished =
        manifest.section("package").any(|entry| entry.key == "publish" && entry.value == "false");
    if !aside || unpublished {
        return vec![];
    }
    vec![Finding::new(
        &manifest.path,
        1,
        "a package that is only for us could be published",
        "write `publish = false` below [package]",
    )]
}

/// A third-party library brings no feature into our tree that nobody asked for.
pub(super) fn default_features_are_off(tree: &Tree) -> Vec<Finding> {
    third_party_defaults(&tree.root_manifest)
}

fn third_party_defaults(manifest: &Manifest) -> Vec<Finding> {
    manifest
        .section("workspace.dependencies")
        .filter(|entry| !entry.value.contains("path = "))
        .filter(|entry| !entry.value.contains("default-features = false"))
        .map(|entry| {
            Finding::new(
                ROOT_MANIFEST,
                entry.line,
                format!("`{}` comes with its default features", entry.key),
                "write `default-features = false` and list the features that are needed",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\n\
        edition = { workspace = true }\nrust-version.workspace = true\nlicense.workspace = true\n\
        publish = false\n[dependencies]\nbytes.workspace = true\n[lints]\nworkspace = true\n";

    fn findings(rule: fn(&Manifest) -> Vec<Finding>, text: &str) -> usize {
        rule(&Manifest::new("benches/Cargo.toml", text)).len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings(dependencies_are_inherited, GOOD), 0);
        assert_eq!(findings(package_is_inherited, GOOD), 0);
        assert_eq!(findings(asides_are_unpublished, GOOD), 0);
        let root = "[workspace.dependencies]\na = { path = \"crates/a\" }\n\
            b = { version = \"1\", default-features = false }\n";
        assert_eq!(findings(third_party_defaults, root), 0);
    }

    #[test]
    fn fails() {
        let own_version = GOOD.replace("bytes.workspace = true", "bytes = \"1\"");
        assert_eq!(findings(dependencies_are_inherited, &own_version), 1);
        let itself = format!("{GOOD}[dev-dependencies]\na = {{ path = \".\" }}\n");
        assert_eq!(findings(dependencies_are_inherited, &itself), 0);
        let itself = itself.replace("path = \".\"", "workspace = true");
        assert_eq!(findings(dependencies_are_inherited, &itself), 1);
        let own_edition = GOOD.replace("edition = { workspace = true }", "edition = \"2021\"");
        assert_eq!(findings(package_is_inherited, &own_edition), 1);
        let no_lints = GOOD.replace("[lints]\nworkspace = true\n", "");
        assert_eq!(findings(package_is_inherited, &no_lints), 1);
        let published = GOOD.replace("publish = false\n", "");
        assert_eq!(findings(asides_are_unpublished, &published), 1);
        let root = "[workspace.dependencies]\nb = \"1\"\n";
        assert_eq!(findings(third_party_defaults, root), 1);
    }
}
