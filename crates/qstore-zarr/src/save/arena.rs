//! Memory for snapshots of borrowed tensors, reused from save to save.
//!
//! Copying a gigabyte into fresh memory takes about ten times as long as copying it into memory that has
//! been used before, because the operating system has to allocate and clear every page. A training loop
//! saves tensors of the same sizes over and over, so the arena keeps a block for each size and reuses it
//! once the save that used it is done. It never holds more than its budget.

use crate::format::aligned::Aligned;
use bytes::Bytes;
use qstore_os::{ForkCheck, PerProcess};
use qstore_schema::{Dtype, State, StateDict, Tensor};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Copies tensors into its own memory, within a budget. Clones share the memory; a forked child has the whole
/// budget to itself.
///
/// ```
/// use qstore_schema::{Dtype, StateDict};
/// use qstore_zarr::StagingArena;
///
/// let mut weights = vec![1.0_f32; 1000]; // owned by the training loop, changes at every step
/// let arena = StagingArena::new(2 * 4000); // one save running, one waiting
/// arena.reserve([4000])?; // the first save is as fast as the others
///
/// let snapshot = arena.copy(Dtype::Float32, [1000], bytes_of(&weights))?;
/// weights[0] = 2.0;
/// assert_eq!(snapshot.as_slice::<f32>()?[0], 1.0);
/// let state = StateDict::from_iter([("w", snapshot)]); // save it
/// drop(state); // saved: the block can be reused
/// assert_eq!(arena.stats().in_use_bytes, 0);
/// # fn bytes_of(values: &[f32]) -> &[u8] { bytemuck::cast_slice(values) }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct StagingArena {
    shared: Arc<Shared>,
}

/// A tensor could not be copied into an arena.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArenaError {
    /// The arena has lent out its whole budget.
    #[error(
        "{needed} bytes do not fit into the arena: {in_use} of its {budget} bytes hold snapshots that are not saved yet; wait for a save, or increase the budget"
    )]
    Full {
        /// Bytes of the tensor.
        needed: u64,
        /// The most the arena may hold.
        budget: u64,
        /// Bytes in snapshots that are not saved yet.
        in_use: u64,
    },
    /// The bytes do not match the element type and the shape.
    #[error(transparent)]
    Tensor(#[from] qstore_schema::TensorError),
}

/// How an arena's budget is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaStats {
    /// The most bytes it may hold.
    pub budget_bytes: u64,
    /// Bytes in snapshots that are not saved yet.
    pub in_use_bytes: u64,
    /// Bytes in idle blocks.
    pub idle_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    budget: u64,
    pool: PerProcess<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    blocks: Mutex<Blocks>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct Blocks {
    /// By length.
    idle: BTreeMap<usize, Vec<Aligned>>,
    idle_bytes: u64,
    in_use_bytes: u64,
}

