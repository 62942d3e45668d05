//! Whether this process was forked from the one that opened something, for the price of a load and a compare.
//!
//! After a fork the child has the memory of its parent and none of its threads. What has a thread, a lock or a
//! temporary name must notice that, and a system call at every step would be too much. So a number stands for
//! the process: the *fork generation*. It becomes 0 in a child, in two ways that do not depend on each other:
//!
//! * a handler of `pthread_atfork`, which every `fork` of the C library runs in the child;
//! * on Linux, the kernel itself: it empties the page of the number when it copies the memory of a process
//!   (`MADV_WIPEONFORK`), whichever call forked it.
//!
//! Neither happens after `vfork`, `posix_spawn` or in a new thread, where the memory is shared, not copied.
//! The first who asks in the child takes a new number, which no ancestor has had.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};

/// The page size of x86-64 and of most aarch64 systems. Where it is larger, only the handler is there.
const PAGE_BYTES: usize = 4096;

/// The generation of this process; 0 until it is first asked for.
#[repr(C, align(4096))]
struct Page {
    generation: AtomicU64,
    /// The kernel empties whole pages, so nothing else may be on this one.
    _rest: [u8; PAGE_BYTES - size_of::<AtomicU64>()],
}

static PAGE: Page =
    Page { generation: AtomicU64::new(0), _rest: [0; PAGE_BYTES - size_of::<AtomicU64>()] };

/// The numbers that this process and its ancestors have used.
static USED: AtomicU64 = AtomicU64::new(0);

/// Whether forks are noticed.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// Remembers a process, and tells whether the current one was forked from it.
///
/// ```
/// use qstore_os::ForkCheck;
///
/// struct Writer {
///     opened_in: ForkCheck,
/// }
///
/// impl Drop for Writer {
///     fn drop(&mut self) {
///         if self.opened_in.is_forked() {
///             return; // the thread, the lock and the temporary files are the parent's
///         }
///         // … stop the thread, remove the temporary files
///     }
/// }
///
/// let writer = Writer { opened_in: ForkCheck::new() };
/// assert!(!writer.opened_in.is_forked());
/// ```
#[derive(Debug)]
pub struct ForkCheck(AtomicU64);

impl ForkCheck {
    /// Remembers this process. Takes no lock, so it works in a child, too.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(generation()))
    }

    /// Whether this process is a child of the remembered one, or a child of such a child. Costs two loads and
    /// a compare, and never changes while a process lives.
    #[inline]
    #[must_use]
    pub fn is_forked(&self) -> bool {
        PAGE.generation.load(Relaxed) != self.0.load(Relaxed)
    }

    /// Remembers this process from now on.
    pub fn reset(&self) {
        self.0.store(generation(), Relaxed);
    }
}

impl Default for ForkCheck {
    fn default() -> Self {
        Self::new()
    }
}

/// The clone remembers the same process.
impl Clone for ForkCheck {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Relaxed)))
    }
}

/// A value that every process has to itself: a child of a fork makes its own at the first use.
///
/// It is for what a lock protects and several threads use. In a child such a lock may be held forever, by a
/// thread that only the parent has. What the child inherited is never dropped, because its state is unknown.
///
/// ```
/// use qstore_os::PerProcess;
/// use std::sync::Mutex;
///
/// static NAMES: PerProcess<Mutex<Vec<String>>> = PerProcess::new();
///
/// let names = NAMES.get_or_make(|_inherited| Mutex::default());
/// names.lock().unwrap().push("loss".into());
/// assert_eq!(NAMES.get_or_make(|_| Mutex::default()).lock().unwrap().len(), 1);
/// ```
#[derive(Debug)]
pub struct PerProcess<T> {
    own: AtomicPtr<Own<T>>,
    value: PhantomData<T>,
}

#[derive(Debug)]
struct Own<T> {
    made_in: ForkCheck,
    value: T,
}

impl<T> PerProcess<T> {
    /// No value yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { own: AtomicPtr::new(ptr::null_mut()), value: PhantomData }
    }
}

impl<T: Send + Sync> PerProcess<T> {
    /// The value of this process. If there is none, `make` makes it; in a child it is given the parent's, any
    /// lock of which it may only try. Of several threads that make one at the same time, one succeeds and all
    /// get its value.
    #[allow(unsafe_code)]
    pub fn get_or_make(&self, make: impl FnOnce(Option<&T>) -> T) -> &T {
        let found = self.own.load(Acquire);
        // SAFETY: it is null, or came from a box that is freed only by `drop`, which has no borrows left.
        match unsafe { found.as_ref() } {
            Some(own) if !own.made_in.is_forked() => &own.value,
            inherited => self.put(found, make(inherited.map(|own| &own.value))),
        }
    }

