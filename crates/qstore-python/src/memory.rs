//! Memory that Python and this crate share: arrays of others, which are copied out of or into, and tensors that others
//! see as arrays.
//!
//! The only module of the crate with `unsafe`. What it relies on is the buffer protocol: as long as a buffer is
//! exported, its memory stays where it is and keeps its shape.

mod export;
mod strided;
mod tensor;

pub(crate) use export::Export;
pub(crate) use strided::{Source, Target};
pub(crate) use tensor::Tensor;
