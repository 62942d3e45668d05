//! Runs as a program uses them: created, resumed, read.

mod ending;
mod jobs;
mod reading;
mod record;
mod resuming;
mod status;
