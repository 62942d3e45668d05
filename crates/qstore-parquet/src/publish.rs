//! From one version of the file to the next: where everything goes, how it is written, and the atomic
//! step that shows it to readers.
//!
//! It decides nothing about *when* a version is published or which rows are in it; that is the log's
//! business.

pub(crate) mod disk;
pub(crate) mod join;
pub(crate) mod layout;
pub(crate) mod layout_error;
pub(crate) mod leftover;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod ownership;
pub(crate) mod recovery;
pub(crate) mod rescue;
pub(crate) mod seal;
pub(crate) mod space;
