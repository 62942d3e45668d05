//! Makes malformed inputs from valid ones. Each is derived from a number, so that it can be reproduced.
//!
//! Bits are flipped, bytes replaced with significant ones, numbers made huge, and pieces removed, duplicated,
//! moved, or taken from another input; in text, numbers are replaced and brackets repeated. It needs no fuzzer
//! and knows no format.

use super::Target;
use fastrand::Rng;

/// Input `number` of this seed for that target.
pub fn input(target: Target, seeds: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let name = crc32c::crc32c(target.name.as_bytes());
    let mut rng = Rng::with_seed(seed ^ u64::from(name) << 32 ^ number.wrapping_mul(0x9e37_79b9));
    let mut bytes = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..1 << rng.u32(..4) {
        mutate(&mut bytes, seeds, &mut rng);
    }
    bytes
}

/// Longer inputs only take longer.
const LEN_MAX: usize = 1 << 16;

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.push(rng.u8(..));
    }
    let at = place(bytes.len(), rng);
    match rng.u32(..12) {
        0 | 1 => bytes[at] ^= 1 << rng.u32(..8),
        2 => {
            const TELLING: [u8; 9] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'[', b'{', b'/'];
            bytes[at] = TELLING[rng.usize(..TELLING.len())];
        }
        3 => bytes[at] = rng.u8(..),
        4 => blow_up(&mut bytes[at..], rng),
        5 => bytes.truncate(at),
        6 => {
            let piece = piece(bytes, rng);
            bytes.drain(piece);
        }
        7 => {
            let piece = bytes[piece(bytes, rng)].to_vec();
            let times = 1 << rng.u32(..8);
            let times = times.min(LEN_MAX / piece.len().max(1));
            bytes.splice(at..at, piece.repeat(times));
        }
        8 => {
            let other = &seeds[rng.usize(..seeds.len())];
            if !other.is_empty() {
                let piece = other[piece(other, rng)].to_vec();
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece);
            }
        }
        9 => number_in_text(bytes, at, rng),
        10 => {
            const OPENING: &[u8] = b"[{(\"\\,:";
            let many = [OPENING[rng.usize(..OPENING.len())]].repeat(1 << rng.u32(..12));
            bytes.splice(at..at, many);
        }
        _ => {
            let from = piece(bytes, rng);
            let moved: Vec<u8> = bytes.drain(from).collect();
            let to = rng.usize(..=bytes.len());
            bytes.splice(to..to, moved);
        }
    }
    bytes.truncate(LEN_MAX);
}

/// A random position, often near the end, where footers, directories and manifests are.
fn place(len: usize, rng: &mut Rng) -> usize {
    if rng.bool() { rng.usize(..len) } else { len - 1 - rng.usize(..len.min(400)) }
}

fn piece(bytes: &[u8], rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.usize(..bytes.len());
    let most = 1 << rng.u32(..9);
    let len = 1 + rng.usize(..most.min(bytes.len() - start));
    start..start + len
}

/// Replaces a number of one to eight bytes with an extreme one.
fn blow_up(bytes: &mut [u8], rng: &mut Rng) {
    const NUMBERS: [u64; 9] = [
        0,
        1,
        u64::MAX,
        i64::MAX as u64,
        1 << 63,
        u32::MAX as u64,
        i32::MAX as u64,
        1 << 40,
        0x0fff_ffff_ffff_ff7f,
    ];
    let number = NUMBERS[rng.usize(..NUMBERS.len())].to_le_bytes();
    let len = bytes.len().min(1 << rng.u32(..4));
    bytes[..len].copy_from_slice(&number[..len]);
}

/// Replaces the next decimal number in the text.
fn number_in_text(bytes: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    const NUMBERS: [&str; 10] = [
        "0",
        "-1",
        "1e999",
        "0.5",
        "1073741824",
        "4294967295",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "null",
    ];
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else { return };
    let start = at + start;
    let len = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = NUMBERS[rng.usize(..NUMBERS.len())].bytes();
    bytes.splice(start..start + len, number);
}

#[cfg(test)]
mod tests {
    use super::super::TARGETS;
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_input_and_hardly_any_is_a_seed() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            let (mut distinct, mut unchanged) = (std::collections::HashSet::new(), 0);
            for number in 0..200 {
                let one = input(target, &seeds, 7, number);
                assert_eq!(one, input(target, &seeds, 7, number));
                unchanged += usize::from(seeds.contains(&one));
                distinct.insert(one);
            }
            assert!(distinct.len() > 150 && unchanged < 20, "{}", target.name);
        }
    }
}
