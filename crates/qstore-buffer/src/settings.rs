//! How a buffer behaves: its size, its name, and what a full one does with the next item.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a push does when the buffer is full. Whatever it is, each lost item is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Hands the new item back. Never waits. The default.
    #[default]
    DropNewest,
    /// Throws the oldest item away to make room for the new one. Waits for nothing but a push or a pop
    /// that is half-way through the oldest slot; where that takes long, the new item goes instead.
    DropOldest,
    /// Waits for room, at most so long, then hands the new item back. For ever, if that is longer
    /// than the clock can tell.
    BlockFor(Duration),
}

/// How a buffer behaves.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, BufferSettings, Overflow};
///
/// let settings = BufferSettings::default().maxsize(2).overflow(Overflow::DropOldest);
/// let latest = AsyncBuffer::with_settings(settings)?;
/// for item in 0..5 {
///     latest.push(item)?;
/// }
/// assert_eq!(latest.pop(None), Some(3));
/// assert_eq!(latest.stats().evicted, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferSettings {
    /// Items that fit, at least 1. Default 10 000. The memory for them is taken at once.
    pub maxsize: usize,
    /// What reports call the buffer. Default `async_buffer`.
    pub name: String,
    /// What a push does when the buffer is full. Default [`Overflow::DropNewest`].
    pub overflow: Overflow,
}

impl Default for BufferSettings {
    fn default() -> Self {
        Self { maxsize: 10_000, name: "async_buffer".into(), overflow: Overflow::default() }
    }
}

impl BufferSettings {
    /// Items that fit, at least 1.
    #[must_use]
    pub fn maxsize(mut self, items: usize) -> Self {
        self.maxsize = items;
        self
    }

    /// What reports call the buffer.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What a push does when the buffer is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}

/// How an item was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It found the buffer full and was handed back.
    Dropped,
    /// It was inside, and thrown away for a newer one.
    Evicted,
}

/// What a buffer calls when it loses an item: in the thread that pushes, so each has to be quick, must
/// not push itself, and must not panic: the item on its way in would go uncounted.
pub struct Hooks<T> {
    pub(crate) label: Option<fn(&T) -> Option<i64>>,
    pub(crate) on_drop: Option<OnDrop<T>>,
}

type OnDrop<T> = Arc<dyn Fn(&T, Loss) + Send + Sync>;

impl<T> Hooks<T> {
    /// The number that reports of lost items call one by, such as the step of a row. `i64::MIN` is as
    /// good as none.
    #[must_use]
    pub fn label(mut self, label: fn(&T) -> Option<i64>) -> Self {
        self.label = Some(label);
        self
    }

    /// As [`label`](Self::label), where there is none yet.
    #[must_use]
    pub fn label_or(mut self, label: fn(&T) -> Option<i64>) -> Self {
        self.label.get_or_insert(label);
        self
    }

    /// Called with each lost item.
    #[must_use]
    pub fn on_drop(mut self, hook: impl Fn(&T, Loss) + Send + Sync + 'static) -> Self {
        self.on_drop = Some(Arc::new(hook));
        self
    }
}

impl<T> Default for Hooks<T> {
    fn default() -> Self {
        Self { label: None, on_drop: None }
    }
}

impl<T> fmt::Debug for Hooks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("label", &self.label.is_some())
            .field("on_drop", &self.on_drop.is_some())
            .finish()
    }
}
