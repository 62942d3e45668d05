//! The buffer for tasks: a future for the next item and a stream of all of them.
//!
//! Nothing here needs a runtime: only the task's waker is kept, in the place where a thread's would
//! be. A task that waits has the same standing as a thread that waits.

use crate::AsyncBuffer;
use crate::seat::Ticket;
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The next item, or `None` once the buffer is closed and empty. See
/// [`AsyncBuffer::pop_async`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Pop<'a, T> {
    buffer: &'a AsyncBuffer<T>,
    ticket: Option<Ticket>,
}

impl<'a, T> Pop<'a, T> {
    pub(crate) fn new(buffer: &'a AsyncBuffer<T>) -> Self {
        Self { buffer, ticket: None }
    }
}

impl<T> Future for Pop<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        this.buffer.poll_pop(&mut this.ticket, context)
    }
}

impl<T> Drop for Pop<'_, T> {
    fn drop(&mut self) {
        self.buffer.give_up(&mut self.ticket);
    }
}

impl<T> fmt::Debug for Pop<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pop").field("buffer", self.buffer).finish_non_exhaustive()
    }
}

/// All items in order, until the buffer is closed and empty. See [`AsyncBuffer::items`].
#[must_use = "streams do nothing unless they are polled"]
pub struct Items<T> {
    buffer: AsyncBuffer<T>,
    ticket: Option<Ticket>,
}

impl<T> Items<T> {
    pub(crate) fn new(buffer: AsyncBuffer<T>) -> Self {
        Self { buffer, ticket: None }
    }
}

impl<T> Stream for Items<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        this.buffer.poll_pop(&mut this.ticket, context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // In this order: what is inside of a closed ring only becomes less.
        (0, self.buffer.is_closed().then(|| self.buffer.len()))
    }
}

impl<T> Drop for Items<T> {
    fn drop(&mut self) {
        self.buffer.give_up(&mut self.ticket);
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod executor;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
