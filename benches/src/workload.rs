//! What all contenders are given: the steps of a run, and the model of its checkpoints.
//!
//! It is defined once, here. What a contender in another language is to log, it reads from the file
//! that [`steps::write`] makes.

pub(crate) mod model;
pub(crate) mod steps;
