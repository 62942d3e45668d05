//! What was not measured.

use serde::{Deserialize, Serialize};

/// A contender that did not run, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Absent {
    pub(crate) who: String,
    pub(crate) why: String,
}

impl Absent {
    /// Of a run in which no Python package takes part.
    pub(crate) fn without_peers() -> Self {
        Self { who: "the Python peers".into(), why: "this run was made without `--peers`".into() }
    }
}
