//! Memory of Python that nothing changes, read without a copy and without the GIL.

use super::export::Export;
use bytes::Bytes;
use pyo3::prelude::*;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// Exports that are not needed anymore, until a thread that is attached to the interpreter comes by.
static DONE: Mutex<Vec<Detached>> = Mutex::new(Vec::new());

/// An export that another thread may hold, but not release.
struct Detached(Export);

// SAFETY: what is done with it without being attached is reading the memory, which nothing changes (see `bytes_of`). It is
// released by `release`, in a thread that is attached.
unsafe impl Send for Detached {}
// SAFETY: the same.
unsafe impl Sync for Detached {}

/// Holds an export for as long as its bytes are used.
struct Held(Option<Detached>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |held| held.0.bytes())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let done = self.0.take();
        DONE.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
    }
}

/// The bytes of an export, which any thread may use and drop. The caller has made sure that nothing can change the memory as
/// long as it is exported.
///
/// # Errors
/// The export itself, if its elements are not contiguous.
pub(crate) fn bytes_of(export: Export) -> Result<Bytes, Export> {
    if !export.is_contiguous() {
        return Err(export);
    }
    Ok(Bytes::from_owner(Held(Some(Detached(export)))))
}

/// Releases the exports that are not needed anymore. The objects behind them may be freed by it.
pub(crate) fn release(_: Python<'_>) {
    // Not under the lock: freeing an object may call back.
    let done = mem::take(&mut *DONE.lock().unwrap_or_else(PoisonError::into_inner));
    drop(done);
}
