//! Rules: dependencies between our crates point down.
//!
//! Why: a person may take only the ring buffer, or only the checkpointer, and pay for nothing else.
//! That holds as long as no crate depends on a row above or beside its own:
//!
//! ```text
//!  L8  qstore-python
//!  L7  qstore   qstore-cli
//!  L6  qstore-page
//!  L5  qstore-run   qstore-tracing   qstore-metrics
//!  L4  qstore-logger   qstore-view   qstore-ledger   qstore-bucket
//!  L3  qstore-parquet   qstore-zarr
//!  L2  qstore-checkpoint
//!  L1  qstore-schema   qstore-buffer   qstore-storage   qstore-objects
//!  L0  qstore-settings   qstore-os   qstore-signal
//!  aside: qstore-tests, qstore-bench, qstore-demo → anything;  xtask → nothing
//! ```
//!
//! Dev-dependencies keep the same rule: a test that needs two siblings belongs into the top-level
//! `tests/`, and a crate that can only be tested from above cannot be taken alone.

use super::finding::Finding;
use super::metadata::{Dependency, Metadata, Package};

#[derive(Clone, Copy)]
enum Place {
    /// May depend on every layer below its own.
    Layer(u8),
    /// May depend on every layer; nothing depends on it.
    Aside,
    /// Depends on nothing of ours, and nothing depends on it.
    Alone,
}

const TABLE: &[(&str, Place)] = &[
    ("qstore-python", Place::Layer(8)),
    ("qstore", Place::Layer(7)),
    ("qstore-cli", Place::Layer(7)),
    ("qstore-page", Place::Layer(6)),
    ("qstore-run", Place::Layer(5)),
    ("qstore-tracing", Place::Layer(5)),
    ("qstore-metrics", Place::Layer(5)),
    ("qstore-logger", Place::Layer(4)),
    ("qstore-view", Place::Layer(4)),
    ("qstore-ledger", Place::Layer(4)),
    ("qstore-bucket", Place::Layer(4)),
    ("qstore-zarr", Place::Layer(3)),
    ("qstore-parquet", Place::Layer(3)),
    ("qstore-checkpoint", Place::Layer(2)),
    ("qstore-schema", Place::Layer(1)),
    ("qstore-buffer", Place::Layer(1)),
    ("qstore-storage", Place::Layer(1)),
    ("qstore-objects", Place::Layer(1)),
    ("qstore-settings", Place::Layer(0)),
    ("qstore-os", Place::Layer(0)),
    ("qstore-signal", Place::Layer(0)),
    ("qstore-tests", Place::Aside),
    ("qstore-bench", Place::Aside),
    ("qstore-demo", Place::Aside),
    ("xtask", Place::Alone),
];

/// The one edge to a file format from a crate that is useful without it: so that a logger opens a path
/// in one call. It is optional, and behind this default feature.
const EDGE: (&str, &str) = ("qstore-logger", "qstore-parquet");
const EDGE_FEATURE: &str = "parquet";

/// Every package has a place in the table, and depends only on packages below it.
pub(super) fn dependencies_point_down(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.members {
        let Some(from) = place(&package.name) else {
            findings.push(Finding::new(
                &package.manifest,
                1,
                format!("`{}` has no layer", package.name),
                "give it one in xtask/src/tidy/layers.rs and in docs/architecture.md",
            ));
            continue;
        };
        let upward = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.name != package.name)
            .filter(|dependency| metadata.is_member(&dependency.name))
            .filter(|dependency| !place(&dependency.name).is_some_and(|to| permitted(from, to)));
        findings.extend(upward.map(|dependency| {
            Finding::new(
                &package.manifest,
                1,
                format!("`{}` must not depend on `{}`", package.name, dependency.name),
                "move what both need into a lower layer, or a test into the top-level tests/",
            )
        }));
    }
    findings
}

