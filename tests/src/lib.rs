//! The test kit for everything that spans crates.
//!
//! | to | use |
//! |---|---|
//! | let a file system fail, hang, lie or lose power | [`qstore_storage::testing`] |
//! | check a `FileSystem` of your own | [`qstore::storage::conformance`] |
//! | check a `CheckpointStore` of your own | [`qstore_checkpoint::store::conformance`] |
//! | check a `Repository` of your own | [`qstore_checkpoint::repository::conformance`] |
//! | run a small workload that flushes, merges, saves, overwrites and removes | [`metrics_run`], [`checkpoint_run`] |
//! | pass untrusted bytes to everything that reads | [`malformed`] |
//! | read what earlier versions have written | [`golden`] |
//! | run a test on other file systems | [`places`] |
//! | open our files with other readers | [`readers`], [`parquet`] |
//!
//! The kit itself contains no tests. They are in `integration/`, one file per topic; the rows of the
//! reliability scorecard are in `torture/`.

#![forbid(unsafe_code)]

pub mod checkpoint_run;
pub mod demo;
pub mod golden;
pub mod malformed;
pub mod metrics_run;
pub mod parquet;
pub mod places;
pub mod plain;
pub mod program;
pub mod promises;
pub mod readers;
pub mod stored_zip;

/// The Rust code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// So does that of the page about datasets.
#[cfg(doctest)]
#[doc = include_str!("../../docs/datasets.md")]
mod datasets {}

/// So does that of the page about endings.
#[cfg(doctest)]
#[doc = include_str!("../../docs/shutdown.md")]
mod shutdown {}
