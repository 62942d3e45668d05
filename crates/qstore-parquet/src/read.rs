//! The reading side: one version of a file, what is new since, and a check of everything in it.
//!
//! It shares the format with the writing side and nothing else: a reader takes no lock and creates,
//! writes and removes no file.

pub(crate) mod bounds;
pub(crate) mod chunks;
pub(crate) mod current;
pub(crate) mod follow;
pub(crate) mod history;
pub(crate) mod reader;
pub(crate) mod validate;
