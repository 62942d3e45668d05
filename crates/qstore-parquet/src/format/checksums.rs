//! The checksums of a file: one for each column chunk, and one for the footer.
//!
//! Parquet itself has none that readers check, so a bit that flips on the disk becomes a wrong value
//! without any error, except with gzip. Other readers ignore ours; our reader and `validate` check them.
//!
//! The chunks' checksums are in the footer under one key: eight hexadecimal digits for each column in
//! file order, `-` for a chunk that another program wrote, row groups separated by commas. The footer's
//! own is in the eight bytes before it: four letters and the crc32c of the footer.

/// The metadata key of the chunks' checksums.
pub(crate) const KEY: &str = "qstore.crc32c";

/// The letters at the beginning of a seal.
const LETTERS: &[u8; 4] = b"QSFC";

/// The length of the seal before the footer, in bytes.
pub(crate) const SEAL_LEN: u64 = 8;

/// The seal to put before this footer.
pub(crate) fn seal(footer: &[u8]) -> [u8; SEAL_LEN as usize] {
    let mut seal = [0; SEAL_LEN as usize];
    seal[..4].copy_from_slice(LETTERS);
    seal[4..].copy_from_slice(&crc32c::crc32c(footer).to_le_bytes());
    seal
}

/// The result of comparing a footer with its seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seal {
    /// There is no seal: another program wrote the footer.
    None,
    Whole,
    Broken,
}

/// Compares a footer with the bytes before it.
pub(crate) fn check_seal(before: &[u8], footer: &[u8]) -> Seal {
    match before.strip_prefix(LETTERS.as_slice()) {
        Some(sum) if *sum == crc32c::crc32c(footer).to_le_bytes() => Seal::Whole,
        // mutant: footer_seal_not_compared
        Some(_) => Seal::Broken,
        None => Seal::None,
    }
}

/// Appends the checksum of a chunk to those of its group.
pub(crate) fn append(checksum: Option<u32>, text: &mut String) {
    match checksum {
        // There are ten thousand in a group: formatting them takes as long as encoding it.
        Some(checksum) => {
            let digit = |place: u32| char::from_digit(checksum >> (4 * place) & 0xf, 16);
            text.extend((0..8).rev().filter_map(digit));
        }
        None => text.push('-'),
    }
}

/// The value of the key for groups with these checksums.
pub(crate) fn encode<'a>(groups: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (number, sums) in groups.enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(sums);
    }
    text
}

/// The checksums of `columns` chunks in each of `groups` row groups; `None` if the text is malformed.
pub(crate) fn decode(text: &str, groups: usize, columns: usize) -> Option<Vec<Vec<Option<u32>>>> {
    let mut all = Vec::with_capacity(groups); // bounded: they are in the footer
    let parts = text.split(',').filter(|_| groups > 0);
    for part in parts {
        let mut rest = part;
        let mut checksums = Vec::with_capacity(columns); // bounded: they are in the schema
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('-') {
                checksums.push(None);
                rest = after;
            } else {
                let digits = rest.get(..8)?;
                checksums.push(Some(u32::from_str_radix(digits, 16).ok()?));
                rest = &rest[8..];
            }
        }
        if checksums.len() != columns {
            return None;
        }
        all.push(checksums);
    }
    (all.len() == groups).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_decoded_and_malformed_text_is_refused() {
        let text = "0000000aff00ff00,-0000000b";
        let sums = vec![vec![Some(10), Some(0xff00_ff00)], vec![None, Some(11)]];
        assert_eq!(decode(text, 2, 2), Some(sums));
        assert_eq!(decode("", 0, 2), Some(vec![]));
        for (text, groups, columns) in
            [(text, 1, 2), (text, 2, 3), ("0000000", 1, 1), ("zzzzzzzz", 1, 1), ("é-------", 1, 1)]
        {
            assert_eq!(decode(text, groups, columns), None, "{text}");
        }
    }

    #[test]
    fn a_seal_matches_only_its_footer() {
        let seal = seal(b"footer");
        assert_eq!(check_seal(&seal, b"footer"), Seal::Whole);
        assert_eq!(check_seal(&seal, b"Footer"), Seal::Broken);
        assert_eq!(check_seal(b"whatever", b"footer"), Seal::None);
    }
}
