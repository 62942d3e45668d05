//! Memory for what is saved, reused from save to save.

use qstore_zarr::StagingArena;
use std::sync::{Mutex, PoisonError};

/// Beyond two states, so that a state that grows a little still fits.
const SLACK: u64 = 64 << 20;

/// An arena that is as large as the states need.
pub(crate) struct Arena {
    arena: Mutex<StagingArena>,
}

impl Default for Arena {
    fn default() -> Self {
        Self { arena: Mutex::new(StagingArena::new(0)) }
    }
}

impl Arena {
    /// The bytes that no save uses.
    pub(crate) fn idle_bytes(&self) -> u64 {
        self.arena.lock().unwrap_or_else(PoisonError::into_inner).stats().idle_bytes
    }

    /// An arena with room for this number of bytes: the one of earlier saves or, if it is too small for two such states, a new
    /// one. The memory of the old one is freed when its saves are done.
    pub(crate) fn with_room_for(&self, bytes: u64) -> StagingArena {
        let mut arena = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = arena.stats();
        if stats.budget_bytes.saturating_sub(stats.in_use_bytes) < bytes {
            let two_states = bytes.saturating_mul(2).saturating_add(SLACK);
            *arena = StagingArena::new(two_states);
        }
        arena.clone()
    }
}
