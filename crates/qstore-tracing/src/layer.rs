//! The layer: which events are taken, and what goes into their rows.

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

/// Turns events with numbers in them into rows. See the [crate's page](crate).
pub struct MetricsLayer<R = MetricsRow> {
    handle: LogHandle<R>,
    target: String,
    /// Tells this layer's fields in a span from another layer's.
    id: u64,
}

/// What each layer keeps with a span; extensions are by type, and two layers have the same.
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
    /// Whether this thread is logging a row: what is said meanwhile makes no row.
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
    /// Takes the events whose target is this one or below it (`training` takes `training::epoch`,
    /// too). A target is the module an event stands in, unless it names another.
    ///
    /// Once the logger behind the handle is stopped, rows are refused and counted.
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
        // From the outermost span to the event: of a name that stands twice the last one counts.
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Kept>().and_then(|kept| kept.of(self.id))
            {
                fields.values.iter().for_each(|(name, value)| row.put(*name, value.clone()));
            }
        }
        for (name, value) in own.values {
            row.put(name, value);
        }
        // An event has nobody to tell; the buffer has counted a row it could not take.
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
