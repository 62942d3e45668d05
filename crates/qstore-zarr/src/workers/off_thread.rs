//! A future for blocking work, which runs on its own thread, so that the caller's executor never waits for
//! a disk.

use futures_channel::oneshot;
use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum NoResult {
    /// The operating system could not start the thread.
    Spawn(io::Error),
    /// The work panicked, with this message.
    Panicked(String),
}

/// Starts `work` on a new thread. It runs whether or not the future is polled.
pub(crate) fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, NoResult>> + Send {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::Builder::new().name("qstore-load".into()).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        let result = result.map_err(|panic| NoResult::Panicked(message_of(&*panic)));
        // The future may have been dropped.
        let _ = sender.send(result);
    });
    async move {
        match thread {
            Err(error) => Err(NoResult::Spawn(error)),
            Ok(_) => receiver
                .await
                .unwrap_or_else(|canceled| Err(NoResult::Panicked(canceled.to_string()))),
        }
    }
}

/// The message of a panic.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
