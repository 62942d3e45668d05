//! How everything here is measured: turns, samples, what is reported about them, and the table for people.

pub(crate) mod absent;
pub(crate) mod durable;
pub(crate) mod idle_disk;
pub(crate) mod pace;
pub(crate) mod processor;
pub(crate) mod round_robin;
pub(crate) mod row;
pub(crate) mod statistics;
pub(crate) mod table;
pub(crate) mod this_program;
