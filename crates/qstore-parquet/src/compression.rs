//! The codecs a metrics file can be written with.

use crate::Error;
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use std::fmt;
use std::str::FromStr;

/// How column chunks are compressed. Every reader named in the README understands all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// The default, and the one codec with a checksum of its own. Level 0–9, default 6.
    Gzip {
        /// 0 stores, 9 is slowest.
        level: u32,
    },
    /// Five times as fast as gzip at nearly its size. Level 1–22, default 1.
    Zstd {
        /// 1 is fastest, 22 slowest.
        level: i32,
    },
    /// The fastest; a quarter larger. Written as `LZ4_RAW`.
    Lz4,
    /// For readers that know nothing better.
    Snappy,
    /// As it is.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::gzip()
    }
}

impl Compression {
    /// Gzip at its default level.
    #[must_use]
    pub const fn gzip() -> Self {
        Self::Gzip { level: 6 }
    }

    /// Zstd at its default level.
    #[must_use]
    pub const fn zstd() -> Self {
        Self::Zstd { level: 1 }
    }

    pub(crate) fn codec(self) -> Result<Codec, Error> {
        let refuse = |level: String, advice| Error::Setting {
            setting: "compression level",
            value: level,
            advice,
        };
        match self {
            // The libraries take more than they document; what is documented is what is promised.
            Self::Gzip { level } => match GzipLevel::try_new(level) {
                Ok(gzip) if level <= 9 => Ok(Codec::GZIP(gzip)),
                _ => Err(refuse(level.to_string(), "gzip takes 0 to 9")),
            },
            Self::Zstd { level } => match ZstdLevel::try_new(level) {
                Ok(zstd) if level >= 1 => Ok(Codec::ZSTD(zstd)),
                _ => Err(refuse(level.to_string(), "zstd takes 1 to 22")),
            },
            Self::Lz4 => Ok(Codec::LZ4_RAW),
            Self::Snappy => Ok(Codec::SNAPPY),
            Self::None => Ok(Codec::UNCOMPRESSED),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip { level } => write!(f, "gzip:{level}"),
            Self::Zstd { level } => write!(f, "zstd:{level}"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Snappy => f.write_str("snappy"),
            Self::None => f.write_str("none"),
        }
    }
}

/// `gzip`, `zstd`, `lz4`, `snappy` or `none`; the first two with a level where wanted: `zstd:3`.
impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownCompression { name: text.into() };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u32>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let compression = match (name, level) {
            ("gzip", None) => Self::gzip(),
            ("gzip", Some(level)) => Self::Gzip { level },
            ("zstd", None) => Self::zstd(),
            ("zstd", Some(level)) => Self::Zstd { level: level.try_into().unwrap_or(i32::MAX) },
            ("lz4", None) => Self::Lz4,
            ("snappy", None) => Self::Snappy,
            ("none", None) => Self::None,
            _ => return Err(unknown()),
        };
        compression.codec()?;
        Ok(compression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_levels_are_read_and_shown() {
        for text in ["gzip:6", "gzip:0", "zstd:1", "zstd:22", "lz4", "snappy", "none"] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        assert_eq!("gzip".parse::<Compression>().unwrap(), Compression::default());
    }

    #[test]
    fn a_wrong_name_or_level_is_refused_with_what_is_right() {
        for (text, message) in [
            ("brotli", "`brotli` is no compression; choose gzip"),
            ("gzip:10", "compression level is 10: gzip takes 0 to 9"),
            ("zstd:0", "compression level is 0: zstd takes 1 to 22"),
            ("zstd:fast", "`zstd:fast` is no compression"),
            ("lz4:3", "`lz4:3` is no compression"),
        ] {
            let error = text.parse::<Compression>().unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
