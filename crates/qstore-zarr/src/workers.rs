//! Running work on several threads, or off the caller's thread.

pub(crate) mod off_thread;
pub(crate) mod ordered;
pub(crate) mod spread;

use std::num::NonZero;
use std::thread::available_parallelism;

/// The threads of a save or a load unless another number is set: the machine's cores, at most 2. More
/// would starve the training itself, whose cores they share.
pub(crate) fn default_count() -> usize {
    available_parallelism().map_or(1, NonZero::get).min(2)
}
