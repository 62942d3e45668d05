//! The key of a job, made before anything is sent.

use qstore_schema::SmolStr;
use std::fmt;

/// A UUID of version 7: our name for a job, and the token that its request carries to the provider.
///
/// It has 36 characters, fits into a `clientToken` of Amazon Braket (64 at most), a job tag of IBM Runtime, and a
/// `name` of `IonQ`. Keys of one process sort by the time they were made, to the millisecond.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey(SmolStr);

impl JobKey {
    /// A key that was made at this time, in seconds since the Unix epoch.
    pub(crate) fn at(time: f64) -> Self {
        let millis = (time.max(0.0) * 1e3) as u128 & 0xffff_ffff_ffff;
        let random = fastrand::u128(..);
        // Bits 48–51 are the version, bits 64 and 65 the variant (RFC 9562, section 5.7).
        let bits = millis << 80 | random & 0x0fff_3fff_ffff_ffff_ffff | 0x7000_8000_0000_0000_0000;
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
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_ne!(JobKey::at(1.0), JobKey::at(1.0));
    }
}
