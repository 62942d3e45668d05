//! Tasks that wait.

use super::*;
use crate::tests::executor::block_on;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Wake, Waker};
use std::thread;

/// Counts how often a task was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

async fn next<T>(items: &mut Items<T>) -> Option<T> {
    poll_fn(|context| Pin::new(&mut *items).poll_next(context)).await
}

#[test]
fn a_stream_gives_every_item_in_order_and_ends_with_the_buffer() {
    let buffer = AsyncBuffer::new(4).unwrap();
    thread::scope(|scope| {
        let mut items = buffer.items();
        let consumer = scope.spawn(move || {
            block_on(async {
                let mut taken = Vec::new();
                while let Some(item) = next(&mut items).await {
                    taken.push(item);
                }
                taken
            })
        });
        for item in 0..1_000 {
            while buffer.push(item).is_err() {
                thread::yield_now();
            }
        }
        buffer.close();
        assert!(consumer.join().unwrap().into_iter().eq(0..1_000));
    });
}

/// Ping-pong between a task and a thread: a lost wake-up makes it hang.
#[test]
fn no_wake_up_of_a_task_is_lost() {
    let (there, back) = (AsyncBuffer::new(1).unwrap(), AsyncBuffer::new(1).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                while let Some(item) = there.pop_async().await {
                    back.push(item).unwrap();
                }
            });
        });
        for item in 0..20_000 {
            there.push(item).unwrap();
            assert_eq!(back.pop(), Some(item));
        }
        there.close();
    });
}

#[test]
fn a_task_is_woken_once_for_the_first_item_and_not_again_for_the_next() {
    let buffer = AsyncBuffer::new(4).unwrap();
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    let mut pop = pin!(buffer.pop_async());
    assert!(pop.as_mut().poll(&mut context).is_pending());
    buffer.push('a').unwrap();
    buffer.push('b').unwrap();
    assert_eq!(bell.0.load(SeqCst), 1);
    assert_eq!(pop.as_mut().poll(&mut context), Poll::Ready(Some('a')));
    assert_eq!(buffer.pop(), Some('b'));
}

#[test]
fn a_task_that_is_dropped_while_it_waits_takes_nothing_and_lets_the_next_wait() {
    let buffer = AsyncBuffer::new(4).unwrap();
    let (first, second) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let wakers = [Waker::from(Arc::clone(&first)), Waker::from(Arc::clone(&second))];
    let mut seated = Box::pin(buffer.pop_async());
    assert!(seated.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
    let mut standing = Box::pin(buffer.pop_async());
    let mut context = Context::from_waker(&wakers[1]);
    assert!(standing.as_mut().poll(&mut context).is_pending());

    // Both are woken: the first is dropped without looking, so the other takes the item.
    buffer.push(1).unwrap();
    assert!(first.0.load(SeqCst) > 0 && second.0.load(SeqCst) > 0);
    drop(seated);
    assert_eq!(standing.as_mut().poll(&mut context), Poll::Ready(Some(1)));
    assert_eq!(buffer.stats().popped, 1);
}

#[test]
fn tasks_and_threads_share_the_items() {
    const ITEMS: u64 = 3_000;
    let buffer = AsyncBuffer::new(16).unwrap();
    thread::scope(|scope| {
        let mut consumers = Vec::new();
        for _ in 0..2 {
            consumers.push(scope.spawn(|| {
                block_on(async {
                    let mut sum = 0;
                    while let Some(item) = buffer.pop_async().await {
                        sum += item;
                    }
                    sum
                })
            }));
            consumers.push(scope.spawn(|| std::iter::from_fn(|| buffer.pop()).sum::<u64>()));
        }
        for item in 0..ITEMS {
            while buffer.push(item).is_err() {
                thread::yield_now();
            }
        }
        buffer.close();
        let sum: u64 = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum();
        assert_eq!(sum, ITEMS * (ITEMS - 1) / 2);
    });
}

/// An executor that drops a task in `wake`, as one that was canceled. With a queue that calls wakers under
/// its lock, the dropped task would lock it again (docs/decisions/0040-own-wait-queue.md).
#[test]
fn a_waker_may_drop_the_task_that_it_wakes() {
    struct Cancelled(std::sync::Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

    impl Wake for Cancelled {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }

    let buffer = AsyncBuffer::new(4).unwrap();
    let tasks = [0, 1].map(|_| {
        let buffer = buffer.clone();
        let task = Arc::new(Cancelled(std::sync::Mutex::new(None)));
        let waker = Waker::from(Arc::clone(&task));
        let mut pop = Box::pin(async move {
            let _ = buffer.pop_async().await;
        });
        assert!(pop.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        *task.0.lock().unwrap() = Some(pop);
        task
    });
    buffer.push(1).unwrap();
    assert!(tasks.iter().all(|task| task.0.lock().unwrap().is_none()), "both were woken");
    assert_eq!(buffer.try_pop(), Some(1));
}

/// Regression: such a future kept the slot of the active waiter, and the others never woke, not even after
/// the close.
#[test]
fn a_future_that_is_kept_and_not_polled_does_not_keep_others_waiting() {
    let buffer = AsyncBuffer::new(8).unwrap();
    let bell = Waker::from(Arc::new(Bell::default()));
    let mut kept = pin!(buffer.pop_async());
    assert!(kept.as_mut().poll(&mut Context::from_waker(&bell)).is_pending());
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..3).map(|_| scope.spawn(|| buffer.pop())).collect();
        (0..2).for_each(|item| buffer.push(item).unwrap());
        buffer.close();
        let taken = consumers.into_iter().map(|consumer| consumer.join().unwrap());
        assert_eq!(taken.flatten().count(), 2);
    });
    assert_eq!(kept.as_mut().poll(&mut Context::from_waker(&bell)), Poll::Ready(None));
}
