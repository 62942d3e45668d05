//! How threads and tasks wait: consumers for an item, producers for room.

pub(crate) mod room;
pub(crate) mod wait_queue;
pub(crate) mod wake;
