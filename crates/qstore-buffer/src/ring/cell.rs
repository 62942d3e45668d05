//! Room for an item that may or may not be there; who may be in it is the ring's business.
//!
//! Under loom it is loom's own cell, which notices two threads in it at once.

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
    /// # Safety
    /// Nobody else is in the cell.
    #[inline]
    pub(crate) unsafe fn write(&self, item: T) {
        // SAFETY: the caller's promise.
        unsafe { (*self.0.get()).write(item) };
    }

    /// # Safety
    /// Nobody else is in the cell, and an item was written since the last read.
    #[inline]
    pub(crate) unsafe fn read(&self) -> T {
        // SAFETY: the caller's promise.
        unsafe { (*self.0.get()).assume_init_read() }
    }
}

#[cfg(loom)]
impl<T> Cell<T> {
    /// # Safety
    /// Nobody else is in the cell.
    pub(crate) unsafe fn write(&self, item: T) {
        self.0.with_mut(|place| {
            // SAFETY: the caller's promise, which loom checks.
            unsafe { (*place).write(item) };
        });
    }

    /// # Safety
    /// Nobody else is in the cell, and an item was written since the last read.
    pub(crate) unsafe fn read(&self) -> T {
        // SAFETY: the caller's promise, which loom checks.
        self.0.with_mut(|place| unsafe { (*place).assume_init_read() })
    }
}
