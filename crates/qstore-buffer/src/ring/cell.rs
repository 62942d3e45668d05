//! Memory for an item that may or may not be there. The ring ensures that one thread uses it at a time.
//!
//! Under loom it is loom's own cell, which detects two threads in it at once.

use std::mem::MaybeUninit;

#[cfg(loom)]
use loom::cell::UnsafeCell;
#[cfg(not(loom))]
use std::cell::UnsafeCell;

pub(crate) struct Cell<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Cell<T> {
    pub(crate) fn empty() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

#[cfg(not(loom))]
impl<T> Cell<T> {
    /// Stores an item, and calls `finish` on it.
    ///
    /// # Safety
    /// No other thread uses the cell.
    #[inline]
    pub(crate) unsafe fn write(&self, item: T, finish: impl FnOnce(&mut T)) {
        // SAFETY: ensured by the caller.
        finish(unsafe { (*self.0.get()).write(item) });
    }

    /// # Safety
    /// No other thread uses the cell, and an item was written since the last read.
    #[inline]
    pub(crate) unsafe fn read(&self) -> T {
        // SAFETY: ensured by the caller.
        unsafe { (*self.0.get()).assume_init_read() }
    }
}

#[cfg(loom)]
impl<T> Cell<T> {
    /// Stores an item, and calls `finish` on it.
    ///
    /// # Safety
    /// No other thread uses the cell.
    pub(crate) unsafe fn write(&self, item: T, finish: impl FnOnce(&mut T)) {
        self.0.with_mut(|place| {
            // SAFETY: ensured by the caller; loom checks it.
            finish(unsafe { (*place).write(item) });
        });
    }

    /// # Safety
    /// No other thread uses the cell, and an item was written since the last read.
    pub(crate) unsafe fn read(&self) -> T {
        // SAFETY: ensured by the caller; loom checks it.
        self.0.with_mut(|place| unsafe { (*place).assume_init_read() })
    }
}
