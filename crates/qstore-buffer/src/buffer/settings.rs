//! How a buffer behaves: its size, its name, and what a full one does with the next item.

use qstore_settings::SettingError;
use std::time::Duration;

/// What a push does when the buffer is full. With every policy, each lost item is counted.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, BufferSettings, Overflow, PushError};
/// use std::time::Duration;
///
/// let buffer = |overflow| {
///     AsyncBuffer::with_settings(BufferSettings::default().maxsize(1).overflow(overflow)).unwrap()
/// };
///
/// // The first item stays.
/// let first = buffer(Overflow::DropNewest);
/// first.push(1).unwrap();
/// assert_eq!(first.push(2), Err(PushError::Full(2)));
///
/// // The latest item stays, and the push succeeds.
/// let latest = buffer(Overflow::DropOldest);
/// latest.push(1).unwrap();
/// latest.push(2).unwrap();
/// assert_eq!(latest.try_pop(), Some(2));
/// assert_eq!(latest.stats().evicted, 1);
///
/// // Nothing is lost as long as a consumer makes room in time.
/// let patient = buffer(Overflow::BlockFor(Duration::from_secs(10)));
/// patient.push(1).unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| assert_eq!(patient.pop(), Some(1)));
///     patient.push(2).unwrap();
/// });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Hands the new item back. Never waits. The default.
    #[default]
    DropNewest,
    /// Discards the oldest item to make room for the new one. The push waits only while another thread
    /// is in the middle of reading or writing the oldest slot; if that takes long, the new item is
    /// dropped instead.
    DropOldest,
    /// Waits up to this long for room, then hands the item back. A duration beyond what the clock can
    /// represent waits indefinitely.
    BlockFor(Duration),
}

/// Settings of a buffer, checked when it is created.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, BufferSettings, Overflow};
///
/// let settings = BufferSettings::default().maxsize(2).overflow(Overflow::DropOldest);
/// let latest = AsyncBuffer::with_settings(settings)?;
/// for item in 0..5 {
///     latest.push(item)?;
/// }
/// assert_eq!(latest.pop(), Some(3));
/// assert_eq!(latest.stats().evicted, 3);
///
/// let error = AsyncBuffer::<u8>::with_settings(BufferSettings::default().maxsize(0)).unwrap_err();
/// assert_eq!(error.to_string(), "maxsize is 0; choose 1 or more (default 10000)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferSettings {
    /// Capacity in items, at least 1. Default 10 000. The memory is allocated at once.
    pub maxsize: usize,
    /// Name of the buffer in statistics and warnings. Default `async_buffer`.
    pub name: String,
    /// What a push does when the buffer is full. Default [`Overflow::DropNewest`].
    pub overflow: Overflow,
}

impl BufferSettings {
    /// The default of [`maxsize`](Self::maxsize), in items.
    pub(crate) const MAXSIZE: usize = 10_000;
}

impl Default for BufferSettings {
    fn default() -> Self {
        Self { maxsize: Self::MAXSIZE, name: "async_buffer".into(), overflow: Overflow::default() }
    }
}

impl BufferSettings {
    /// Sets the capacity in items.
    #[must_use]
    pub fn maxsize(mut self, items: usize) -> Self {
        self.maxsize = items;
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets what a push does when the buffer is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Whether a buffer can be created with them. Creating one checks that as well.
    ///
    /// # Errors
    /// The first setting with a value that cannot be used.
    pub fn validate(&self) -> Result<(), SettingError> {
        SettingError::check_min("maxsize", self.maxsize, 1, Self::MAXSIZE)
    }

    /// There is not enough memory for a ring of this size.
    pub(crate) fn too_large(&self) -> SettingError {
        let choices = "fewer items: there is not enough memory for that many";
        SettingError::new("maxsize", self.maxsize, choices, Self::MAXSIZE)
    }
}
