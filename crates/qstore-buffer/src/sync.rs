//! The atomics, locks and threads that the ring and the wake-up are built on.
//!
//! Normally these are the standard library's. Built with `--cfg loom` or `--cfg shuttle` they are those of
//! a model checker, which runs a test under every interleaving, or under very many of them; see
//! `tests/models.rs`, and `order.rs` for what such a test can remove. Plain counters are not part of any
//! protocol and are always the standard library's.

#[cfg(not(any(loom, shuttle)))]
mod primitives {
    pub(crate) use atomic_waker::AtomicWaker;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, fence};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::{Thread, current, park, park_timeout, yield_now};
}

#[cfg(loom)]
mod primitives {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current, park, yield_now};

    /// loom's waker, with the interface of the real one.
    pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

    impl std::fmt::Debug for AtomicWaker {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("AtomicWaker")
        }
    }

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(loom::future::AtomicWaker::new())
        }

        pub(crate) fn register(&self, waker: &std::task::Waker) {
            self.0.register_by_ref(waker);
        }

        pub(crate) fn wake(&self) {
            self.0.wake();
        }

        pub(crate) fn take(&self) -> Option<std::task::Waker> {
            self.0.take_waker()
        }
    }

    /// A model has no clock, so a wait with a deadline is one without.
    pub(crate) fn park_timeout(_: std::time::Duration) {
        park();
    }
}

#[cfg(shuttle)]
mod primitives {
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize, fence};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::{Thread, current, park, park_timeout, yield_now};
    use std::task::Waker;

    /// Replaces the lock-free waker, which the model checker cannot inspect.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn register(&self, waker: &Waker) {
            *self.0.lock().expect("no test panics in here") = Some(waker.clone());
        }

        pub(crate) fn wake(&self) {
            self.take().inspect(Waker::wake_by_ref);
        }

        pub(crate) fn take(&self) -> Option<Waker> {
            self.0.lock().expect("no test panics in here").take()
        }
    }
}

pub(crate) use primitives::*;
