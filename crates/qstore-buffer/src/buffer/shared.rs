//! What all handles of a buffer share, and what a push does that cannot simply store its item.

use crate::buffer::counters::Counters;
use crate::buffer::hooks::Hooks;
use crate::buffer::settings::{BufferSettings, Overflow};
use crate::error::PushError;
use crate::ring::{Refused, Ring, Taken};
use crate::sync::spin_loop;
use crate::wait::room::Room;
use crate::wait::wake::Wakeup;
use qstore_os::ForkCheck;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

pub(super) struct Shared<T> {
    pub(super) ring: Ring<T>,
    pub(super) wake: Wakeup,
    pub(super) room: Room,
    pub(super) counters: Counters,
    pub(super) settings: BufferSettings,
    pub(super) hooks: Hooks<T>,
    pub(super) started: Instant,
    /// The process of the drain if there is one, of the buffer if not.
    pub(super) home: ForkCheck,
    pub(super) is_drained: AtomicBool,
}

impl<T> Shared<T> {
    /// Whether the buffer is drained by a thread that only the parent of this process has. Then its locks may be
    /// held, and its slots claimed, by other such threads: nothing here may wait for them.
    #[inline]
    pub(super) fn is_orphan(&self) -> bool {
        self.home.is_forked() && self.is_drained_elsewhere()
    }

    #[cold]
    fn is_drained_elsewhere(&self) -> bool {
        // Asked again, because another thread may have given the buffer a drain in this process meanwhile.
        self.is_drained.load(Acquire) && self.home.is_forked()
    }

    #[cold]
    pub(super) fn refuse_in_child(&self, item: T) -> Result<(), PushError<T>> {
        self.counters.refused.fetch_add(1, Relaxed);
        Err(PushError::Forked(item))
    }

    pub(super) fn take(&self) -> Taken<T> {
        if self.is_orphan() {
            return Taken::Ended;
        }
        let taken = self.ring.pop();
        if let Taken::One(_) = taken {
            self.counters.popped.fetch_add(1, Release);
            self.made_room(1);
        }
        taken
    }

    /// Whether a consumer that found nothing should look again.
    pub(super) fn may_have_changed(&self) -> bool {
        self.ring.len() > 0 || self.ring.is_closed()
    }

    pub(super) fn made_room(&self, count: usize) {
        if count > 0 && matches!(self.settings.overflow, Overflow::BlockFor(_)) {
            self.room.made();
        }
    }

    /// Handles a push that found the ring full or closed.
    #[cold]
    pub(super) fn overflow(&self, item: T, refused: Refused) -> Result<(), PushError<T>> {
        let mut offered = Some(item);
        match (refused, self.settings.overflow) {
            (Refused::Full, Overflow::DropOldest) => self.push_over_the_oldest(&mut offered),
            (Refused::Full, Overflow::BlockFor(patience)) => {
                self.push_within(&mut offered, patience);
            }
            _ => {}
        }
        let Some(item) = offered else {
            self.wake.pushed(|| self.ring.len());
            return Ok(());
        };
        // If the buffer was closed meanwhile, that is the more useful reason.
        if self.ring.is_closed() {
            self.counters.refused.fetch_add(1, Relaxed);
            return Err(PushError::Closed(item));
        }
        // The oldest could not be discarded, or nobody made room: the new item is dropped instead.
        self.counters.drop_newest(&item, &self.hooks);
        Err(PushError::Full(item))
    }

    /// Gives up when the next slot is one that a consumer is still emptying: discarding other items
    /// would not make room there.
    fn push_over_the_oldest(&self, item: &mut Option<T>) {
        const TRIES: usize = 64;
        for _ in 0..TRIES {
            if self.ring.len() < self.ring.capacity() {
                spin_loop();
            } else if let Taken::One(oldest) = self.ring.pop() {
                self.counters.evict(&oldest, &self.hooks);
            }
            if self.ring.offer(item) != Err(Refused::Full) {
                return;
            }
        }
    }

    fn push_within(&self, item: &mut Option<T>, patience: Duration) {
        let deadline = Instant::now().checked_add(patience);
        self.room.wait(deadline, || match self.ring.offer(item) {
            Err(Refused::Full) => None,
            Ok(()) | Err(Refused::Closed) => Some(()),
        });
    }
}
