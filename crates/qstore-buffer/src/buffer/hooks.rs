//! Callbacks for items that a buffer loses.

use crate::health::Loss;
use std::fmt;
use std::sync::Arc;

/// Callbacks of a buffer for items that it loses.
///
/// They run on the thread that pushes. Each must be quick, must not push to the same buffer, and must
/// not panic, or the item that is being pushed is not counted.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, BufferSettings, Hooks};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let bytes_lost = Arc::new(AtomicU64::new(0));
/// let counter = Arc::clone(&bytes_lost);
/// let hooks = Hooks::default()
///     .label(|text: &String| text.parse().ok())
///     .on_drop(move |text, _loss| {
///         counter.fetch_add(text.len() as u64, Ordering::Relaxed);
///     });
/// let buffer = AsyncBuffer::with_hooks(BufferSettings::default().maxsize(1), hooks)?;
/// for item in ["1", "22", "333"] {
///     let _ = buffer.push(item.to_string());
/// }
/// assert_eq!(bytes_lost.load(Ordering::Relaxed), 2 + 3);
/// let stats = buffer.stats();
/// assert_eq!((stats.lost_first, stats.lost_last), (Some(22), Some(333)));
/// # Ok::<(), qstore_buffer::SettingError>(())
/// ```
pub struct Hooks<T> {
    pub(crate) label: Option<fn(&T) -> Option<i64>>,
    pub(crate) on_drop: Option<OnDrop<T>>,
}

type OnDrop<T> = Arc<dyn Fn(&T, Loss) + Send + Sync>;

impl<T> Hooks<T> {
    /// Sets how reports of lost items identify an item, for example by the step of a row. `i64::MIN`
    /// means that the item has no label.
    #[must_use]
    pub fn label(mut self, label: fn(&T) -> Option<i64>) -> Self {
        self.label = Some(label);
        self
    }

    /// Like [`label`](Self::label), but keeps a label that is already set.
    #[must_use]
    pub fn label_or(mut self, label: fn(&T) -> Option<i64>) -> Self {
        self.label.get_or_insert(label);
        self
    }

    /// Sets a callback for each item that the buffer drops or evicts.
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
