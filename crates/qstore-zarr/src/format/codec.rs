//! One chunk, encoded and decoded: little-endian bytes, Blosc, crc32c.
//!
//! The codecs are Zarr's own, in the order `bytes` (a no-op on a little-endian machine), `blosc` (unless
//! the codec is `none`), `crc32c`. Blosc does not detect damage: for 180 of 200 flipped bits it returned
//! wrong values. So the checksum is always compared first, and the length in a Blosc header is checked
//! before anything is allocated for it.

use crate::format::aligned::can_allocate;
use crate::format::chunking::{CHUNK_BYTES_MAX, Grid};
use qstore_schema::Dtype;
use qstore_settings::Compression;
use serde_json::{Map, json};
use std::borrow::Cow;
use std::sync::Arc;
use zarrs::array::codec::api::BytesToBytesCodecTraits;
use zarrs::array::codec::{
    BloscCodec, BloscCodecConfiguration, BloscCompressor, BloscShuffleMode, Crc32cCodec,
    blosc_compress_bytes, blosc_decompress_bytes, blosc_validate,
};
use zarrs::array::{ArrayBuilder, ArrayMetadataV3, FillValue};
use zarrs::metadata::v3::MetadataV3;

const CHECKSUM_LEN: usize = 4;

/// The largest compression ratio accepted. The best measured is 18,400: 1 GiB of zeros compresses to 58 KB
/// with zstd at level 9. A ratio of more than twice that cannot be genuine.
pub(crate) const RATIO_MAX: u64 = 40_000;

/// The level of every codec that has levels, unless another one is set.
pub(crate) const LEVEL_DEFAULT: u8 = 3;

/// The attribute with the name of an element type that Zarr readers do not know.
const DTYPE_ATTRIBUTE: &str = "qstore_dtype";

/// How the chunks of one array are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Codec {
    blosc: Option<Blosc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Blosc {
    compressor: BloscCompressor,
    level: u8,
    shuffle: BloscShuffleMode,
    typesize: usize,
}

impl Codec {
    /// The codec for elements of this type. The compression was validated with the settings; with a codec
    /// that Blosc does not have, nothing is compressed.
    pub(crate) fn new(compression: Compression, dtype: Dtype) -> Self {
        let compressor = match compression.codec {
            qstore_settings::Codec::Zstd => BloscCompressor::Zstd,
            qstore_settings::Codec::Lz4 => BloscCompressor::LZ4,
            qstore_settings::Codec::Gzip => BloscCompressor::Zlib,
            _ => return Self::RAW,
        };
        let level = compression.level.unwrap_or(LEVEL_DEFAULT);
        let (shuffle, typesize) = (BloscShuffleMode::BitShuffle, dtype.size());
        Self { blosc: Some(Blosc { compressor, level, shuffle, typesize }) }
    }

    /// Uncompressed chunks with their checksum.
    pub(crate) const RAW: Self = Self { blosc: None };

    /// The same codec without shuffling.
    pub(crate) fn unshuffled(self) -> Self {
        let unshuffled = |blosc| Blosc { shuffle: BloscShuffleMode::NoShuffle, ..blosc };
        Self { blosc: self.blosc.map(unshuffled) }
    }

