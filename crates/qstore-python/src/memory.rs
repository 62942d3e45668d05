//! Memory that Python and this crate share: arrays of others, which are copied out of or into, and tensors that others
//! see as arrays. And the arguments of a call, which are in memory of the interpreter.
//!
//! The only module of the crate with `unsafe`. What it relies on is the buffer protocol: as long as a buffer is
//! exported, its memory stays where it is and keeps its shape; DLPack, which says the same of a capsule; and the calling
//! convention of `fastcall`.

mod dlpack;
mod export;
mod fastcall;
mod frozen;
mod loaded;
mod strided;
mod tensor;

pub(crate) use dlpack::Capsule;
pub(crate) use export::Export;
pub(crate) use fastcall::{Arguments, FastMethod, add};
pub(crate) use frozen::{bytes_of, release};
pub(crate) use loaded::Loaded;
pub(crate) use strided::{Source, Target};
pub(crate) use tensor::Tensor;
