//! The key of a job, made before anything is sent.

use qstore_schema::SmolStr;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A UUID of version 7: our name for a job, and the token that its request carries to the provider.
///
/// It has 36 characters, fits into a `clientToken` of Amazon Braket (64 at most), a job tag of IBM Runtime, and a
/// `name` of `IonQ`. Keys of one process sort by the time they were made, to the millisecond. Its random bits do not
/// depend on any generator that a program seeds, and differ after a fork.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey(SmolStr);

impl JobKey {
    /// A key that was made at this time, in seconds since the Unix epoch.
    pub(crate) fn at(time: f64) -> Self {
        let millis = (time.max(0.0) * 1e3) as u128 & 0xffff_ffff_ffff;
        // Bits 48–51 are the version, bits 64 and 65 the variant (RFC 9562, section 5.7).
        let bits =
            millis << 80 | random() & 0x0fff_3fff_ffff_ffff_ffff | 0x7000_8000_0000_0000_0000;
        let hex = format!("{bits:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Self(parts.join("-").into())
    }

    /// A key that was stored.
    pub(crate) fn known(text: SmolStr) -> Self {
        Self(text)
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, to the millisecond; `None` if another program wrote a text that is not such a key.
    #[must_use]
    pub fn made_at(&self) -> Option<SystemTime> {
        let (high, low) = (self.0.get(..8)?, self.0.get(9..13)?);
        let millis = u64::from_str_radix(&format!("{high}{low}"), 16).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }
}

/// 128 bits that no other process has and no earlier call had: a hash under random keys of the system. A forked
/// child has the same keys, and another number of its own.
fn random() -> u128 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let call = (std::process::id(), now, CALLS.fetch_add(1, Ordering::Relaxed));
    let half = || u128::from(RandomState::new().hash_one(call));
    half() << 64 | half()
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_os::testing::{Fork, in_child};
    use std::collections::HashSet;

    #[test]
    fn a_key_is_a_uuid_of_version_7_and_sorts_by_its_time() {
        let earlier = JobKey::at(1_700_000_000.0);
        let later = JobKey::at(1_700_000_000.001);
        assert!(earlier < later, "{earlier} {later}");
        for key in [&earlier, &later, &JobKey::at(-1.0), &JobKey::at(f64::MAX)] {
            let text = key.as_str();
            assert_eq!((text.len(), &text[14..15]), (36, "7"), "{text}");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        }
        assert!(earlier.as_str().starts_with("018bcfe5-6800-7"), "{earlier}");
        let made_at = |key: &JobKey| key.made_at().unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(made_at(&later), Duration::from_millis(1_700_000_000_001));
        assert_eq!(JobKey::known("é".into()).made_at(), None);
    }

    #[test]
    fn keys_differ_whatever_a_program_has_seeded_and_after_a_fork() {
        let mut keys = HashSet::new();
        for _ in 0..1_000 {
            fastrand::seed(42);
            assert!(keys.insert(JobKey::at(1.0)));
        }
        let dir = tempfile::tempdir().unwrap();
        for (number, fork) in Fork::ALL.into_iter().enumerate() {
            let path = dir.path().join(number.to_string());
            // The next key of the child and that of its parent.
            in_child(fork, || std::fs::write(&path, JobKey::at(1.0).as_str()).unwrap()).unwrap();
            let child = std::fs::read_to_string(path).unwrap();
            assert_ne!(child, JobKey::at(1.0).as_str());
        }
    }
}