    /// Encodes a full chunk. An uncompressed chunk is not copied.
    pub(crate) fn encode(self, chunk: Cow<'_, [u8]>) -> Result<Encoded<'_>, String> {
        let body = match self.blosc {
            None => chunk,
            Some(Blosc { compressor, level, shuffle, typesize }) => {
                let level = level.try_into().map_err(|level| format!("level {level}"))?;
                let blosc =
                    blosc_compress_bytes(&chunk, level, shuffle, typesize, compressor, 0, 1);
                Cow::Owned(blosc.map_err(|error| error.to_string())?)
            }
        };
        let own = crc32c::crc32c(&body);
        let checksum = own.to_le_bytes();
        let mut crc32 = crc32fast::Hasher::new();
        crc32.update(&body);
        crc32.update(&checksum);
        Ok(Encoded { body, checksum, crc32: crc32.finalize(), crc32c: own })
    }

    /// Whether `stored_len` bytes can encode a chunk of `chunk_len` bytes at all. Checked before memory for
    /// a whole array is allocated.
    pub(crate) fn is_plausible(self, stored_len: u64, chunk_len: usize) -> bool {
        match self.blosc {
            None => stored_len == (chunk_len + CHECKSUM_LEN) as u64,
            // Blosc adds a header to what it cannot compress, and nothing that grows with it.
            Some(_) => {
                chunk_len as u64 <= stored_len.saturating_mul(RATIO_MAX)
                    && stored_len <= (chunk_len as u64).saturating_mul(2).saturating_add(4096)
            }
        }
    }

    /// Fills `out` with the beginning of a chunk of `chunk_len` bytes. `crc32c` is the checksum from the
    /// manifest; comparing it costs nothing extra, because the codec computes the same one.
    pub(crate) fn decode(
        self,
        stored: &[u8],
        crc32c: u32,
        chunk_len: usize,
        out: &mut [u8],
    ) -> Result<(), ChunkError> {
        let data = checked(stored, crc32c)?;
        let copy = |chunk: &[u8], out: &mut [u8]| {
            if chunk.len() != chunk_len || chunk_len < out.len() {
                return Err(ChunkError::Length);
            }
            out.copy_from_slice(&chunk[..out.len()]);
            Ok(())
        };
        if self.blosc.is_none() {
            return copy(data, out);
        }
        if blosc_validate(data) != Some(chunk_len) {
            return Err(ChunkError::Length);
        }
        if !can_allocate(chunk_len as u64) {
            return Err(ChunkError::Memory);
        }
        let chunk = blosc_decompress_bytes(data, chunk_len, 1).map_err(|_| ChunkError::Blosc)?;
        copy(&chunk, out)
    }
}

/// The stored form of a chunk.
#[derive(Debug)]
pub(crate) struct Encoded<'a> {
    body: Cow<'a, [u8]>,
    /// The checksum that the crc32c codec appends.
    checksum: [u8; CHECKSUM_LEN],
    /// Of body and checksum, for the zip archive.
    pub(crate) crc32: u32,
    /// Of the body alone, for the manifest. Bytes that end with their own crc32c all have the same crc32c,
    /// which could not distinguish one chunk from another.
    pub(crate) crc32c: u32,
}

impl Encoded<'_> {
    /// The bytes to be stored, in two contiguous parts.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [&self.body, &self.checksum]
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.body.len() + CHECKSUM_LEN
    }
}

/// What is before the checksum at the end of a stored chunk. That and the one of the manifest must be those of the
/// bytes.
pub(crate) fn checked(stored: &[u8], crc32c: u32) -> Result<&[u8], ChunkError> {
    let (data, checksum) = stored.split_last_chunk().ok_or(ChunkError::Checksum)?;
    let own = crc32c::crc32c(data);
    // mutant: chunk_checksum_of_the_manifest_not_compared, chunk_checksums_not_compared
    if own != crc32c || own.to_le_bytes() != *checksum {
        return Err(ChunkError::Checksum);
    }
    Ok(data)
}

/// Why a chunk could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("a checksum does not match")]
    Checksum,
    #[error("it does not have the length of a chunk")]
    Length,
    #[error("Blosc cannot decompress it")]
    Blosc,
    #[error("there is not enough memory to decompress it")]
    Memory,
}

/// The `zarr.json` of an array.
pub(crate) fn array_metadata(
    dtype: Dtype,
    shape: &[usize],
    grid: &Grid,
    codec: Codec,
) -> Result<ArrayMetadataV3, String> {
    let stored = stored_dtype(dtype);
    let shape: Vec<u64> = shape.iter().map(|length| *length as u64).collect();
    let fill_value = FillValue::new(vec![0; stored.size()]); // bounded: 16
    let mut codecs: Vec<Arc<dyn BytesToBytesCodecTraits>> = Vec::new();
    if let Some(Blosc { compressor, level, shuffle, typesize }) = codec.blosc {
        let level = level.try_into().map_err(|level| format!("level {level}"))?;
        let blosc = BloscCodec::new(compressor, level, None, shuffle, Some(typesize));
        codecs.push(Arc::new(blosc.map_err(|error| error.to_string())?));
    }
    codecs.push(Arc::new(Crc32cCodec::new()));
    let mut attributes = Map::new();
    if stored != dtype {
        attributes.insert(DTYPE_ATTRIBUTE.into(), json!(dtype.name()));
    }
    ArrayBuilder::new(shape, grid.chunk_shape(), stored.name(), fill_value)
        .bytes_to_bytes_codecs(codecs)
        .attributes(attributes)
        .build_metadata()
        .map_err(|error| error.to_string())
        .map(|metadata| metadata.with_chunk_key_encoding(key_encoding(grid.separator())))
}