    /// Replaces what was found, unless another thread was faster.
    #[cold]
    #[allow(unsafe_code)]
    fn put(&self, found: *mut Own<T>, value: T) -> &T {
        let new = Box::into_raw(Box::new(Own { made_in: ForkCheck::new(), value }));
        let current = match self.own.compare_exchange(found, new, AcqRel, Acquire) {
            Ok(_) => new,
            Err(faster) => {
                // SAFETY: the pointer came from a box a moment ago, and no other thread has seen it.
                drop(unsafe { Box::from_raw(new) });
                faster
            }
        };
        // SAFETY: it came from a box that is freed only by `drop`, which has no borrows left.
        unsafe { &(*current).value }
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let own = *self.own.get_mut();
        // SAFETY: it is null, or came from a box, and nothing borrows from it any more.
        if unsafe { own.as_ref() }.is_some_and(|own| !own.made_in.is_forked()) {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(own) });
        }
    }
}

/// The generation of this process.
fn generation() -> u64 {
    // Before there is a number that a child could inherit. Several threads may come here at the same time, and
    // a child may come here while its parent was here: there is no lock, and twice does no harm.
    if !IS_WATCHED.load(Acquire) {
        IS_WATCHED.store(watch(), Release);
    }
    match PAGE.generation.load(Relaxed) {
        0 => {
            let new = USED.fetch_add(1, Relaxed) + 1;
            PAGE.generation
                .compare_exchange(0, new, Relaxed, Relaxed)
                .map_or_else(|now| now, |_| new)
        }
        known => known,
    }
}

/// Lets the number become 0 in every child; `false` if that must be tried again.
#[cfg(all(unix, not(miri)))]
#[allow(unsafe_code)]
fn watch() -> bool {
    // Runs in the child, as its only thread, where only few things are allowed: this store is.
    // SAFETY: it asks nothing of its caller; the type of a handler says `unsafe`.
    unsafe extern "C" fn in_child() {
        PAGE.generation.store(0, Relaxed);
    }
    wipe_on_fork();
    // SAFETY: the handler is a function of this program that may run in any state of the process.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
}

/// A system without forks.
#[cfg(not(all(unix, not(miri))))]
fn watch() -> bool {
    true
}

#[cfg(all(target_os = "linux", not(miri)))]
#[allow(unsafe_code)]
fn wipe_on_fork() {
    // SAFETY: asks for a number.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if page_bytes == PAGE_BYTES as libc::c_long {
        let page = (&raw const PAGE).cast_mut().cast();
        // SAFETY: the range is that of one static, which is a page by itself and is made of an atomic and of
        // bytes that nobody reads; nothing changes in this process. A refusal leaves the handler.
        let _ = unsafe { libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK) };
    }
}

#[cfg(all(unix, not(all(target_os = "linux", not(miri))), not(miri)))]
fn wipe_on_fork() {}

#[cfg(all(test, unix, not(miri)))]
mod tests {
    use super::*;
    use crate::testing::{Fork, in_child};
    use std::sync::Mutex;
    use std::thread;

    #[test]
    fn a_child_and_its_child_know_that_they_were_forked_however_that_was_done() {
        for fork in Fork::ALL {
            let here = ForkCheck::new();
            in_child(fork, || {
                assert!(here.is_forked() && here.clone().is_forked());
                let own = ForkCheck::new();
                assert!(!own.is_forked() && here.is_forked());
                in_child(fork, || {
                    assert!(own.is_forked() && here.is_forked());
                    let new = ForkCheck::new();
                    assert!(!new.is_forked() && own.is_forked() && here.is_forked());
                })
                .unwrap();
                assert!(!own.is_forked(), "a child changes nothing in its parent");
                here.reset();
                assert!(!here.is_forked());
            })
            .unwrap();
            assert!(!here.is_forked(), "{fork:?}");
        }
    }

    #[test]
    fn a_thread_and_another_program_are_not_taken_for_a_fork() {
        let here = ForkCheck::new();
        thread::scope(|scope| scope.spawn(|| assert!(!here.is_forked())).join().unwrap());
        std::process::Command::new("true").status().unwrap();
        assert!(!here.is_forked());
    }

    #[test]
    fn a_value_that_is_locked_at_the_fork_is_made_again_in_the_child() {
        let values: PerProcess<Mutex<u32>> = PerProcess::new();
        let held = values.get_or_make(|inherited| {
            assert!(inherited.is_none());
            Mutex::new(7)
        });
        for fork in Fork::ALL {
            let guard = held.lock().unwrap();
            in_child(fork, || {
                let value = values.get_or_make(|inherited| {
                    assert!(inherited.unwrap().try_lock().is_err());
                    Mutex::new(9)
                });
                assert_eq!(*value.lock().unwrap(), 9);
                assert_eq!(*values.get_or_make(|_| unreachable!()).lock().unwrap(), 9);
            })
            .unwrap();
            drop(guard);
            assert_eq!(*values.get_or_make(|_| unreachable!()).lock().unwrap(), 7);
        }
    }
}
