//! The layer: which events become rows, and which fields belong to a row.

use crate::fields::Fields;
use qstore_logger::{LogHandle, MetricsRow, NamedRow};
use smallvec::SmallVec;
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Turns events that carry numbers into rows. See the [crate's page](crate).
///
/// ```
/// use qstore_logger::{LoggerSettings, ParquetMetricsLogger};
/// use qstore_parquet::{MetricsFile, WriterSettings};
/// use qstore_schema::Row;
/// use qstore_tracing::MetricsLayer;
/// use std::time::Duration;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("events.parquet");
/// // With `Row`, the file has only the columns that events name.
/// let settings = (LoggerSettings::default(), WriterSettings::default());
/// let mut logger = ParquetMetricsLogger::<Row>::open_typed(&path, settings.0, settings.1)?;
/// let layer = MetricsLayer::new(logger.handle(), "app");
/// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
///     tracing::info!(target: "app::train", step = 1, loss = 0.5, "done"); // below `app`
///     tracing::info!(target: "app", "only a message"); // no number, no row
///     tracing::info!(target: "other", step = 2); // another target
/// });
/// assert_eq!(logger.stop(Duration::from_secs(10))?.writer.rows_written, 1);
/// let fields = MetricsFile::open(&path)?;
/// let names: Vec<_> = fields.fields().iter().map(|field| field.name.as_str()).collect();
/// assert_eq!(names, ["timestamp", "step", "loss"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MetricsLayer<R = MetricsRow> {
    handle: LogHandle<R>,
    target: String,
    /// Distinguishes this layer's fields in a span from another layer's.
    id: u64,
}

/// What each layer keeps with a span. Extensions are found by type, and two layers have the same type.
struct Kept(SmallVec<[(u64, Fields); 1]>);

impl Kept {
    fn of(&self, layer: u64) -> Option<&Fields> {
        self.0.iter().find(|(id, _)| *id == layer).map(|(_, fields)| fields)
    }

    fn of_mut(&mut self, layer: u64) -> Option<&mut Fields> {
        self.0.iter_mut().find(|(id, _)| *id == layer).map(|(_, fields)| fields)
    }
}

thread_local! {
    /// Whether this thread is logging a row; events during that time make no row.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Inside;

impl Inside {
    fn enter() -> Option<Self> {
        (!IS_INSIDE.replace(true)).then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        IS_INSIDE.set(false);
    }
}

impl<R: NamedRow> MetricsLayer<R> {
    /// A layer that takes the events whose target is this one or below it: `training` takes
    /// `training::epoch`, too. The target of an event is its module, unless the event names another.
    ///
    /// After the logger of the handle was stopped, rows are refused and counted.
    #[must_use]
    pub fn new(handle: LogHandle<R>, target: impl Into<String>) -> Self {
        static LAYERS: AtomicU64 = AtomicU64::new(0);
        Self { handle, target: target.into(), id: LAYERS.fetch_add(1, Relaxed) }
    }

    fn takes(&self, target: &str) -> bool {
        target
            .strip_prefix(&self.target)
            .is_some_and(|below| below.is_empty() || below.starts_with("::"))
    }
}

impl<R, S> Layer<S> for MetricsLayer<R>
where
    R: NamedRow,
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if self.takes(span.metadata().target()) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let mut extensions = span.extensions_mut();
            match extensions.get_mut::<Kept>() {
                Some(kept) => kept.0.push((self.id, fields)),
                None => extensions.insert(Kept(smallvec::smallvec![(self.id, fields)])),
            }
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) =
            span.extensions_mut().get_mut::<Kept>().and_then(|kept| kept.of_mut(self.id))
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.takes(event.metadata().target()) {
            return;
        }
        let mut own = Fields::default();
        event.record(&mut own);
        if !own.has_number {
            return;
        }
        let Some(_inside) = Inside::enter() else { return };
        let mut row = R::at(self.handle.now());
        // From the outermost span to the event: if a name occurs several times, the last value counts.
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Kept>().and_then(|kept| kept.of(self.id))
            {
                fields.values.iter().for_each(|(name, value)| row.put(*name, value.clone()));
            }
        }
        for (name, value) in own.values {
            row.put(name, value);
        }
        // An event has no caller to report to. The buffer counts a row that it did not take.
        let _ = self.handle.log(row);
    }
}

impl<R> fmt::Debug for MetricsLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer").field("target", &self.target).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