fn key_encoding(separator: char) -> MetadataV3 {
    let configuration = Map::from_iter([("separator".to_owned(), json!(separator))]);
    MetadataV3::new_with_configuration("default", configuration)
}

/// The separator between the coordinates of a chunk's key.
fn separator_of(encoding: &MetadataV3) -> Result<char, String> {
    #[derive(serde::Deserialize)]
    struct Default {
        separator: char,
    }
    let separator = match encoding.configuration() {
        None => '/',
        Some(found) => {
            let found: Default = found.to_typed().map_err(|error| error.to_string())?;
            found.separator
        }
    };
    match (encoding.name(), separator) {
        ("default", '/' | '.') => Ok(separator),
        (name, _) => {
            Err(format!("unsupported chunk key encoding `{name}` with separator `{separator}`"))
        }
    }
}

/// The fields of an array's `zarr.json` that a load needs.
#[derive(Debug, Clone)]
pub(crate) struct ArrayForm {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) grid: Grid,
    pub(crate) codec: Codec,
}

impl ArrayForm {
    /// Accepts what [`array_metadata`] writes and refuses everything else.
    pub(crate) fn parse(metadata: &ArrayMetadataV3) -> Result<Self, String> {
        let stored: Dtype =
            metadata.data_type.name().parse().map_err(|error| format!("{error}"))?;
        let dtype = match metadata.attributes.get(DTYPE_ATTRIBUTE).map(|name| name.as_str()) {
            None => stored,
            Some(name) => name.unwrap_or_default().parse().map_err(|error| format!("{error}"))?,
        };
        if stored_dtype(dtype) != stored {
            return Err(format!("{dtype} is not stored as {stored}"));
        }
        let shape: Vec<usize> = metadata
            .shape
            .iter()
            .map(|length| usize::try_from(*length))
            .collect::<Result<_, _>>()
            .map_err(|_| "a dimension that this machine cannot address")?;
        let separator = separator_of(&metadata.chunk_key_encoding)?;
        let grid = chunk_grid(metadata, &shape, dtype)?.with_separator(separator);
        let codec = chunk_codec(metadata, dtype)?;
        Ok(Self { dtype, shape, grid, codec })
    }
}

fn chunk_grid(metadata: &ArrayMetadataV3, shape: &[usize], dtype: Dtype) -> Result<Grid, String> {
    #[derive(serde::Deserialize)]
    struct Regular {
        chunk_shape: Vec<std::num::NonZero<u64>>,
    }
    let configuration = metadata.chunk_grid.configuration();
    let regular: Regular = match (metadata.chunk_grid.name(), configuration) {
        ("regular", Some(found)) => found.to_typed().map_err(|error| error.to_string())?,
        _ => return Err("unsupported chunk grid that is not regular".into()),
    };
    // A chunk larger than the whole array would be decompressed only to use a few bytes of it. An empty
    // array has no chunks.
    let product = |len: usize, length: &usize| len.checked_mul(*length);
    let len = shape.iter().try_fold(dtype.size(), product).filter(|len| *len > 0);
    let len_max = len.unwrap_or(usize::MAX).min(CHUNK_BYTES_MAX);
    Grid::from_chunk_shape(shape, &regular.chunk_shape, dtype.size())
        .filter(|grid| grid.chunk_len() <= len_max)
        .ok_or_else(|| "chunks that are not contiguous, or too large".into())
}

fn chunk_codec(metadata: &ArrayMetadataV3, dtype: Dtype) -> Result<Codec, String> {
    let names: Vec<_> = metadata.codecs.iter().map(MetadataV3::name).collect();
    match names.as_slice() {
        ["bytes", "crc32c"] => Ok(Codec { blosc: None }),
        ["bytes", "blosc", "crc32c"] => {
            let found = metadata.codecs[1].to_typed_configuration();
            let found: BloscCodecConfiguration = found.map_err(|error| error.to_string())?;
            match found {
                BloscCodecConfiguration::V1(found) => Ok(Codec {
                    blosc: Some(Blosc {
                        compressor: found.cname,
                        level: found.clevel.into(),
                        shuffle: found.shuffle,
                        typesize: dtype.size(),
                    }),
                }),
                _ => Err("an unknown Blosc configuration".into()),
            }
        }
        _ => Err(format!("unsupported codecs {names:?}")),
    }
}

