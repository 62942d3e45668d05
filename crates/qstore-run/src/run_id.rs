//! Names for runs that no other run has: UUIDs of version 7 (RFC 9562), which sort by their time.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// A new one: 48 bits of milliseconds, then 74 random bits.
pub(crate) fn new_run_id(now: SystemTime) -> String {
    let millis = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let mut bytes = random_bytes();
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = bytes[6] & 0x0f | 0x70; // version 7
    bytes[8] = bytes[8] & 0x3f | 0x80; // the variant of the RFC
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// From the system's random numbers. Those of this process alone would repeat in the children of a fork.
fn random_bytes() -> [u8; 16] {
    use std::hash::{BuildHasher, RandomState};
    let seed = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
    let mut bytes = [0; 16];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Duration;

    #[test]
    fn an_id_has_the_form_of_version_7_and_sorts_by_time() {
        let at = |millis| new_run_id(UNIX_EPOCH + Duration::from_millis(millis));
        let id = at(0x0123_4567_89ab);
        assert_eq!((id.len(), &id[..15]), (36, "01234567-89ab-7"));
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        assert!(at(1) < at(2) && at(255) < at(256));
    }

    #[test]
    fn no_two_are_equal() {
        let ids: HashSet<_> = (0..10_000).map(|_| new_run_id(UNIX_EPOCH)).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
