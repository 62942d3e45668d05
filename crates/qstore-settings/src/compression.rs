//! One vocabulary of codecs for metrics files and checkpoints.

use crate::SettingError;
use std::fmt;
use std::str::FromStr;

/// A codec. The settings of each format document which ones it supports.
///
/// ```
/// use qstore_settings::{Codec, Compression};
///
/// let Compression { codec, level } = "zstd:19".parse()?;
/// assert_eq!((codec, level), (Codec::Zstd, Some(19)));
/// # Ok::<(), qstore_settings::SettingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Zstandard: small files at a moderate cost.
    Zstd,
    /// LZ4: the fastest; files are larger.
    Lz4,
    /// Deflate with a checksum, as in gzip files. Every reader knows it.
    Gzip,
    /// Snappy: for readers that know neither Zstandard nor LZ4.
    Snappy,
    /// No compression.
    None,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::Zstd, Self::Lz4, Self::Gzip, Self::Snappy, Self::None];

    /// The name that [`Compression`] is parsed from.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec and how hard it tries.
///
/// As text it is the codec's name, with a level where one is wanted: `lz4`, `zstd:3`.
///
/// ```
/// use qstore_settings::Compression;
///
/// assert_eq!(Compression::ZSTD.level(19).to_string(), "zstd:19");
/// assert_eq!("gzip".parse::<Compression>()?, Compression::GZIP);
/// assert!("lzma".parse::<Compression>().is_err());
/// # Ok::<(), qstore_settings::SettingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// The level, from fast to small; `None` for the default of the format that is written.
    pub level: Option<u8>,
}

impl Compression {
    /// Zstandard at the format's default level.
    pub const ZSTD: Self = Self::of(Codec::Zstd);
    /// LZ4 at the format's default level.
    pub const LZ4: Self = Self::of(Codec::Lz4);
    /// Gzip at the format's default level.
    pub const GZIP: Self = Self::of(Codec::Gzip);
    /// Snappy, which has no levels.
    pub const SNAPPY: Self = Self::of(Codec::Snappy);
    /// No compression.
    pub const NONE: Self = Self::of(Codec::None);

    const fn of(codec: Codec) -> Self {
        Self { codec, level: None }
    }

    /// The same codec at another level.
    #[must_use]
    pub const fn level(self, level: u8) -> Self {
        Self { codec: self.codec, level: Some(level) }
    }
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        Self::of(codec)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{}:{level}", self.codec),
            None => self.codec.fmt(f),
        }
    }
}

/// Any codec with any level from 0 to 255. Whether a format takes that codec and that level is
/// checked when a file is opened.
impl FromStr for Compression {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let unknown = || {
            let names = Codec::ALL.map(Codec::name).join(", ");
            let choices = format!("one of {names}, with a level where wanted, as in zstd:3");
            SettingError::new("compression", format!("`{text}`"), choices, "depends on the format")
        };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let codec = Codec::ALL.into_iter().find(|codec| codec.name() == name);
        codec.map(|codec| Self { codec, level }).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_and_level_is_parsed_as_it_is_shown() {
        for codec in Codec::ALL {
            for compression in [codec.into(), Compression::from(codec).level(7)] {
                assert_eq!(compression.to_string().parse::<Compression>().unwrap(), compression);
            }
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_reported_with_what_can() {
        for text in ["", "lzma", "zstd:", "zstd:fast", "zstd:256", "zstd:-1", ":3", "Zstd"] {
            let error = text.parse::<Compression>().unwrap_err().to_string();
            let start =
                format!("compression is `{text}`; choose one of zstd, lz4, gzip, snappy, none");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
