//! Memory into which checkpoints are loaded, and which Python gets without a copy.

use bytes::Bytes;
use qstore_os::prefer_large_pages;
use qstore_schema::Tensor;
use qstore_zarr::{TensorBlock, TensorMemory};
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory that Python may write to. In whole words, so that every element type is aligned.
pub(super) struct Words {
    words: UnsafeCell<Box<[u64]>>,
    /// In bytes.
    len: usize,
}

// SAFETY: this crate writes to the words, and refers to them, only before Python sees them: through the one reference that
// there is (`TensorBlock::bytes_mut`), and as bytes that are dropped before (`Loaded::take`). Later it only hands out their
// address. Who writes to them through it synchronizes, as with any array of Python.
unsafe impl Sync for Words {}

impl Words {
    /// Zeros; `None` if there is not so much memory.
    fn zeroed(len: usize) -> Option<Self> {
        let words = bytemuck::allocation::try_zeroed_slice_box(len.div_ceil(size_of::<u64>()));
        let mut words = Self { words: UnsafeCell::new(words.ok()?), len };
        prefer_large_pages(words.bytes_mut());
        Some(words)
    }

    /// A copy of these bytes, which are in memory already.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let len = bytes.len();
        let zeros = vec![0; len.div_ceil(size_of::<u64>())].into_boxed_slice();
        let mut words = Self { words: UnsafeCell::new(zeros), len };
        prefer_large_pages(words.bytes_mut());
        words.bytes_mut().copy_from_slice(bytes);
        words
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::must_cast_slice_mut(self.words.get_mut())[..self.len]
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn address(&self) -> *mut u8 {
        // SAFETY: the box itself is never replaced; this reads where it points to.
        unsafe { (*self.words.get()).as_mut_ptr().cast() }
    }
}

/// The memory of one load.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// By their addresses, what was filled and is not with Python yet.
    filled: Arc<Filled>,
}

#[derive(Debug, Default)]
struct Filled {
    by_address: Mutex<HashMap<usize, Arc<Words>>>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Words({} B)", self.len)
    }
}

impl Loaded {
    /// The memory of a loaded tensor, which is dropped; a copy, if something else still refers to it, or if it was loaded
    /// into other memory.
    pub(super) fn take(&self, tensor: Tensor) -> Words {
        let (address, len) = (tensor.data().as_ptr() as usize, tensor.data().len());
        let known = self.filled.lock().remove(&address).filter(|words| words.len == len);
        let Some(words) = known else { return Words::of(tensor.data()) };
        // `Bytes` do not say whether they are the only ones over memory of an owner, but the owner goes with the last of them.
        drop(tensor);
        Arc::try_unwrap(words).unwrap_or_else(|shared| Words::of(Whole(shared).as_ref()))
    }
}

impl Filled {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<Words>>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TensorMemory for Loaded {
    fn allocate(&self, len: usize) -> Option<Box<dyn TensorBlock>> {
        let words = Words::zeroed(len)?;
        Some(Box::new(Block { words, filled: Arc::clone(&self.filled) }))
    }
}

/// Memory that is being filled.
struct Block {
    words: Words,
    filled: Arc<Filled>,
}

impl TensorBlock for Block {
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.words.bytes_mut()
    }

    fn into_bytes(self: Box<Self>) -> Bytes {
        let Self { words, filled } = *self;
        let words = Arc::new(words);
        filled.lock().insert(words.address() as usize, Arc::clone(&words));
        Bytes::from_owner(Whole(words))
    }
}

struct Whole(Arc<Words>);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: there are `len` bytes, and nothing writes to them before Python has them: see `Words`.
        unsafe { slice::from_raw_parts(self.0.address(), self.0.len) }
    }
}