/// The element type that Zarr readers see.
fn stored_dtype(dtype: Dtype) -> Dtype {
    match dtype {
        // zarr-python 3.1 rejects these.
        Dtype::BFloat16 => Dtype::UInt16,
        Dtype::Float8E4M3 | Dtype::Float8E5M2 => Dtype::UInt8,
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPRESSIONS: [Compression; 4] =
        [Compression::ZSTD, Compression::LZ4, Compression::GZIP, Compression::NONE];

    /// The manifest checksum that matches these bytes.
    fn checksum_of(stored: &[u8]) -> u32 {
        crc32c::crc32c(&stored[..stored.len().saturating_sub(CHECKSUM_LEN)])
    }

    #[test]
    fn every_dtype_and_compression_round_trips_with_its_metadata() {
        for compression in COMPRESSIONS {
            for dtype in Dtype::ALL {
                let chunk: Vec<u8> = (0..1920).map(|i: u32| (i * i / 7) as u8).collect();
                let shape = [1920 / dtype.size()];
                let separator = if compression == Compression::LZ4 { '.' } else { '/' };
                let grid = Grid::new(&shape, dtype.size(), 1 << 20).unwrap();
                let grid = grid.with_separator(separator);
                let codec = Codec::new(compression, *dtype);
                let encoded = codec.encode(Cow::Borrowed(&chunk)).unwrap();
                let stored = encoded.parts().concat();
                assert_eq!(encoded.crc32, crc32fast::hash(&stored));
                assert!(codec.is_plausible(stored.len() as u64, chunk.len()));
                let mut out = vec![0; chunk.len() - 5];
                codec.decode(&stored, encoded.crc32c, chunk.len(), &mut out).unwrap();
                assert_eq!(out, chunk[..out.len()]);

                let metadata = array_metadata(*dtype, &shape, &grid, codec).unwrap();
                let form = ArrayForm::parse(&metadata).unwrap();
                assert_eq!((form.dtype, form.shape, form.grid), (*dtype, shape.to_vec(), grid));
                assert_eq!(form.codec, codec);
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error() {
        for compression in COMPRESSIONS {
            let codec = Codec::new(compression, Dtype::Float32);
            let encoded = codec.encode(Cow::Borrowed(&[7; 400])).unwrap();
            let stored = encoded.parts().concat();
            for bit in 0..stored.len() * 8 {
                let mut flipped = stored.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                // Detected with the manifest's checksum, and with the codec's alone.
                for crc32c in [encoded.crc32c, checksum_of(&flipped)] {
                    let decoded = codec.decode(&flipped, crc32c, 400, &mut [0; 400]);
                    assert_eq!(decoded, Err(ChunkError::Checksum), "{compression} bit {bit}");
                }
            }
        }
    }

    // A Blosc header with a length beyond the chunk's must be refused before anything is allocated for it,
    // and so must a truncated one, whose checksum can still be correct.
    #[test]
    fn a_header_with_a_wrong_length_is_refused() {
        let codec = Codec::new(Compression::ZSTD, Dtype::Float32);
        let seal = |mut data: Vec<u8>| {
            let checksum = crc32c::crc32c(&data);
            data.extend_from_slice(&checksum.to_le_bytes());
            data
        };
        let decode = |stored: &[u8]| {
            codec.decode(stored, checksum_of(stored), 400, &mut [0; 400]).unwrap_err()
        };
        let mut stored = codec.encode(Cow::Borrowed(&[7; 400])).unwrap().parts()[0].to_vec();
        for len in 0..stored.len() {
            decode(&seal(stored[..len].to_vec()));
        }
        stored[4..8].copy_from_slice(&0x7fff_0000_u32.to_le_bytes());
        assert_eq!(decode(&seal(stored)), ChunkError::Length);
        assert_eq!(decode(&[1, 2]), ChunkError::Checksum);
    }
}
