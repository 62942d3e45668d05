//! The verbs, one file each: its arguments, its JSON document, what it prints. None knows another.

pub mod compare;
pub mod completions;
pub mod diff;
pub mod explain;
pub mod export;
pub mod import;
pub mod jobs;
pub mod ls;
pub mod pin;
pub mod plot;
pub mod recover;
#[cfg(feature = "serve")]
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod show;
pub mod tag;
pub mod tail;
pub mod verify;
#[cfg(feature = "watch")]
pub mod watch;
