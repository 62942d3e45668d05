//! The codecs a metrics file can be written with, as the Parquet library names them.

use parquet::basic::{Compression as ParquetCodec, GzipLevel, ZstdLevel};
use qstore_settings::{Codec, Compression, SettingError};

/// The codec and level for the library.
///
/// Gzip takes levels 0 to 9 (default 6), zstd 1 to 22 (default 1); the others have no levels.
pub(crate) fn parquet_codec(compression: Compression) -> Result<ParquetCodec, SettingError> {
    let refuse = |choices: &str| {
        Err(SettingError::new("compression", compression, choices, Compression::GZIP.level(6)))
    };
    match (compression.codec, compression.level) {
        // The libraries take more levels than they document; only documented ones are passed on.
        (Codec::Gzip, level @ (None | Some(0..=9))) => {
            match GzipLevel::try_new(level.unwrap_or(6).into()) {
                Ok(level) => Ok(ParquetCodec::GZIP(level)),
                Err(_) => refuse("gzip with a level from 0 to 9"),
            }
        }
        (Codec::Gzip, Some(_)) => refuse("gzip with a level from 0 to 9"),
        (Codec::Zstd, level @ (None | Some(1..=22))) => {
            match ZstdLevel::try_new(level.unwrap_or(1).into()) {
                Ok(level) => Ok(ParquetCodec::ZSTD(level)),
                Err(_) => refuse("zstd with a level from 1 to 22"),
            }
        }
        (Codec::Zstd, Some(_)) => refuse("zstd with a level from 1 to 22"),
        (Codec::Lz4, None) => Ok(ParquetCodec::LZ4_RAW),
        (Codec::Snappy, None) => Ok(ParquetCodec::SNAPPY),
        (Codec::None, None) => Ok(ParquetCodec::UNCOMPRESSED),
        (_, Some(_)) => refuse("this codec without a level; only gzip and zstd have levels"),
        _ => refuse("one of gzip, zstd, lz4, snappy, none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_and_its_first_and_last_level_are_accepted() {
        for text in
            ["gzip", "gzip:0", "gzip:9", "zstd", "zstd:1", "zstd:22", "lz4", "snappy", "none"]
        {
            let compression = text.parse().unwrap();
            assert!(parquet_codec(compression).is_ok(), "{text}");
        }
        let of = |text: &str| parquet_codec(text.parse().unwrap()).unwrap();
        assert_eq!(of("gzip"), of("gzip:6"));
        assert_eq!(of("zstd"), of("zstd:1"));
    }

    #[test]
    fn a_level_out_of_range_is_refused_with_the_range() {
        for (text, message) in [
            ("gzip:10", "compression is gzip:10; choose gzip with a level from 0 to 9"),
            ("zstd:0", "compression is zstd:0; choose zstd with a level from 1 to 22"),
            ("zstd:23", "compression is zstd:23; choose zstd with a level from 1 to 22"),
            ("lz4:3", "compression is lz4:3; choose this codec without a level"),
            ("none:1", "compression is none:1; choose this codec without a level"),
        ] {
            let error = parquet_codec(text.parse().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
            assert!(error.ends_with("(default gzip:6)"), "{error}");
        }
    }
}
