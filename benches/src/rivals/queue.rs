//! The queues that are compared, without anything around them.

use crate::Result;
use crossbeam_queue::ArrayQueue;
use qstore_buffer::AsyncBuffer;
use std::hint::black_box;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A row of 200 bytes, about the size of `TrainingMetrics`.
pub(crate) type Row200 = [u64; 25];

/// Rows that fit, in every queue; the default of `AsyncBuffer`.
pub(crate) const MAXSIZE: usize = AsyncBuffer::<Row200>::DEFAULT_MAXSIZE;

/// How long a consumer of ours or of the bare ring sleeps before it looks again.
pub(crate) const LINGER: Duration = Duration::from_millis(5);

/// A queue without anything around it.
pub(crate) trait Queue: Send + Sync + 'static {
    /// An empty one of [`MAXSIZE`].
    fn open() -> Self;

    /// Whether there was room.
    fn push(&self, row: Row200) -> bool;

    fn pop(&self) -> Option<Row200>;

    /// Pops, sleeping for a while if there is nothing.
    fn wait(&self) -> Option<Row200>;
}

impl Queue for AsyncBuffer<Row200> {
    fn open() -> Self {
        Self::new(MAXSIZE).expect("the size is not zero")
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        AsyncBuffer::push(self, row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        self.try_pop()
    }

    fn wait(&self) -> Option<Row200> {
        self.pop_timeout(LINGER)
    }
}

impl Queue for ArrayQueue<Row200> {
    fn open() -> Self {
        Self::new(MAXSIZE)
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        ArrayQueue::push(self, row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        ArrayQueue::pop(self)
    }

    fn wait(&self) -> Option<Row200> {
        ArrayQueue::pop(self).or_else(|| {
            thread::park_timeout(LINGER);
            ArrayQueue::pop(self)
        })
    }
}

/// crossbeam-channel, bounded.
pub(crate) struct Crossbeam {
    sender: crossbeam_channel::Sender<Row200>,
    receiver: crossbeam_channel::Receiver<Row200>,
}

impl Queue for Crossbeam {
    fn open() -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(MAXSIZE);
        Self { sender, receiver }
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        self.sender.try_send(row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        self.receiver.try_recv().ok()
    }

    fn wait(&self) -> Option<Row200> {
        self.receiver.recv_timeout(Duration::from_millis(100)).ok()
    }
}

/// The standard library's bounded channel.
pub(crate) struct Std {
    sender: SyncSender<Row200>,
    /// Only one thread ever asks for it at a time.
    receiver: Mutex<Receiver<Row200>>,
}

impl Queue for Std {
    fn open() -> Self {
        let (sender, receiver) = sync_channel(MAXSIZE);
        Self { sender, receiver: Mutex::new(receiver) }
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        self.sender.try_send(row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }

    fn wait(&self) -> Option<Row200> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv_timeout(Duration::from_millis(100)).ok()
    }
}

/// Pushes `count` rows, each of which must find room.
#[inline]
pub(crate) fn push_all(queue: &impl Queue, rows: usize) -> Result {
    let mut row: Row200 = [7; 25];
    for number in 0..rows {
        row[0] = number as u64;
        if !queue.push(black_box(row)) {
            return Err("a row found no room in a queue that was to be empty".into());
        }
    }
    Ok(())
}
