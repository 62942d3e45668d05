//! The kit of the integration tests: readers that are not ours, a storage that fails on demand, the
//! demo as a child process.
//!
//! Nothing here tests anything; the tests are in `integration/`, one file a topic.

#![forbid(unsafe_code)]

pub mod demo;
pub mod fault;
pub mod golden;
pub mod malformed;
pub mod parquet;
pub mod plain;
pub mod program;
pub mod readers;
pub mod stored_zip;

/// The Rust code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// So does that of the page about endings.
#[cfg(doctest)]
#[doc = include_str!("../../docs/shutdown.md")]
mod shutdown {}
