//! Lengths that claim far more than there is, one at a time, at every place where a file may have one.
//!
//! A length is four or eight bytes, a variable-length number of Thrift, or digits in a text. Which bytes are one is
//! not known here: every place is tried. A number that takes more bytes than the one it replaces moves what follows
//! it; then the length of a Parquet footer is corrected, so that the footer is still found.

use std::fmt;
use std::ops::Range;

/// What is put in the place of a number in bytes.
const FIXED: [(&str, &[u8]); 6] = [
    ("u32-max", &[0xff, 0xff, 0xff, 0xff]),
    ("i32-max", &[0xff, 0xff, 0xff, 0x7f]),
    ("u64-max", &[0xff; 8]),
    ("i64-max", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    ("terabyte", &[0, 0, 0, 0, 0, 1, 0, 0]),
    ("gigabytes", &[0, 0, 0, 0x70]),
];

/// What is put in the place of a variable-length number, which may be signed (zigzag) or not.
const VARIABLE: [(&str, &[u8]); 4] = [
    ("varint-i32-max", &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
    ("varint-u32-max", &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ("varint-i64-max", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
    ("varint-terabyte", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
];

/// What is put in the place of digits.
const DIGITS: [&str; 6] = [
    "1073741824",
    "4294967295",
    "1099511627776",
    "9223372036854775807",
    "18446744073709551615",
    "1e300",
];

/// One length that claims too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which of the seeds it is in.
    pub seed: usize,
    at: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fixed(usize),
    Variable(usize),
    Digits(usize),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Fixed(one) => FIXED[one].0,
            Kind::Variable(one) => VARIABLE[one].0,
            Kind::Digits(one) => DIGITS[one],
        };
        write!(f, "{}/{}/{kind}", self.seed, self.at)
    }
}

/// Every claim that these inputs can be made to have.
pub fn claims(seeds: &[Vec<u8>]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (seed, bytes) in seeds.iter().enumerate() {
        let mut claim = |at, kind| claims.push(Claim { seed, at, kind });
        for at in 0..bytes.len() {
            if is_start_of_digits(bytes, at) {
                (0..DIGITS.len()).for_each(|one| claim(at, Kind::Digits(one)));
            }
            // Other numbers in a text are what a text holds, and no number.
            if bytes.first() == Some(&b'{') {
                continue;
            }
            let fixed = (0..FIXED.len()).filter(|one| at + FIXED[*one].1.len() <= bytes.len());
            fixed.for_each(|one| claim(at, Kind::Fixed(one)));
            (0..VARIABLE.len()).for_each(|one| claim(at, Kind::Variable(one)));
        }
    }
    claims
}

impl Claim {
    /// The input with this claim.
    pub fn input(self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let Self { seed, at, kind } = self;
        let mut bytes = seeds[seed].clone();
        let (replaced, by): (Range<usize>, &[u8]) = match kind {
            Kind::Fixed(one) => (at..at + FIXED[one].1.len(), FIXED[one].1),
            Kind::Variable(one) => (at..at + variable_len(&bytes[at..]), VARIABLE[one].1),
            Kind::Digits(one) => {
                let len = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                (at..at + len, DIGITS[one].as_bytes())
            }
        };
        let footer = footer(&bytes).filter(|footer| footer.contains(&at));
        let grown = by.len() as i64 - replaced.len() as i64;
        bytes.splice(replaced, by.iter().copied());
        if let Some(footer) = footer.filter(|_| kind.moves_what_follows()) {
            let len = (footer.len() as i64 + grown) as u32;
            let place = bytes.len() - 8;
            bytes[place..place + 4].copy_from_slice(&len.to_le_bytes());
        }
        bytes
    }
}

impl Kind {
    fn moves_what_follows(self) -> bool {
        !matches!(self, Self::Fixed(_))
    }
}

fn is_start_of_digits(bytes: &[u8], at: usize) -> bool {
    bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit())
}

/// The length of the variable-length number at the beginning.
fn variable_len(bytes: &[u8]) -> usize {
    let more = bytes.iter().take(9).take_while(|byte| **byte >= 0x80).count();
    (more + 1).min(bytes.len())
}

/// Where the footer of a Parquet file is.
fn footer(bytes: &[u8]) -> Option<Range<usize>> {
    let tail = bytes.strip_suffix(b"PAR1")?;
    let (rest, len) = tail.split_last_chunk()?;
    let start = rest.len().checked_sub(u32::from_le_bytes(*len) as usize)?;
    Some(start..rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn named(seeds: &[Vec<u8>], name: &str) -> Vec<u8> {
        let claims = claims(seeds);
        let names: HashSet<_> = claims.iter().map(Claim::to_string).collect();
        assert_eq!(names.len(), claims.len(), "a name is enough to repeat a claim");
        let claim = claims.iter().find(|claim| claim.to_string() == name);
        claim.expect("there is such a claim").input(seeds)
    }

    #[test]
    fn a_number_in_a_text_is_replaced_as_a_whole() {
        let seeds = [br#"{"shape":[128,2]}"#.to_vec()];
        let text = named(&seeds, "0/10/4294967295");
        assert_eq!(text, br#"{"shape":[4294967295,2]}"#);
        assert_eq!(claims(&seeds).len(), 2 * DIGITS.len());
    }

    #[test]
    fn a_footer_with_a_longer_number_is_still_found() {
        let seeds = [b"PAR1data\x15\x02\x15\x04\x04\0\0\0PAR1".to_vec()];
        let bytes = named(&seeds, "0/9/varint-i32-max");
        assert_eq!(bytes, b"PAR1data\x15\xfe\xff\xff\xff\x0f\x15\x04\x08\0\0\0PAR1");
        assert_eq!(footer(&bytes), Some(8..16));
        let bytes = named(&seeds, "0/12/u32-max");
        assert!(
            bytes.ends_with(b"\x15\x04\xff\xff\xff\xffPAR1"),
            "its own length is a length, too"
        );
    }
}
