//! JSON documents that contain their own checksum, so that truncation or a flipped bit is detected.
//!
//! The last field, `"crc32c":"89abcdef"`, is the crc32c of all bytes before its digits.

/// The name of the manifest: the last entry of every tree, which identifies the tree as a checkpoint.
pub const MANIFEST: &str = "manifest.json";

const SEAL_LEN: usize = "89abcdef\"}".len();

/// Adds the checksum to a JSON object that has at least one field.
#[must_use]
pub fn seal(mut object: Vec<u8>) -> Vec<u8> {
    object.pop(); // the closing brace
    object.extend_from_slice(b",\"crc32c\":\"");
    let checksum = crc32c::crc32c(&object);
    object.extend_from_slice(format!("{checksum:08x}\"}}").as_bytes());
    object
}

/// Checks a sealed document.
///
/// # Errors
/// Why it is not a document that was sealed.
pub fn check_seal(sealed: &[u8]) -> Result<(), BrokenSeal> {
    let covered = sealed.len().checked_sub(SEAL_LEN).ok_or(BrokenSeal::TooShort)?;
    let (covered, seal) = sealed.split_at(covered);
    let checksum = crc32c::crc32c(covered);
    // mutant: manifest_seal_not_compared
    if seal != format!("{checksum:08x}\"}}").as_bytes() {
        return Err(BrokenSeal::Mismatch);
    }
    Ok(())
}

/// Why a sealed document is not the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenSeal {
    /// It is too short for a checksum.
    #[error("it is too short")]
    TooShort,
    /// The checksum does not match.
    #[error("it does not match its own checksum")]
    Mismatch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let sealed = seal(br#"{"number":42}"#.to_vec());
        assert_eq!(check_seal(&sealed), Ok(()));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check_seal(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(check_seal(&sealed[..len]).is_err(), "truncated to {len}");
        }
    }
}
