//! Whose turn it is: whether a version is being published, and whether the row groups of the next one
//! are encoded meanwhile.

use crate::format::shape::Shape;
use crate::log::encode_job::Source;
use crate::log::stack::Plan;
use crate::publish::disk::Done;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// The state of a log between two calls.
#[derive(Default)]
pub(crate) enum Turn {
    /// Nothing is under way.
    #[default]
    Resting,
    /// A version was handed out to be published.
    Publishing(Publication),
    /// The same, and the groups of the next version are being encoded, or are encoded already.
    PublishingAhead(Publication, Prepared),
    /// The version before was published; these groups are published next.
    Ready(Prepared),
}

impl Turn {
    /// Whether the groups of the next version are encoded ahead.
    pub(crate) fn is_prepared(&self) -> bool {
        matches!(self, Self::PublishingAhead(..) | Self::Ready(_))
    }
}

/// A version that was handed out to be published.
pub(crate) struct Publication {
    pub(crate) plan: Plan,
    /// The number of rows that it publishes for the first time.
    pub(crate) pending: usize,
    pub(crate) shape: Arc<Shape>,
    pub(crate) closes: bool,
    /// The stored groups that are to become one.
    pub(crate) joined: Option<Range<usize>>,
    /// Where the work leaves its result; empty while it is under way, and if it failed.
    pub(crate) done: Arc<Mutex<Option<Done>>>,
}

/// Row groups for a version that was not handed out yet.
pub(crate) struct Prepared {
    /// Holds once the version before it is published.
    pub(crate) plan: Plan,
    pub(crate) pending: usize,
    pub(crate) shape: Arc<Shape>,
    pub(crate) source: Source,
}