/// The edge can be switched off, and its switch has the agreed name.
pub(super) fn one_edge_is_optional(metadata: &Metadata) -> Vec<Finding> {
    let Some(package) = metadata.members.iter().find(|package| package.name == EDGE.0) else {
        return vec![];
    };
    let is_edge = |dependency: &&Dependency| dependency.name == EDGE.1 && !dependency.dev;
    let Some(edge) = package.dependencies.iter().find(is_edge) else { return vec![] };
    if edge.optional && feature_guards_edge(package) {
        return vec![];
    }
    vec![Finding::new(
        &package.manifest,
        1,
        format!("`{}` is not behind the default feature `{EDGE_FEATURE}`", EDGE.1),
        "make it `optional = true`, with `default = [\"parquet\"]` and `parquet = [\"dep:…\"]`",
    )]
}

fn feature_guards_edge(package: &Package) -> bool {
    let has = |feature: &str, item: &str| package.feature(feature).iter().any(|on| on == item);
    has("default", EDGE_FEATURE) && has(EDGE_FEATURE, &format!("dep:{}", EDGE.1))
}

fn place(name: &str) -> Option<Place> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
}

fn permitted(from: Place, to: Place) -> bool {
    match (from, to) {
        (Place::Layer(from), Place::Layer(to)) => to < from,
        (Place::Aside, Place::Layer(_) | Place::Aside) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace in which each package depends on the ones named behind it.
    fn workspace(packages: &[(&str, &[&str])]) -> Metadata {
        let members = packages
            .iter()
            .map(|(name, dependencies)| Package {
                name: (*name).to_owned(),
                dependencies: dependencies
                    .iter()
                    .map(|name| Dependency { name: (*name).to_owned(), ..Dependency::default() })
                    .collect(),
                ..Package::default()
            })
            .collect();
        Metadata { members, ..Metadata::default() }
    }

    fn upward(from: &str, to: &str) -> usize {
        dependencies_point_down(&workspace(&[(from, &[to]), (to, &[])])).len()
    }

    #[test]
    fn down_passes() {
        for (from, to) in [
            ("qstore", "qstore-zarr"),
            ("qstore", "qstore-buffer"),
            ("qstore-zarr", "qstore-storage"),
            ("qstore-logger", "qstore-parquet"),
            ("qstore-tests", "qstore"),
            ("qstore-bench", "qstore-tests"),
        ] {
            assert_eq!(upward(from, to), 0, "{from} -> {to}");
        }
        assert_eq!(dependencies_point_down(&workspace(&[("xtask", &["lexopt"])])).len(), 0);
    }

    #[test]
    fn up_and_sideways_fail() {
        for (from, to) in [
            ("qstore-buffer", "qstore-schema"),
            ("qstore-schema", "qstore"),
            ("qstore-zarr", "qstore-parquet"),
            ("qstore-parquet", "qstore-logger"),
            ("qstore-zarr", "qstore-tests"),
            ("xtask", "qstore-schema"),
            ("qstore-tests", "xtask"),
        ] {
            assert_eq!(upward(from, to), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn a_package_without_a_layer_fails() {
        assert_eq!(dependencies_point_down(&workspace(&[("qstore-new", &[])])).len(), 1);
    }

    fn edge(optional: bool, features: &[(&str, &str)]) -> usize {
        let mut metadata = workspace(&[EDGE].map(|(from, _)| (from, &[EDGE.1][..])));
        let logger = &mut metadata.members[0];
        logger.dependencies[0].optional = optional;
        logger.features = features
            .iter()
            .map(|(name, on)| ((*name).to_owned(), vec![(*on).to_owned()]))
            .collect();
        one_edge_is_optional(&metadata).len()
    }

    #[test]
    fn the_edge_passes_when_it_can_be_switched_off() {
        assert_eq!(edge(true, &[("default", "parquet"), ("parquet", "dep:qstore-parquet")]), 0);
        assert_eq!(one_edge_is_optional(&workspace(&[("qstore-logger", &[])])).len(), 0);
    }

    #[test]
    fn the_edge_fails_when_it_cannot() {
        assert_eq!(edge(false, &[("default", "parquet"), ("parquet", "dep:qstore-parquet")]), 1);
        assert_eq!(edge(true, &[("parquet", "dep:qstore-parquet")]), 1);
    }
}
