//! The layer: which events are taken, and what goes into their rows.

use crate::fields::Fields;
use qstore_logger::{LogHandle, MetricsRow, NamedRow};
use std::fmt;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Turns events with numbers in them into rows. See the [crate's page](crate).
pub struct MetricsLayer<R = MetricsRow> {
    handle: LogHandle<R>,
    target: String,
}

impl<R: NamedRow> MetricsLayer<R> {
    /// Takes the events whose target is this one or below it (`training` takes `training::epoch`,
    /// too). A target is the module an event stands in, unless it names another.
    ///
    /// Once the logger behind the handle is stopped, rows are refused and counted.
    #[must_use]
    pub fn new(handle: LogHandle<R>, target: impl Into<String>) -> Self {
        Self { handle, target: target.into() }
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
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
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
        let mut row = R::at(self.handle.now());
        // From the outermost span to the event: of a name that stands twice the last one counts.
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Fields>() {
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
