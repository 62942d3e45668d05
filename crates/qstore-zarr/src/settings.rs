//! What a checkpoint manager can be told, checked once when it opens.
//!
//! Settings are data: nothing here touches a file or starts a thread.

use crate::Error;
use std::fmt;
use std::num::NonZero;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Duration;

/// How checkpoints are compressed, split, kept, and what happens when saves come too fast.
///
/// ```
/// use qstore_zarr::{CheckpointSettings, Compression};
///
/// let settings = CheckpointSettings::default().keep_last(3).compression(Compression::Lz4);
/// assert_eq!(settings.compression_level, 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointSettings {
    /// See [`keep_last`](Self::keep_last).
    pub keep_last: usize,
    /// See [`compression`](Self::compression).
    pub compression: Compression,
    /// See [`compression_level`](Self::compression_level).
    pub compression_level: u8,
    /// See [`workers`](Self::workers).
    pub workers: usize,
    /// See [`chunk_bytes`](Self::chunk_bytes).
    pub chunk_bytes: usize,
    /// See [`busy`](Self::busy).
    pub busy: Busy,
    /// See [`drop_timeout`](Self::drop_timeout).
    pub drop_timeout: Duration,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        // More than two starve the training itself: the compressors share its cores.
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            keep_last: 5,
            compression: Compression::Zstd,
            compression_level: 3,
            workers: cores.min(2),
            chunk_bytes: 1 << 20,
            busy: Busy::Wait,
            drop_timeout: Duration::from_secs(30),
        }
    }
}

impl CheckpointSettings {
    /// How many checkpoints stay, the newest saves whatever their epoch. Default 5; 0 keeps all.
    #[must_use]
    pub fn keep_last(mut self, keep_last: usize) -> Self {
        self.keep_last = keep_last;
        self
    }

    /// How chunks are compressed. Default [`Compression::Zstd`].
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How hard to compress, 1 (fast) to 9 (small). Default 3. Without meaning for
    /// [`Compression::None`].
    #[must_use]
    pub fn compression_level(mut self, level: u8) -> Self {
        self.compression_level = level;
        self
    }

    /// How many threads compress during a save and decompress during a load, 1 to 256. Default: the
    /// machine's cores, at most 2. They live as long as that save or load.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The most uncompressed bytes in one chunk, 64 B to 1 GiB. Default 1 MiB. Beyond the snapshot a
    /// save holds at most two chunks per worker, and some 20 KB of metadata per tensor.
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes;
        self
    }

    /// What a save does when earlier ones are not done. Default [`Busy::Wait`].
    #[must_use]
    pub fn busy(mut self, busy: Busy) -> Self {
        self.busy = busy;
        self
    }

    /// The longest a manager that is dropped without `close` waits for its saves. Default 30 s.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let check = |setting, value: usize, range: std::ops::RangeInclusive<usize>| {
            if range.contains(&value) {
                return Ok(());
            }
            Err(Error::OutOfRange { setting, value, min: *range.start(), max: *range.end() })
        };
        check("compression_level", usize::from(self.compression_level), 1..=9)?;
        check("workers", self.workers, 1..=256)?;
        check("chunk_bytes", self.chunk_bytes, 64..=MAX_CHUNK_BYTES)
    }
}

/// What Blosc can compress at once is a little less than 2 GiB; no reader accepts more than this.
pub(crate) const MAX_CHUNK_BYTES: usize = 1 << 30;

/// How the chunks of a tensor are compressed. All but [`None`](Self::None) go through Blosc with
/// bit shuffling.
///
/// What to expect depends on the numbers: random weights shrink by a tenth with either codec,
/// bf16 values stored as f32 to less than half. On dense weights zstd and lz4 differ little in size
/// and much in speed; where most numbers are zero, zstd is twice as small. Run `cargo run --release -p
/// qstore-zarr --example retention` on your machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Zstandard: the smallest files.
    #[default]
    Zstd,
    /// LZ4: nearly as small on dense weights, about twice as fast.
    Lz4,
    /// Deflate, as in gzip and zlib: slow, for readers that have nothing else.
    Gzip,
    /// No compression.
    None,
}

impl Compression {
    /// Every compression.
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Lz4, Self::Gzip, Self::None];

    /// The name that [`FromStr`] understands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|compression| compression.name() == name)
            .ok_or_else(|| Error::UnknownCompression { name: name.into() })
    }
}

/// What [`save`](crate::CheckpointManager::save) does when earlier saves are not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Busy {
    /// One save may run and one may wait; a third makes its caller wait until there is room. Every
    /// state is saved, and at most two snapshots are held.
    #[default]
    Wait,
    /// A save while another runs is not done; its ticket says so. The caller never waits.
    Skip,
    /// One save may run and one may wait; a newer one takes the place of the one that waits, whose
    /// ticket says so. The caller never waits, and the latest state is always saved.
    CoalesceLatest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_is_named_with_its_limits() {
        let check = |settings: CheckpointSettings, message: &str| {
            assert_eq!(settings.validate().unwrap_err().to_string(), message);
        };
        let settings = CheckpointSettings::default();
        assert!(settings.validate().is_ok());
        check(
            settings.clone().compression_level(10),
            "compression_level is 10; choose a value from 1 to 9",
        );
        check(settings.clone().workers(0), "workers is 0; choose a value from 1 to 256");
        check(settings.chunk_bytes(1), "chunk_bytes is 1; choose a value from 64 to 1073741824");
    }

    #[test]
    fn compressions_have_names_and_an_unknown_one_lists_them() {
        for compression in Compression::ALL {
            assert_eq!(compression.name().parse::<Compression>().unwrap(), compression);
        }
        let error = "lzma".parse::<Compression>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`lzma` is no known compression; choose zstd, lz4, gzip or none"
        );
    }
}