impl StagingArena {
    /// Creates an arena that holds at most `budget_bytes`. With twice the size of the state, one save can
    /// run while the next snapshot is taken.
    #[must_use]
    pub fn new(budget_bytes: u64) -> Self {
        let shared = Shared { budget: budget_bytes, pool: PerProcess::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Allocates blocks of these lengths in bytes and touches all their pages, so that the first copy is as
    /// fast as later ones.
    ///
    /// # Errors
    /// [`ArenaError::Full`] if they do not fit the budget; the blocks allocated so far remain.
    pub fn reserve(&self, lens: impl IntoIterator<Item = usize>) -> Result<(), ArenaError> {
        const PAGE: usize = 4096;
        for len in lens {
            let mut block = self.shared.fresh(len)?;
            for byte in block.bytes_mut().iter_mut().step_by(PAGE) {
                *byte = std::hint::black_box(1);
            }
            self.shared.give_back(block);
        }
        Ok(())
    }

    /// Copies these bytes into a new tensor.
    ///
    /// # Errors
    /// [`ArenaError::Full`] if the budget is used up by snapshots that are not saved yet;
    /// [`ArenaError::Tensor`] if the bytes do not match the shape.
    pub fn copy(
        &self,
        dtype: Dtype,
        shape: impl Into<Vec<usize>>,
        data: &[u8],
    ) -> Result<Tensor, ArenaError> {
        let lent = self.lend(data.len(), |block| block.copy_from_slice(data))?;
        Ok(Tensor::new(dtype, shape, lent)?)
    }

    /// Makes a new tensor whose bytes `fill` writes: all of them, since the memory has been used before. For
    /// sources that are not one slice, such as strided arrays.
    ///
    /// ```
    /// use qstore_schema::Dtype;
    /// use qstore_zarr::StagingArena;
    ///
    /// let arena = StagingArena::new(1 << 20);
    /// let every_second = arena.fill(Dtype::UInt8, [3], |bytes| {
    ///     for (at, byte) in bytes.iter_mut().enumerate() {
    ///         *byte = 2 * at as u8;
    ///     }
    /// })?;
    /// assert_eq!(every_second.as_slice::<u8>()?, [0, 2, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn fill(
        &self,
        dtype: Dtype,
        shape: impl Into<Vec<usize>>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Tensor, ArenaError> {
        let shape = shape.into();
        let lent = self.lend(Tensor::bytes_of(dtype, &shape)?, fill)?;
        Ok(Tensor::new(dtype, shape, lent)?)
    }

    fn lend(&self, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Bytes, ArenaError> {
        let block = self.shared.take(len)?;
        // It returns to the arena also if `fill` panics.
        let mut lent =
            Lent { block: Some(block), shared: Arc::clone(&self.shared), home: ForkCheck::new() };
        if let Some(block) = &mut lent.block {
            fill(block.bytes_mut());
        }
        Ok(Bytes::from_owner(lent))
    }

    /// Copies a state with all its tensors.
    ///
    /// # Errors
    /// As [`copy`](Self::copy); tensors that were already copied are released.
    pub fn copy_state(&self, state: &StateDict) -> Result<StateDict, ArenaError> {
        let copy =
            |(key, node): (&qstore_schema::Key, &State)| Ok((key.clone(), self.copy_node(node)?));
        state.iter().map(copy).collect()
    }

    fn copy_node(&self, node: &State) -> Result<State, ArenaError> {
        Ok(match node {
            State::Tensor(tensor) => {
                self.copy(tensor.dtype(), tensor.shape(), tensor.data())?.into()
            }
            State::Bytes(bytes) => {
                let copied = self.copy(Dtype::UInt8, [bytes.len()], bytes)?;
                State::Bytes(copied.data().clone())
            }
            State::List(nodes) => State::List(self.copy_nodes(nodes)?),
            State::Tuple(nodes) => State::Tuple(self.copy_nodes(nodes)?),
            State::Dict(dict) => self.copy_state(dict)?.into(),
            scalar => scalar.clone(),
        })
    }

    fn copy_nodes(&self, nodes: &[State]) -> Result<Vec<State>, ArenaError> {
        nodes.iter().map(|node| self.copy_node(node)).collect()
    }

    /// Waits up to `timeout` until `bytes` can be copied; returns whether they can.
    #[must_use]
    pub fn wait_for_room(&self, bytes: u64, timeout: Duration) -> bool {
        let is_full = |blocks: &mut Blocks| self.shared.free(blocks) < bytes;
        let waited =
            self.shared.pool().returned.wait_timeout_while(self.shared.lock(), timeout, is_full);
        let mut blocks = waited.unwrap_or_else(PoisonError::into_inner).0;
        !is_full(&mut blocks)
    }

    /// How the budget is used now.
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        let Blocks { idle_bytes, in_use_bytes, .. } = *self.shared.lock();
        ArenaStats { budget_bytes: self.shared.budget, in_use_bytes, idle_bytes }
    }
}

impl Shared {
    fn pool(&self) -> &Pool {
        self.pool.get_or_make(|_| Pool::default())
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.pool().blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of bytes that are not in use.
    fn free(&self, blocks: &Blocks) -> u64 {
        self.budget - blocks.in_use_bytes
    }

    /// A block of this length, an idle one if there is one.
    fn take(&self, len: usize) -> Result<Aligned, ArenaError> {
        let mut blocks = self.lock();
        if let Some(block) = blocks.idle.get_mut(&len).and_then(Vec::pop) {
            blocks.idle_bytes -= len as u64;
            blocks.in_use_bytes += len as u64;
            return Ok(block);
        }
        drop(blocks);
        self.fresh(len)
    }

    /// A new block. Idle blocks of other lengths are freed to make room for it.
    fn fresh(&self, len: usize) -> Result<Aligned, ArenaError> {
        let mut given_up = Vec::new();
        let mut blocks = self.lock();
        let (needed, free) = (len as u64, self.free(&blocks));
        if needed > free {
            let (budget, in_use) = (self.budget, blocks.in_use_bytes);
            return Err(ArenaError::Full { needed, budget, in_use });
        }
        while blocks.idle_bytes > free - needed {
            let Some(mut largest) = blocks.idle.last_entry() else { break };
            given_up.extend(largest.get_mut().pop());
            if largest.get().is_empty() {
                largest.remove();
            }
            blocks.idle_bytes -= given_up.last().map_or(0, |block| block.len() as u64);
        }
        blocks.in_use_bytes += needed;
        drop(blocks);
        drop(given_up); // frees the memory outside the lock
        Ok(Aligned::zeroed(len))
    }

    fn give_back(&self, block: Aligned) {
        let len = block.len();
        let mut blocks = self.lock();
        blocks.in_use_bytes -= len as u64;
        blocks.idle_bytes += len as u64;
        blocks.idle.entry(len).or_default().push(block);
        drop(blocks);
        self.pool().returned.notify_all();
    }
}

/// A block in use by a tensor. It returns to the arena when the last clone of the tensor is dropped.
struct Lent {
    block: Option<Aligned>,
    shared: Arc<Shared>,
    /// The process whose budget it counts against.
    home: ForkCheck,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], Aligned::bytes)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A child of a fork has a copy of the block, which is freed, and never counted it.
        if let Some(block) = self.block.take().filter(|_| !self.home.is_forked()) {
            self.shared.give_back(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_os::testing::{Fork, in_child};

    fn address(tensor: &Tensor) -> usize {
        tensor.data().as_ptr() as usize
    }

    #[test]
    fn blocks_are_reused_within_the_budget() {
        let arena = StagingArena::new(1_000);
        arena.reserve([400]).unwrap();
        assert_eq!(arena.stats().idle_bytes, 400);
        let copy = |len: usize| arena.copy(Dtype::UInt8, [len], &vec![7; len]);
        let first = copy(400).unwrap();
        assert_eq!((arena.stats().in_use_bytes, arena.stats().idle_bytes), (400, 0));
        let second = copy(600).unwrap();
        let error = copy(1).unwrap_err().to_string();
        assert!(error.contains("1000 bytes") && error.contains("wait"), "{error}");
        assert!(!arena.wait_for_room(1, Duration::ZERO));
        let (at, clone) = (address(&first), first.clone());
        drop(first);
        assert_eq!(arena.stats().in_use_bytes, 1_000, "a clone still uses it");
        drop(clone);
        assert!(arena.wait_for_room(400, Duration::ZERO));
        assert_eq!(address(&copy(400).unwrap()), at);
        // Another length: idle blocks are freed for it, blocks in use are not.
        let odd = copy(399).unwrap();
        assert_eq!((arena.stats().in_use_bytes, arena.stats().idle_bytes), (999, 0));
        assert!(odd.data().iter().all(|byte| *byte == 7));
        drop((second, odd));
        assert_eq!((arena.stats().in_use_bytes, arena.stats().idle_bytes), (0, 999));
    }

    #[test]
    fn a_state_is_copied_completely_or_not_at_all() {
        let arena = StagingArena::new(23);
        let inner = StateDict::from_iter([("b", Tensor::scalar(2.0_f64))]);
        let mut state = StateDict::from_iter([("a", Tensor::scalar(1.0_f64))]);
        state.insert("list", vec![State::from(inner), State::from(3_i64)]);
        let opaque = State::Bytes(vec![1, 2, 3].into());
        state.insert("tuple", State::Tuple(vec![opaque, State::Complex([0.0, 1.0])]));
        let copied = arena.copy_state(&state).unwrap();
        assert_eq!(copied, state);
        assert_ne!(address(copied.tensor("a").unwrap()), address(state.tensor("a").unwrap()));
        assert!(arena.copy_state(&state).is_err());
        assert_eq!(arena.stats().in_use_bytes, 19, "the failed copy uses no memory");
        drop(copied);
        assert!(arena.copy_state(&state).is_ok());
        let empty = arena.copy(Dtype::Float32, [0, 3], &[]).unwrap();
        assert!(empty.is_empty() && arena.copy(Dtype::Float32, [2], &[0; 4]).is_err());
    }

    #[test]
    fn a_block_that_is_not_filled_to_the_end_returns_to_the_arena() {
        let arena = StagingArena::new(100);
        let panics = || arena.fill(Dtype::UInt8, [60], |_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!((arena.stats().in_use_bytes, arena.stats().idle_bytes), (0, 60));
        let filled = arena.fill(Dtype::Int16, [30], |block| block.fill(3)).unwrap();
        assert_eq!(filled.data()[..], [3; 60]);
        assert!(matches!(
            arena.fill(Dtype::Int16, [usize::MAX, 2], |_| ()),
            Err(ArenaError::Tensor(_))
        ));
    }

    #[test]
    fn blocks_can_be_returned_by_other_threads() {
        let arena = StagingArena::new(800);
        let tensor = arena.copy(Dtype::UInt8, [800], &[1; 800]).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| arena.wait_for_room(800, Duration::from_mins(1)));
            scope.spawn(move || drop(tensor));
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_forked_child_has_the_budget_to_itself_although_the_lock_is_held() {
        let arena = StagingArena::new(1_000);
        let mut lent = Some(arena.copy(Dtype::UInt8, [900], &[7; 900]).unwrap());
        let held = arena.shared.lock();
        in_child(Fork::Library, || {
            assert_eq!(arena.stats().in_use_bytes, 0);
            let own = arena.copy(Dtype::UInt8, [800], &[9; 800]).unwrap();
            assert_eq!(lent.as_ref().unwrap().data()[..], [7; 900], "it is still readable");
            drop(lent.take());
            assert_eq!((arena.stats().in_use_bytes, arena.stats().idle_bytes), (800, 0));
            drop(own);
            assert_eq!((arena.stats().in_use_bytes, arena.stats().idle_bytes), (0, 800));
        })
        .unwrap();
        drop(held);
        assert_eq!(arena.stats().in_use_bytes, 900);
    }
}
