//! The memory orderings that the ring and the wake-up rely on, each with a name.
//!
//! They are named so that a model test can remove one and check that it fails then: `weakened::at`. In
//! a real build none can be removed, and the compiler evaluates every check here.

use crate::sync::fence;
use std::sync::atomic::Ordering::SeqCst;

/// A place where the order of accesses matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A push: between claiming a position and reading whether a consumer waits.
    Push,
    /// A consumer: between announcing that it waits and reading the ring.
    Wait,
    /// Every change of `wake_at` is a read-modify-write.
    Change,
    /// The item is in its slot before its stamp is set.
    Stamp,
    /// A consumer: between making room and reading whether a producer waits for it.
    MadeRoom,
    /// A producer: between announcing that it waits for room and looking for it.
    WantRoom,
}

/// Makes the preceding `SeqCst` access sequentially consistent under loom, too.
///
/// loom treats `SeqCst` as `AcqRel`, except on fences. Where the code relies on the single order of all
/// `SeqCst` accesses, the model needs a fence and a real build needs nothing.
#[inline]
pub(crate) fn fence_for_loom(place: Place) {
    if cfg!(loom) {
        full_fence(place);
    }
}

/// A fence between earlier writes and later reads.
#[inline]
pub(crate) fn full_fence(place: Place) {
    if !weakened::is(place) {
        fence(SeqCst);
    }
}

#[cfg(not(all(loom, test)))]
pub(crate) mod weakened {
    /// Always `false`.
    #[inline]
    pub(crate) fn is(_: super::Place) -> bool {
        false
    }
}

/// The ordering that the current model test removes. All of loom's threads run on the test's own.
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

    /// Runs a test without this ordering.
    pub(crate) fn at(place: Place, test: impl FnOnce()) {
        PLACE.set(Some(place));
        test();
        PLACE.set(None);
    }
}
