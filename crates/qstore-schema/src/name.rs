//! The name of a metric, as small and cheap as a row on its way through a ring needs it.
//!
//! A literal is its own name. Any other text is interned: stored once, for as long as the process lives.
//! There is no limit to the number of names. What each one costs is documented at [`Name::new`].

use qstore_os::PerProcess;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{PoisonError, RwLock};

/// A metric's name: two words, copied freely, compared by its text.
///
/// A literal becomes a name at no cost. A name that is known only at run time is interned: do that once,
/// outside the loop, and copy the `Name`.
///
/// ```
/// use qstore_schema::Name;
///
/// let literal: Name = "accuracy".into();
/// let made_up = Name::new(&format!("loss_{}", "head"));
/// assert_eq!((literal.as_str(), made_up.as_str()), ("accuracy", "loss_head"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(&'static str);

/// A forked child begins another table: at the fork a thread of its parent may have been changing this one.
static INTERNED: PerProcess<RwLock<Interner>> = PerProcess::new();

fn interned() -> &'static RwLock<Interner> {
    INTERNED.get_or_make(|_| RwLock::default())
}

impl Name {
    /// The name of a metric that is known only at run time.
    ///
    /// The first use of a name stores it for the life of the process: its text, plus about 40 bytes. Ten
    /// thousand names of 30 bytes take 0.7 MB. A later use looks it up and allocates nothing. So a name
    /// must not contain what changes from step to step, such as the step itself: log that as a value.
    /// Otherwise memory grows with every step, and so does the number of columns.
    ///
    /// Takes a lock that lookups share; only a new name waits for them.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let known = interned().read().unwrap_or_else(PoisonError::into_inner).find(name);
        known.unwrap_or_else(|| {
            interned().write().unwrap_or_else(PoisonError::into_inner).find_or_add(name)
        })
    }

    /// A literal, in a constant.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(name)
    }

    /// The name as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// The process-wide table of names.
#[derive(Default)]
struct Interner {
    names: HashSet<&'static str>,
    /// What is left of the chunk that texts are copied into, back to back.
    free: &'static mut [u8],
}

/// Large enough that the allocator's overhead does not matter, and small enough to be no loss.
const CHUNK_BYTES: usize = 16 << 10;

impl Interner {
    fn find(&self, name: &str) -> Option<Name> {
        self.names.get(name).map(|known| Name(known))
    }

    fn find_or_add(&mut self, name: &str) -> Name {
        // Another thread may have added it between the two locks.
        self.find(name).unwrap_or_else(|| {
            let stored = self.store(name);
            self.names.insert(stored);
            Name(stored)
        })
    }

    fn store(&mut self, name: &str) -> &'static str {
        if name.len() > CHUNK_BYTES / 16 {
            // Would waste too much of a chunk.
            return Box::leak(name.into());
        }
        if name.len() > self.free.len() {
            self.free = Box::leak(vec![0; CHUNK_BYTES].into());
        }
        let (text, rest) = std::mem::take(&mut self.free).split_at_mut(name.len());
        self.free = rest;
        text.copy_from_slice(name.as_bytes());
        std::str::from_utf8(text).expect("these are the bytes of a text")
    }
}

impl From<&'static str> for Name {
    #[inline]
    fn from(name: &'static str) -> Self {
        Self(name)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_name_is_stored_once_whichever_thread_asks_for_it() {
        let make = || (0..20_000).map(|i| Name::new(&format!("m{i}"))).collect::<Vec<_>>();
        let (ours, theirs) = thread::scope(|scope| {
            let other = scope.spawn(make);
            (make(), other.join().unwrap())
        });
        for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours.as_str(), format!("m{i}"));
            assert!(std::ptr::eq(ours.as_str(), theirs.as_str()), "{ours} is stored twice");
        }
    }

    /// Regression: a child whose parent had the table locked hung at its first name.
    #[test]
    fn a_forked_child_interns_names_whatever_its_parent_was_doing() {
        use qstore_os::testing::{Fork, in_child};
        let before = Name::new(&format!("before_{}", "fork"));
        let locked = interned().write().unwrap();
        for fork in Fork::ALL {
            in_child(fork, || {
                let make = |name: &str| Name::new(&format!("{name}_fork"));
                assert_eq!((make("before"), make("after").as_str()), (before, "after_fork"));
                assert!(std::ptr::eq(make("after").as_str(), make("after").as_str()));
            })
            .unwrap();
        }
        drop(locked);
        assert!(std::ptr::eq(before.as_str(), Name::new("before_fork").as_str()));
    }

    #[test]
    fn a_name_may_be_empty_or_longer_than_a_chunk() {
        for len in [0, 1, CHUNK_BYTES / 16, CHUNK_BYTES / 16 + 1, 3 * CHUNK_BYTES] {
            let text = "ü".repeat(len);
            assert_eq!(Name::new(&text).as_str(), text);
            assert!(std::ptr::eq(Name::new(&text).as_str(), Name::new(&text).as_str()));
        }
    }

    #[test]
    fn an_interned_name_equals_the_literal() {
        assert_eq!(Name::new(&String::from("val_f1")), Name::from("val_f1"));
    }
}
