//! Running work on several threads, or off the caller's thread.

pub(crate) mod off_thread;
pub(crate) mod ordered;
pub(crate) mod spread;
