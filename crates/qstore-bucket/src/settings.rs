//! How much is read and written with one request.

use qstore_settings::SettingError;

const MIB: u64 = 1 << 20;

/// The sizes of requests to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketSettings {
    /// The size of a part of an upload, in bytes.
    pub part_bytes: u64,
    /// How much of the end of an object is read when it is opened, in bytes.
    pub tail_bytes: u64,
    /// The most bytes of neighboring chunks that are read with one request.
    pub join_bytes: u64,
}

impl Default for BucketSettings {
    fn default() -> Self {
        Self { part_bytes: 16 * MIB, tail_bytes: MIB, join_bytes: 8 * MIB }
    }
}

impl BucketSettings {
    /// The size of a part of an upload, in bytes; each takes that much memory while it is uploaded. From the
    /// least that the store accepts (5 MiB in S3) to 1 GiB. Default: 16 MiB.
    #[must_use]
    pub const fn part_bytes(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes;
        self
    }

    /// How much of the end of an object is read when it is opened: 1 byte to 64 MiB. The manifest is there, so
    /// a checkpoint is then listed and described with one request. Default: 1 MiB.
    #[must_use]
    pub const fn tail_bytes(mut self, bytes: u64) -> Self {
        self.tail_bytes = bytes;
        self
    }

    /// The most bytes of neighboring chunks that are read with one request: 1 byte to 1 GiB. Default: 8 MiB.
    #[must_use]
    pub const fn join_bytes(mut self, bytes: u64) -> Self {
        self.join_bytes = bytes;
        self
    }

    pub(crate) fn check(&self, part_bytes_min: u64) -> Result<(), SettingError> {
        let (parts, gib) = (part_bytes_min.max(1), 1024 * MIB);
        SettingError::check("part_bytes", self.part_bytes, parts..=gib, 16 * MIB)?;
        SettingError::check("tail_bytes", self.tail_bytes, 1..=64 * MIB, MIB)?;
        SettingError::check("join_bytes", self.join_bytes, 1..=gib, 8 * MIB)
    }
}
