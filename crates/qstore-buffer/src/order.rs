//! The orders of accesses that everything rests on, each with a name.
//!
//! They are named so that a model test can take one away and see itself fail: `weakened::at`. In a
//! real build nothing can, and what is asked here is answered by the compiler.

use crate::sync::fence;
use std::sync::atomic::Ordering::SeqCst;

/// Where an order of accesses matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A push: between taking a place in the ring and looking at who waits.
    Push,
    /// A consumer: between saying that it waits and looking at the ring.
    Wait,
    /// Every change of who waits is a read-modify-write.
    Change,
    /// The item is in its slot before the stamp says so.
    Stamp,
    /// A consumer that made room: between that and looking at who waits for room.
    MadeRoom,
    /// A producer: between saying that it waits for room and looking for it.
    WantRoom,
}

/// Makes the sequentially consistent access before it one for loom, too.
///
/// loom takes `SeqCst` for `AcqRel`, except on fences; so where the code relies on the one order of
/// all `SeqCst` accesses, the model needs a fence, and the real thing needs nothing.
#[inline]
pub(crate) fn fence_for_loom(place: Place) {
    if cfg!(loom) {
        full_fence(place);
    }
}

/// A fence between what was done before and what is looked at after.
#[inline]
pub(crate) fn full_fence(place: Place) {
    if !weakened::is(place) {
        fence(SeqCst);
    }
}

#[cfg(not(all(loom, test)))]
pub(crate) mod weakened {
    /// Nothing is.
    #[inline]
    pub(crate) fn is(_: super::Place) -> bool {
        false
    }
}

/// What the model test at hand takes away. loom's threads all run on the test's own.
#[cfg(all(loom, test))]
pub(crate) mod weakened {
    use super::Place;
    use std::cell::Cell;

    thread_local! {
        static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
    }

    pub(crate) fn is(place: Place) -> bool {
        PLACE.get() == Some(place)
    }

    /// Runs a test without that order of accesses.
    pub(crate) fn at(place: Place, test: impl FnOnce()) {
        PLACE.set(Some(place));
        test();
        PLACE.set(None);
    }
}
