//! The buffer for tasks: a future for the next item and a stream of all items.
//!
//! Nothing here needs a runtime: the waker of a task is kept in the place of a thread's. A task that
//! waits has the same priority as a thread that waits.

use crate::buffer::AsyncBuffer;
use crate::wait::wait_queue::Waiter;
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<T> AsyncBuffer<T> {
    /// Like [`pop`](Self::pop), for a task: `buffer.pop_async().await`. Works on any executor. Dropping
    /// the future before it completes takes nothing out.
    ///
    /// Any number of threads and tasks can wait; one is woken per item. Do not pop from a buffer that
    /// a [`Drain`](crate::Drain) empties: a consumer beside the drain gets some of the items, and
    /// either of the two may sleep for a linger while items are there.
    ///
    /// ```
    /// use qstore_buffer::AsyncBuffer;
    ///
    /// async fn sum(buffer: &AsyncBuffer<u64>) -> u64 {
    ///     let mut sum = 0;
    ///     while let Some(item) = buffer.pop_async().await {
    ///         sum += item;
    ///     }
    ///     sum
    /// }
    ///
    /// let buffer = AsyncBuffer::new(4)?;
    /// (1..=4).for_each(|item| buffer.push(item).unwrap());
    /// buffer.close();
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # fn block_on<F: Future>(task: F) -> F::Output {
    /// #     match pin!(task).poll(&mut Context::from_waker(Waker::noop())) {
    /// #         Poll::Ready(output) => output,
    /// #         Poll::Pending => unreachable!("the buffer is closed"),
    /// #     }
    /// # }
    /// assert_eq!(block_on(sum(&buffer)), 10);
    /// # Ok::<(), qstore_buffer::SettingError>(())
    /// ```
    pub fn pop_async(&self) -> Pop<'_, T> {
        Pop { buffer: self, waiter: None }
    }

    /// The items as a stream, which ends when the buffer is closed and empty.
    pub fn items(&self) -> Items<T> {
        Items { buffer: self.clone(), waiter: None }
    }
}

/// The next item, or `None` once the buffer is closed and empty. See
/// [`AsyncBuffer::pop_async`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Pop<'a, T> {
    buffer: &'a AsyncBuffer<T>,
    waiter: Option<Waiter>,
}

impl<T> Future for Pop<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        this.buffer.poll_pop(&mut this.waiter, context)
    }
}

impl<T> Drop for Pop<'_, T> {
    fn drop(&mut self) {
        self.buffer.stop_waiting(&mut self.waiter);
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
    waiter: Option<Waiter>,
}

impl<T> Stream for Items<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        this.buffer.poll_pop(&mut this.waiter, context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // In this order: once the ring is closed, its length only decreases.
        (0, self.buffer.is_closed().then(|| self.buffer.len()))
    }
}

impl<T> Drop for Items<T> {
    fn drop(&mut self) {
        self.buffer.stop_waiting(&mut self.waiter);
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
