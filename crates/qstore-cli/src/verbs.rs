//! The verbs, one file each: its arguments, its JSON document, what it prints. None knows another.

pub mod completions;
pub mod diff;
pub mod explain;
pub mod jobs;
pub mod pin;
pub mod show;
pub mod tail;
pub mod verify;
