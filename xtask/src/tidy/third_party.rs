//! Rule: a crate does not depend on a library whose job is another crate's.
//!
//! Why: the layers say what each crate must not know. A buffer that links Parquet knows files,
//! whatever its own code says; a checkpointer that links `tempfile` has begun a crash protocol of
//! its own. Dev-dependencies are free: a test may read with anything.

use super::finding::Finding;
use super::metadata::Metadata;

/// File formats, their codecs and their in-memory models.
const FORMATS: &[&str] = &[
    "arrow",
    "blosc",
    "brotli",
    "flate2",
    "hdf5",
    "lz4",
    "parquet",
    "snap",
    "tensorstore",
    "zarrs",
    "zip",
    "zstd",
];
/// The columnar side, of no concern to checkpoints.
const COLUMNS: &[&str] = &["arrow", "parquet", "polars"];
/// The array side, of no concern to metrics.
const ARRAYS: &[&str] = &["blosc", "zarrs", "zip"];
/// Ways to the disk that pass by qstore-storage.
const DISK: &[&str] = &[
    "atomic-write-file",
    "atomicwrites",
    "fs-err",
    "fs2",
    "fs4",
    "libc",
    "memmap",
    "nix",
    "rustix",
    "tempfile",
];
/// Executors of other crates.
const EXECUTORS: &[&str] = &["async-std", "smol", "threadpool", "tokio"];
/// Threads and executors of other crates.
const THREADS: &[&str] = &["async-std", "rayon", "smol", "threadpool", "tokio"];

/// What each crate must not depend on: the beginnings of crate names.
const TABLE: &[(&str, &[&[&str]])] = &[
    ("qstore-settings", &[FORMATS, DISK, THREADS, &["serde"]]),
    ("qstore-os", &[FORMATS, THREADS]),
    ("qstore-schema", &[FORMATS, DISK, THREADS]),
    ("qstore-buffer", &[FORMATS, DISK, THREADS, &["serde", "bytes", "indexmap"]]),
    ("qstore-storage", &[FORMATS, THREADS]),
    ("qstore-objects", &[FORMATS, DISK, THREADS]),
    ("qstore-checkpoint", &[FORMATS, DISK, THREADS]),
    ("qstore-parquet", &[ARRAYS, DISK, THREADS]),
    // Rayon is there for the loops over chunks, in pools of its own (decision 0038).
    ("qstore-zarr", &[COLUMNS, DISK, EXECUTORS]),
    ("qstore-logger", &[FORMATS, DISK, THREADS]),
    ("qstore-view", &[FORMATS, DISK, THREADS, &["malevich", "plotters"]]),
    ("qstore-bucket", &[FORMATS, DISK, THREADS]),
    ("qstore-ledger", &[FORMATS, DISK, THREADS]),
    ("qstore-run", &[FORMATS, DISK, THREADS]),
    ("qstore-page", &[FORMATS, DISK, THREADS, &["axum", "hyper", "tiny_http"]]),
    ("qstore-signal", &[FORMATS, DISK, THREADS]),
    ("qstore-tracing", &[FORMATS, DISK, THREADS]),
    ("qstore-metrics", &[FORMATS, DISK, THREADS]),
    ("qstore", &[FORMATS, DISK, THREADS]),
    ("qstore-cli", &[FORMATS, DISK, THREADS, &["comfy-table", "indicatif"]]),
    ("qstore-python", &[FORMATS, DISK, THREADS, &["numpy"]]),
];

/// Words that begin like a forbidden one and are something else.
const HARMLESS: &[&str] = &["smol_str", "smol-str", "snapbox"];

/// No normal or build dependency of a crate begins with a word its row forbids.
pub(super) fn stays_where_it_belongs(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.members {
        let Some((_, forbidden)) = TABLE.iter().find(|(name, _)| *name == package.name) else {
            continue;
        };
        let misplaced = package
            .dependencies
            .iter()
            .filter(|dependency| !dependency.dev && !metadata.is_member(&dependency.name))
            .filter(|dependency| !HARMLESS.contains(&dependency.name.as_str()))
            .filter(|dependency| {
                forbidden
                    .iter()
                    .any(|words| words.iter().any(|word| dependency.name.starts_with(word)))
            });
        findings.extend(misplaced.map(|dependency| {
            Finding::new(
                &package.manifest,
                1,
                format!("`{}` must not know `{}`", package.name, dependency.name),
                "move the work into the crate whose job it is; docs/architecture.md names it",
            )
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::metadata::{Dependency, Package};
    use super::*;

    fn findings(package: &str, dependency: &str, dev: bool) -> usize {
        let dependency = Dependency { name: dependency.to_owned(), dev, optional: true };
        let package = Package {
            name: package.to_owned(),
            dependencies: vec![dependency],
            ..Package::default()
        };
        stays_where_it_belongs(&Metadata { members: vec![package], ..Metadata::default() }).len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings("qstore-buffer", "crossbeam-queue", false), 0);
        assert_eq!(findings("qstore-schema", "smol_str", false), 0);
        assert_eq!(findings("qstore-storage", "rustix", false), 0);
        assert_eq!(findings("qstore-parquet", "arrow-array", false), 0);
        assert_eq!(findings("qstore-zarr", "zarrs", false), 0);
        assert_eq!(findings("qstore-zarr", "tempfile", true), 0);
        assert_eq!(findings("qstore-bench", "arrow2", false), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings("qstore-buffer", "parquet", false), 1);
        assert_eq!(findings("qstore-schema", "rustix", false), 1);
        assert_eq!(findings("qstore-storage", "zarrs_storage", false), 1);
        assert_eq!(findings("qstore-zarr", "tempfile", false), 1);
        assert_eq!(findings("qstore-logger", "arrow-array", false), 1);
    }
}
