//! The writing side: takes rows, decides when they are published and in which row groups, and keeps
//! the accounts.

pub(crate) mod accounts;
pub(crate) mod appended;
#[cfg(feature = "arrow2")]
pub(crate) mod arrow2_rows;
pub(crate) mod dataset;
pub(crate) mod encode_job;
pub(crate) mod metrics_log;
pub(crate) mod pace;
pub(crate) mod part_of;
pub(crate) mod sealed;
pub(crate) mod settings;
pub(crate) mod stack;
pub(crate) mod stats;
pub(crate) mod turn;
pub(crate) mod writer;
