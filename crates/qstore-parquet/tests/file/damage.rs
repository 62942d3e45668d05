//! Every bit and every length of a small file: what is read is an error or what was written.

use crate::{PATH, bits, put, row, write};
use qstore_parquet::{Compression, MetricsFile, WriterSettings};
use qstore_storage::{MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;

fn small(compression: Compression) -> Vec<u8> {
    let memory = MemoryFs::new();
    write(&memory, WriterSettings::default().compression(compression), 0, 20, true);
    read_all(&memory, Path::new(PATH)).unwrap()
}

/// Whether the file can be read; if it can, it holds what was written.
fn is_read(bytes: &[u8]) -> bool {
    let memory = MemoryFs::new();
    put(&memory, bytes);
    let Ok(file) = MetricsFile::open_in(Arc::new(memory.clone()), PATH) else { return false };
    let is_whole = file.validate().unwrap().is_whole();
    let Ok(table) = file.read(&[], 0..u64::MAX) else {
        assert!(!is_whole);
        return false;
    };
    let expected: Vec<_> = (0..20).map(|n| bits(&row(n))).collect();
    let found: Vec<_> = table.iter_rows().map(|row| bits(&row)).collect();
    assert_eq!(found, expected, "damage became a value");
    is_whole
}

#[test]
fn a_bit_that_flips_is_an_error() {
    for compression in [Compression::NONE, Compression::LZ4, Compression::GZIP] {
        let whole = small(compression);
        assert!(is_read(&whole));
        let mut unnoticed = 0;
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[position] ^= 1 << bit;
                unnoticed += usize::from(is_read(&flipped));
            }
        }
        assert_eq!(unnoticed, 0, "{compression}: of {} flips", whole.len() * 8);
        println!("{} cases: {compression}", whole.len() * 8);
    }
}

#[test]
fn a_truncated_file_is_an_error() {
    let whole = small(Compression::ZSTD);
    for length in 0..whole.len() {
        assert!(!is_read(&whole[..length]), "{length} of {} bytes", whole.len());
    }
    println!("{} cases: lengths", whole.len());
}
