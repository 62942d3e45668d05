//! The mark by which a writer recognizes its own object.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A random mark of 128 bits in the metadata of an object. Every write has its own.
///
/// The tag of an object will not do: stores compute it from the content, so equal contents have equal tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(String);

impl Token {
    /// A new mark. It is random per process and thread; the process number and the time keep a forked child,
    /// which inherits the random state, apart from its parent.
    #[must_use]
    pub fn random() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos());
        let seed = (process::id(), nanos, COUNT.fetch_add(1, Ordering::Relaxed));
        let half = || RandomState::new().hash_one(seed);
        Self(format!("{:016x}{:016x}", half(), half()))
    }

    /// The mark with this text, as [`as_str`](Self::as_str) returned it: 1 to 64 of `a-z 0-9 -`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        ((1..=64).contains(&text.len()) && text.bytes().all(is_plain)).then(|| Self(text.into()))
    }

    /// The text, as it is in the metadata.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::thread;

    #[test]
    fn tokens_do_not_repeat_and_are_read_back() {
        let some = || (0..1000).map(|_| Token::random()).collect::<Vec<_>>();
        let other = thread::spawn(some).join().unwrap();
        let all: BTreeSet<_> = some().into_iter().chain(other).collect();
        assert_eq!(all.len(), 2000);
        assert!(all.iter().all(|token| Token::parse(token.as_str()).as_ref() == Some(token)));
        for malformed in ["", "A", "a/b", "ä", &"0".repeat(65)] {
            assert_eq!(Token::parse(malformed), None);
        }
    }
}
