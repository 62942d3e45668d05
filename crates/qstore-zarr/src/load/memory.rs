//! Where loaded tensors are put.

use crate::format::aligned::Aligned;
use crate::workers;
use bytes::Bytes;
use std::fmt::Debug;
use std::sync::Arc;

/// Memory of the caller's for loaded tensors, such as memory that another language owns, or that a device can read.
///
/// See [`Checkpoints::memory`](crate::Checkpoints::memory).
pub trait TensorMemory: Debug + Send + Sync {
    /// A block of `len` zeros, at an address that is a multiple of eight; `None` if there is not so much memory. The
    /// length comes from a file.
    fn allocate(&self, len: usize) -> Option<Box<dyn TensorBlock>>;
}

/// The memory of one tensor.
pub trait TensorBlock: Send {
    /// All of it, to be filled.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// The same bytes at the same address, now that they are filled.
    fn into_bytes(self: Box<Self>) -> Bytes;
}

/// How tensors are read.
#[derive(Debug, Clone)]
pub(crate) struct Loading {
    pub(crate) workers: usize,
    /// `None` is the heap.
    pub(crate) memory: Option<Arc<dyn TensorMemory>>,
}

impl Default for Loading {
    fn default() -> Self {
        Self { workers: workers::default_count(), memory: None }
    }
}

impl Loading {
    pub(super) fn allocate(&self, len: usize) -> Option<Box<dyn TensorBlock>> {
        match &self.memory {
            Some(memory) => memory.allocate(len),
            None => Aligned::try_zeroed(len).map(|block| Box::new(block) as Box<dyn TensorBlock>),
        }
    }
}

impl TensorBlock for Aligned {
    fn bytes_mut(&mut self) -> &mut [u8] {
        Self::bytes_mut(self)
    }

    fn into_bytes(self: Box<Self>) -> Bytes {
        Self::into_bytes(*self)
    }
}
