//! The name of a metric, as small and cheap as a row on its way through a ring wants it.
//!
//! A literal is its own name. Any other text is interned: kept once, for as long as the process
//! lives. The number of such names is bounded, because every one becomes a column of the file.

use crate::Error;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

/// A metric's name: two words, copied freely.
///
/// ```
/// use qstore_schema::Name;
///
/// let literal: Name = "accuracy".into();
/// let made_up = Name::new(&format!("loss_{}", "head"))?;
/// assert_eq!((literal.as_str(), made_up.as_str()), ("accuracy", "loss_head"));
/// # Ok::<(), qstore_schema::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(&'static str);

impl Name {
    /// How many names can be interned. A file holds far fewer columns.
    pub const INTERNED_MAX: usize = 4_096;

    /// The name of a metric that is known only at run time. Takes a lock and, for a name not seen
    /// before, memory that is never freed: make it once, outside the loop.
    ///
    /// # Errors
    /// [`Error::TooManyNames`] when [`INTERNED_MAX`](Self::INTERNED_MAX) others are interned.
    pub fn new(name: &str) -> Result<Self, Error> {
        static INTERNED: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
        let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        let interned = interned.get_or_insert_default();
        if let Some(known) = interned.get(name) {
            return Ok(Self(known));
        }
        if interned.len() >= Self::INTERNED_MAX {
            return Err(Error::TooManyNames { name: name.into(), max: Self::INTERNED_MAX });
        }
        let kept: &'static str = Box::leak(name.into());
        interned.insert(kept);
        Ok(Self(kept))
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

    // One test, because the interner is one for the process.
    #[test]
    fn a_name_is_kept_once_and_there_is_an_end_to_them() {
        let first = Name::new(&String::from("val_f1")).unwrap();
        let second = Name::new(&String::from("val_f1")).unwrap();
        assert!(std::ptr::eq(first.as_str(), second.as_str()));
        assert_eq!(first, Name::from("val_f1"));
        let made: Vec<_> = (0..=Name::INTERNED_MAX).map(|i| Name::new(&format!("m{i}"))).collect();
        assert_eq!(made.iter().filter(|name| name.is_ok()).count(), Name::INTERNED_MAX - 1);
        assert!(matches!(made.last(), Some(Err(Error::TooManyNames { .. }))));
        assert_eq!(Name::new("m0").unwrap().as_str(), "m0", "known names go on working");
    }
}
