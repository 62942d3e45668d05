//! A version that is under way, and what is encoded for the one after it.

use crate::log::fresh::Source;
use crate::log::stack::Plan;
use crate::publish::disk::Done;
use qstore_schema::Field;
use std::sync::{Arc, Mutex};

/// A version that was handed out to be published.
pub(crate) struct Flight {
    pub(crate) plan: Plan,
    /// How many rows it publishes that were not published before.
    pub(crate) pending: usize,
    pub(crate) fields: Vec<Field>,
    pub(crate) closes: bool,
    /// Where the work puts down what it did; empty while it is under way, and if it failed.
    pub(crate) done: Arc<Mutex<Option<Done>>>,
}

/// Row groups for a version that was not handed out yet.
pub(crate) struct Ahead {
    /// Holds once the version before it is published.
    pub(crate) plan: Plan,
    pub(crate) pending: usize,
    pub(crate) fields: Vec<Field>,
    pub(crate) source: Source,
}
