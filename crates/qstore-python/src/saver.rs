//! Saves: a state is taken before the call returns. It waits for room, walks the trees, and copies their arrays into
//! memory of its own without the GIL.

use crate::arena::Arena;
use crate::errors::{StoppedError, of_arena, of_save};
use crate::memory;
use crate::ticket::Ticket;
use crate::tree::Walked;
use crate::waiting::{self, Deadline};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use qstore_checkpoint::Snapshot;
use qstore_zarr::{ArenaError, CheckpointManager, Checkpoints, StagingArena, TrySave};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Who has a manager of checkpoints.
pub(crate) trait Saves: Sync {
    /// Does something with it. Never in a forked child.
    fn with<T>(&self, run: impl FnOnce(&CheckpointManager) -> T) -> T;
}

/// Takes states, and has the memory for them.
pub(crate) struct Saver {
    arena: Arena,
    checkpoints: Checkpoints,
    may_wait: bool,
}

/// A checkpoint to be, with everything but its state: what is known when the save is called, which may be before a thread
/// copies the state.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Draft {
    /// Taken by the save.
    snapshot: Mutex<Option<Snapshot>>,
}

impl Draft {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot: Mutex::new(Some(snapshot)) }
    }

    fn take(&self) -> PyResult<Snapshot> {
        let taken = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| StoppedError::new_err("this draft was saved"))
    }
}

impl Saver {
    pub(crate) fn new(checkpoints: Checkpoints, may_wait: bool) -> Self {
        Self { arena: Arena::default(), checkpoints, may_wait }
    }

    pub(crate) fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// Takes the state now and saves it in the background.
    pub(crate) fn save(
        &self,
        py: Python<'_>,
        owner: &impl Saves,
        draft: &Draft,
        parts: &Bound<'_, PyDict>,
    ) -> PyResult<Ticket> {
        self.wait_for_room(py, owner)?;
        memory::release(py);
        let walked = walked(parts)?;
        let mut snapshot = draft.take()?;
        let bytes = walked.bytes();
        let copied = match walked.copy(py, &self.arena.with_room_for(bytes)) {
            // Another thread took the room.
            Err(ArenaError::Full { .. }) => walked.copy(py, &StagingArena::new(bytes)),
            copied => copied,
        };
        let copied = copied.map_err(|error| of_arena(&error))?;
        for (name, state) in walked.states(&copied) {
            snapshot = snapshot.part(name, state);
        }
        drop(copied);
        loop {
            let saved = py.detach(|| owner.with(|manager| manager.try_save(snapshot)));
            match saved.map_err(|error| of_save(&error))? {
                TrySave::Started(ticket) => return Ok(Ticket::new(ticket)),
                TrySave::Busy(returned) => snapshot = *returned,
            }
            self.wait_for_room(py, owner)?;
        }
    }

    /// Waits until a save would not have to, with the GIL for others.
    fn wait_for_room(&self, py: Python<'_>, owner: &impl Saves) -> PyResult<()> {
        if self.may_wait {
            let forever = Deadline::after(None)?;
            let wait = |slice| owner.with(|manager| manager.wait_for_room(slice));
            waiting::until(py, forever, wait, |has_room| *has_room)?;
        }
        Ok(())
    }

    /// Allocates the memory for a snapshot of such states, in the background unless `wait` is set.
    pub(crate) fn reserve(
        &self,
        py: Python<'_>,
        parts: &Bound<'_, PyDict>,
        wait: bool,
    ) -> PyResult<()> {
        let walked = walked(parts)?;
        let (bytes, lens) = (walked.bytes(), walked.lens());
        drop(walked);
        memory::release(py);
        let arena = self.arena.with_room_for(bytes);
        // What has no room now is allocated by the save.
        let reserve = move || drop(arena.reserve(lens));
        if wait {
            return waiting::elsewhere(py, "qstore-reserve", reserve);
        }
        thread::Builder::new().name("qstore-reserve".into()).spawn(reserve)?;
        Ok(())
    }

    /// The bytes of memory that wait for the next save.
    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.arena.idle_bytes()
    }
}

/// Walks the trees of parts.
fn walked(parts: &Bound<'_, PyDict>) -> PyResult<Walked> {
    let mut walked = Walked::default();
    for (name, tree) in parts {
        walked.part(&name.cast::<PyString>()?.to_cow()?, &tree)?;
    }
    Ok(walked)
}
