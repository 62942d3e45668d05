//! Runs as a program uses them: created, resumed, read.

mod reading;
mod record;
mod resuming;
mod status;
