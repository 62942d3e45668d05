//! The kit of the tests that cross crates, and of anybody who wants to break a storage of their own.
//!
//! | to | take |
//! |---|---|
//! | let any operation of a storage fail, stop half way, lie or hang | [`fault`] |
//! | see what a power cut would leave at any moment | [`crash`] |
//! | be asked before each operation | [`watched`] |
//! | check that a `FileSystem` of your own does what it must | [`qstore::storage::conformance`] |
//! | the same for a `CheckpointStore` | [`qstore::zarr::conformance`] |
//! | run something small that flushes, merges, saves, overwrites and removes | [`metrics_run`], [`checkpoint_run`] |
//! | give bytes that nobody vouches for to everything that reads | [`malformed`] |
//! | read what earlier versions have written | [`golden`] |
//! | open our files with other people's readers | [`readers`], [`parquet`] |
//!
//! Nothing here tests anything; the tests are in `integration/`, one file a topic, and the rows of the
//! reliability scorecard are in `torture/`.

#![forbid(unsafe_code)]

pub mod checkpoint_run;
pub mod crash;
pub mod demo;
pub mod fault;
pub mod gate;
pub mod golden;
pub mod malformed;
pub mod metrics_run;
pub mod parquet;
pub mod plain;
pub mod program;
pub mod promises;
pub mod readers;
pub mod stored_zip;
pub mod watched;

/// The Rust code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// So does that of the page about endings.
#[cfg(doctest)]
#[doc = include_str!("../../docs/shutdown.md")]
mod shutdown {}
