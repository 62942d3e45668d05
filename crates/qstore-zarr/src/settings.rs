//! What a checkpoint manager can be told, checked once when it opens.
//!
//! Settings are data: nothing here touches a file or starts a thread.

use crate::Error;
use crate::retention::{Goal, Policy};
use qstore_os::Priority;
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
    /// See [`layout`](Self::layout).
    pub layout: Layout,
    /// See [`deduplicate`](Self::deduplicate).
    pub deduplicate: bool,
    /// See [`keep_last`](Self::keep_last), [`keep_best`](Self::keep_best) and
    /// [`keep_every`](Self::keep_every).
    pub retention: Policy,
    /// See [`compression`](Self::compression).
    pub compression: Compression,
    /// See [`compression_level`](Self::compression_level).
    pub compression_level: u8,
    /// See [`workers`](Self::workers).
    pub workers: usize,
    /// See [`priority`](Self::priority).
    pub priority: Priority,
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
            layout: Layout::SingleFile,
            deduplicate: false,
            retention: Policy::keep_last(5),
            compression: Compression::Zstd,
            compression_level: 3,
            workers: cores.min(2),
            priority: Priority::Batch,
            chunk_bytes: 1 << 20,
            busy: Busy::Wait,
            drop_timeout: Duration::from_secs(30),
        }
    }
}

impl CheckpointSettings {
    /// The default with lz4: about as small on dense weights, in half the time.
    #[must_use]
    pub fn fastest() -> Self {
        Self::default().compression(Compression::Lz4)
    }

    /// The default with zstd at level 9: a little smaller, at many times the work. For what is kept
    /// for years.
    #[must_use]
    pub fn smallest() -> Self {
        Self::default().compression_level(9)
    }

    /// How many checkpoints stay, the newest saves whatever their epoch. Default 5; 0 keeps all.
    #[must_use]
    pub fn keep_last(mut self, keep_last: usize) -> Self {
        self.retention.keep_last = keep_last;
        self
    }

    /// Also keeps the best `count` checkpoints by a number in the first level of their metadata. NaN
    /// is never among the best. Default: none.
    #[must_use]
    pub fn keep_best(mut self, count: usize, metric: impl Into<String>, goal: Goal) -> Self {
        self.retention = self.retention.best(count, metric, goal);
        self
    }

    /// Also keeps every epoch whose number is a multiple of `epochs`, at least 1. Default: none.
    #[must_use]
    pub fn keep_every(mut self, epochs: u64) -> Self {
        self.retention = self.retention.every(epochs);
        self
    }

    /// Whether a checkpoint is one file or a directory. Default [`Layout::SingleFile`]. A directory
    /// of checkpoints may hold both; either way all of them are listed, loaded and retained.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
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

    /// How the threads of a save share the machine with the training. Default [`Priority::Batch`]: they
    /// never interrupt the thread that calls `save`. Linux only.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The most uncompressed bytes in one chunk, 64 B to 1 GiB. Default 1 MiB. Beyond the snapshot a
    /// save holds at most two chunks per worker, and some 3 KB of metadata per tensor.
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

    /// Links tensors that have not changed since the previous checkpoint instead of writing them
    /// again: a frozen backbone costs a hash and a look at what is linked. Only with
    /// [`Layout::Directory`]. Default: no.
    ///
    /// Checkpoints then share files: damage on the disk can hit several of them at once.
    #[must_use]
    pub fn deduplicate(mut self, deduplicate: bool) -> Self {
        self.deduplicate = deduplicate;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if self.deduplicate && self.layout != Layout::Directory {
            return Err(Error::NothingToLink);
        }
        let check = |setting, value: usize, range: std::ops::RangeInclusive<usize>| {
            if range.contains(&value) {
                return Ok(());
            }
            Err(Error::OutOfRange { setting, value, min: *range.start(), max: *range.end() })
        };
        check("compression_level", usize::from(self.compression_level), 1..=9)?;
        check("workers", self.workers, 1..=256)?;
        let every = self.retention.every.unwrap_or(1);
        check("keep_every", usize::try_from(every).unwrap_or(usize::MAX), 1..=usize::MAX)?;
        check("chunk_bytes", self.chunk_bytes, 64..=MAX_CHUNK_BYTES)
    }
}

/// What Blosc can compress at once is a little less than 2 GiB; no reader accepts more than this.
pub(crate) const MAX_CHUNK_BYTES: usize = 1 << 30;

/// How the chunks of a tensor are compressed. All but [`None`](Self::None) go through Blosc, with bit
/// shuffling unless a sample of the tensor is mostly zero; a tensor whose sample does not shrink is
/// stored as it is.
///
/// What to expect depends on the numbers, and never on hope. 33.6 MB of each kind: how many times
/// smaller, then MB/s until it is durable, and MB/s of a verified load (`cargo xtask bench checkpoint`,
/// two cores; compare within the table):
///
/// | preset | random f32 | bf16 in f32 | Adam's second moments | 90 % zeros |
/// |---|---|---|---|---|
/// | [`fastest`](CheckpointSettings::fastest): lz4, level 3 | 1.14, 880, 1 180 | 2.63, 1 560, 1 390 | 1.14, 940, 1 340 | 4.58, 1 480, 1 590 |
/// | the default: zstd, level 3 | 1.14, 790, 1 170 | 2.64, 820, 1 140 | 1.15, 530, 1 130 | 7.10, 340, 1 210 |
/// | [`smallest`](CheckpointSettings::smallest): zstd, level 9 | 1.15, 11, 1 060 | 2.71, 27, 1 140 | 1.16, 11, 1 170 | 8.19, 5, 1 240 |
/// | none | 1.00, 1 350, 1 980 | 1.00, 1 410, 1 930 | 1.00, 1 080, 1 840 | 1.00, 1 280, 1 860 |
///
/// So: on dense weights lz4 and zstd are the same size; level 9 costs thirty to seventy times the work for
/// one to three percent; where most numbers are zero zstd is well ahead.
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

/// How a checkpoint lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Layout {
    /// One file `epoch_0042.zarr.zip`: one sync and one rename make it durable, and it is easily
    /// copied and uploaded.
    #[default]
    SingleFile,
    /// A directory `epoch_0042`, one file per chunk: `zarr.open_group` on the directory of
    /// checkpoints lists exactly the committed ones, and single chunks can be fetched or shared.
    Directory,
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
