//! What `cargo metadata` says about the packages, reduced to what the rules ask.

use serde_json::Value;

/// The resolved workspace.
#[derive(Default)]
pub(super) struct Metadata {
    /// The packages of the workspace.
    pub(super) members: Vec<Package>,
    /// Everybody else's packages, as far as this platform uses them.
    pub(super) third_party: Vec<Package>,
}

/// One package.
#[derive(Default)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// The MSRV it declares, if any.
    pub(super) rust_version: Option<String>,
    /// Where its manifest is; for members from the top of the workspace, with forward slashes.
    pub(super) manifest: String,
    pub(super) dependencies: Vec<Dependency>,
    /// `feature → what it switches on`.
    pub(super) features: Vec<(String, Vec<String>)>,
    /// The names of its examples.
    pub(super) examples: Vec<String>,
    /// Whether it may go to a registry.
    pub(super) is_published: bool,
    /// What a registry shows of a package and this one does not say.
    pub(super) missing: Vec<&'static str>,
}

/// A dependency as declared.
#[derive(Default)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// Only for its own tests, examples and benches.
    pub(super) dev: bool,
    pub(super) optional: bool,
}

/// What a registry shows of a package, as its manifest and `cargo metadata` call it.
const SHOWN: &[&str] = &["description", "license", "readme", "keywords", "categories"];

impl Metadata {
    /// Reads the answer of `cargo metadata`.
    pub(super) fn new(answer: &Value) -> Self {
        let root = text(&answer["workspace_root"]).replace('\\', "/");
        let members: Vec<String> = list(&answer["workspace_members"], text);
        let mut metadata = Self::default();
        for value in answer["packages"].as_array().into_iter().flatten() {
            let package = package(value, &root);
            if members.contains(&text(&value["id"])) {
                metadata.members.push(package);
            } else {
                metadata.third_party.push(package);
            }
        }
        metadata
    }

    /// Is this the name of a package of the workspace?
    pub(super) fn is_member(&self, name: &str) -> bool {
        self.members.iter().any(|package| package.name == name)
    }
}

impl Package {
    /// What a feature switches on.
    pub(super) fn feature(&self, name: &str) -> &[String] {
        self.features.iter().find(|(feature, _)| feature == name).map_or(&[], |(_, on)| on)
    }
}

fn package(value: &Value, root: &str) -> Package {
    let manifest = text(&value["manifest_path"]).replace('\\', "/");
    let features = value["features"].as_object().into_iter().flatten();
    Package {
        name: text(&value["name"]),
        version: text(&value["version"]),
        rust_version: value["rust_version"].as_str().map(str::to_owned),
        manifest: manifest
            .strip_prefix(root)
            .map_or(manifest.as_str(), |path| path.trim_start_matches('/'))
            .to_owned(),
        dependencies: list(&value["dependencies"], dependency),
        features: features.map(|(name, on)| (name.clone(), list(on, text))).collect(),
        examples: value["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|target| target["kind"][0] == "example")
            .map(|target| text(&target["name"]))
            .collect(),
        // `publish = false` is an empty list of registries.
        is_published: value["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        missing: missing(value),
    }
}

fn missing(package: &Value) -> Vec<&'static str> {
    let is_empty = |value: &Value| {
        value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
    };
    let mut missing: Vec<_> =
        SHOWN.iter().copied().filter(|key| is_empty(&package[*key])).collect();
    if is_empty(&package["metadata"]["docs"]["rs"]) {
        missing.push("package.metadata.docs.rs");
    }
    missing
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text(&value["name"]),
        dev: value["kind"] == "dev",
        optional: value["optional"] == true,
    }
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_third_parties_are_distinguished() {
        let answer = serde_json::json!({
            "workspace_root": "/q",
            "workspace_members": ["path+file:///q/crates/a#0.1.0"],
            "packages": [
                {
                    "id": "path+file:///q/crates/a#0.1.0",
                    "name": "a",
                    "version": "0.1.0",
                    "rust_version": "1.91",
                    "manifest_path": "/q/crates/a/Cargo.toml",
                    "dependencies": [{ "name": "bytes", "kind": "dev", "optional": false }],
                    "features": { "default": ["x"] },
                    "description": "A ring",
                    "license": "MIT",
                    "readme": "README.md",
                    "keywords": ["ring"],
                    "categories": [],
                    "publish": null,
                    "metadata": { "docs": { "rs": { "all-features": true } } },
                    "targets": [{ "kind": ["lib"], "name": "a" }, { "kind": ["example"], "name": "e" }],
                },
                { "id": "registry#bytes@1.0.0", "name": "bytes", "rust_version": null, "publish": [] },
            ],
        });
        let metadata = Metadata::new(&answer);
        assert!(metadata.is_member("a") && !metadata.is_member("bytes"));
        let package = &metadata.members[0];
        assert_eq!(package.manifest, "crates/a/Cargo.toml");
        assert_eq!(package.rust_version.as_deref(), Some("1.91"));
        assert_eq!(package.examples, ["e"]);
        assert_eq!(package.feature("default"), ["x"]);
        assert!(package.dependencies[0].dev);
        assert!(package.is_published && !metadata.third_party[0].is_published);
        assert_eq!(package.missing, ["categories"]);
    }
}
