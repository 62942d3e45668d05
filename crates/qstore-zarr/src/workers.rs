//! Work on several threads, and off the caller's.

pub(crate) mod off_thread;
pub(crate) mod ordered;
pub(crate) mod spread;
