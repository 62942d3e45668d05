//! Tests of the ring and of waiting that need an executor or a model checker.

pub(crate) mod executor;
#[cfg(any(loom, shuttle))]
mod models;
