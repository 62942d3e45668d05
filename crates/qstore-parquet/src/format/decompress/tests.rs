//! What goes through each codec comes back, and a length that is not the claimed one never does.

use super::*;
use flate2::write::GzEncoder;
use parquet::basic::{BrotliLevel, GzipLevel, ZstdLevel};
use std::io::Write;

/// The bytes `abcabc…` as another program compresses them: no encoder of brotli is at hand.
const BROTLI: &[u8] =
    &[0x1b, 0x95, 0x0f, 0x00, 0x24, 0xc3, 0xc4, 0xc6, 0xe2, 0xb3, 0x20, 0x9a, 0x0e, 0x00, 0x34];

fn text(len: usize) -> Vec<u8> {
    b"abc".iter().copied().cycle().take(len).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Hadoop's blocks, of which each has pieces.
fn hadoop(blocks: &[&[&[u8]]]) -> Vec<u8> {
    let mut packed = Vec::new();
    for pieces in blocks {
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        packed.extend((len as u32).to_be_bytes());
        for piece in *pieces {
            let piece = lz4_flex::block::compress(piece);
            packed.extend((piece.len() as u32).to_be_bytes());
            packed.extend(piece);
        }
    }
    packed
}

/// Each codec, and these bytes in it; the old LZ4 in each of its forms.
fn packed(bytes: &[u8]) -> Vec<(Compression, Vec<u8>)> {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    vec![
        (Compression::UNCOMPRESSED, bytes.to_vec()),
        (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(bytes).unwrap()),
        (Compression::GZIP(GzipLevel::default()), gzip(bytes)),
        // Members one after the other are one stream.
        (Compression::GZIP(GzipLevel::default()), [gzip(first), gzip(second)].concat()),
        (Compression::ZSTD(ZstdLevel::default()), zstd(bytes)),
        (Compression::ZSTD(ZstdLevel::default()), [zstd(first), zstd(second)].concat()),
        (Compression::LZ4_RAW, lz4_flex::block::compress(bytes)),
        (Compression::LZ4, lz4_flex::block::compress(bytes)),
        (Compression::LZ4, frame(bytes)),
        (Compression::LZ4, hadoop(&[&[bytes]])),
        (Compression::LZ4, hadoop(&[&[first, second], &[first]])),
    ]
}

fn unpack(codec: Compression, packed: &[u8], len: usize) -> Result<Vec<u8>, ReadFailure> {
    let mut out = b"before".to_vec();
    append(codec, packed, len, &mut out)?;
    assert_eq!(&out[..6], b"before");
    Ok(out.split_off(6))
}

#[test]
fn what_was_compressed_comes_back_from_every_codec() {
    for len in [3, 1_000, 100_000] {
        let bytes = text(len);
        for (codec, packed) in packed(&bytes) {
            let all = unpack(codec, &packed, len).or_else(|_| {
                // The case with another block at its end.
                let longer = len + len / 3;
                unpack(codec, &packed, longer).map(|all| all[..len].to_vec())
            });
            assert_eq!(all.unwrap(), bytes, "{codec:?} of {len} bytes");
        }
    }
}

#[test]
fn brotli_comes_back() {
    let codec = Compression::BROTLI(BrotliLevel::default());
    let bytes = unpack(codec, BROTLI, 3_990).unwrap();
    assert_eq!(bytes, text(3_990));
    for len in [0, 3_989, 3_991] {
        assert!(matches!(unpack(codec, BROTLI, len), Err(ReadFailure::Damaged(_))), "{len}");
    }
}

#[test]
fn another_length_than_the_claimed_one_is_damage() {
    let bytes = text(1_000);
    for (codec, packed) in packed(&bytes) {
        for len in [0, 999, 1_001, 1_334, i32::MAX as usize] {
            match unpack(codec, &packed, len) {
                Ok(all) => assert!(all.len() == 1_333 || all.len() == 1_334, "{codec:?}, {len}"),
                Err(failure) => {
                    assert!(matches!(failure, ReadFailure::Damaged(_)), "{codec:?}: {failure}");
                }
            }
        }
        for cut in 0..packed.len() {
            // All bytes may be there before the end of what says so.
            if let Ok(all) = unpack(codec, &packed[..cut], 1_000) {
                assert!(codec == Compression::LZ4 && all == bytes, "{codec:?} cut to {cut}");
            }
        }
    }
}

// A thousandfold and more is what zstd makes of texts that hardly change.
#[test]
fn what_repeats_itself_a_thousandfold_is_decompressed() {
    let zeros = vec![0; 50 << 20];
    for (codec, packed) in [
        (Compression::ZSTD(ZstdLevel::default()), zstd(&zeros)),
        (Compression::GZIP(GzipLevel::default()), gzip(&zeros)),
    ] {
        assert!(packed.len() < zeros.len() / 90, "{codec:?}: {}", packed.len());
        assert!(unpack(codec, &packed, zeros.len()).unwrap() == zeros, "{codec:?}");
    }
}

#[test]
fn a_window_larger_than_usual_is_taken() {
    use zstd::stream::write::Encoder;
    let zeros = vec![0; 50 << 20];
    let mut encoder = Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(&zeros).unwrap();
    let packed = encoder.finish().unwrap();
    let codec = Compression::ZSTD(ZstdLevel::default());
    assert!(unpack(codec, &packed, zeros.len()).unwrap() == zeros);
}

#[test]
fn a_page_of_nulls_may_be_stored_as_nothing_and_lzo_is_not_damage() {
    for (codec, _) in packed(b"") {
        assert_eq!(unpack(codec, b"", 0).unwrap(), b"", "{codec:?}");
    }
    let lzo = unpack(Compression::LZO, b"anything", 100);
    assert!(matches!(lzo, Err(ReadFailure::Unsupported(_))), "{lzo:?}");
}
