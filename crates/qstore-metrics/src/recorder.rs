//! The recorder: every metric's present value, and how these become columns.

use crate::histogram::Histogram;
use metrics::{
    Counter, Gauge, Key, KeyName, Metadata, Recorder, SetRecorderError, SharedString, Unit,
};
use qstore_logger::NamedRow;
use qstore_schema::Name;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps what was reported until a row takes it along. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct MetricsRecorder {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    by_key: HashMap<(Kind, Key), usize>,
    /// In the order they were first reported, which is the order of the columns.
    metrics: Vec<Metric>,
    /// Metrics without a column.
    nameless: usize,
}

/// Two metrics of different kinds may share a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
enum Metric {
    Counter(Option<Name>, Arc<AtomicU64>),
    /// The bits of a float.
    Gauge(Option<Name>, Arc<AtomicU64>),
    Histogram(Option<[Name; 4]>, Arc<Histogram>),
}

impl MetricsRecorder {
    /// A recorder that nobody reports to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a recorder the process's own, the one that the macros report to.
    ///
    /// # Errors
    /// When the process has one already.
    pub fn install() -> Result<Self, SetRecorderError<Self>> {
        let recorder = Self::new();
        metrics::set_global_recorder(recorder.clone())?;
        Ok(recorder)
    }

    /// Adds the present values to a row.
    pub fn add_to(&self, row: &mut impl NamedRow) {
        for metric in &self.lock().metrics {
            match metric {
                Metric::Counter(Some(name), value) => {
                    // Beyond 9 × 10^18 a counter stands still rather than turn negative.
                    let value = i64::try_from(value.load(Relaxed)).unwrap_or(i64::MAX);
                    row.put(*name, value.into());
                }
                Metric::Gauge(Some(name), value) => {
                    row.put(*name, f64::from_bits(value.load(Relaxed)).into());
                }
                Metric::Histogram(Some([count, mean, min, max]), values) => {
                    let Some(summary) = values.take() else { continue };
                    row.put(*count, summary.count.into());
                    row.put(*mean, summary.mean().into());
                    row.put(*min, summary.min.into());
                    row.put(*max, summary.max.into());
                }
                Metric::Counter(None, _) | Metric::Gauge(None, _) | Metric::Histogram(None, _) => {}
            }
        }
    }

    /// The row with the present values added: `logger.log_step(recorder.onto(row))`.
    #[must_use]
    pub fn onto<R: NamedRow>(&self, mut row: R) -> R {
        self.add_to(&mut row);
        row
    }

    /// How many metrics have no column, because there are [too many names](Name::INTERNED_MAX).
    #[must_use]
    pub fn nameless(&self) -> usize {
        self.lock().nameless
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn register<T>(
        &mut self,
        kind: Kind,
        key: &Key,
        make: impl FnOnce(&Key) -> Metric,
        pick: impl FnOnce(&Metric) -> Option<Arc<T>>,
    ) -> Option<Arc<T>> {
        let known = self.by_key.get(&(kind, key.clone())).copied();
        let index = known.unwrap_or_else(|| {
            let metric = make(key);
            self.nameless += usize::from(metric.is_nameless());
            self.metrics.push(metric);
            self.by_key.insert((kind, key.clone()), self.metrics.len() - 1);
            self.metrics.len() - 1
        });
        pick(&self.metrics[index])
    }
}

impl Metric {
    fn is_nameless(&self) -> bool {
        matches!(self, Self::Counter(None, _) | Self::Gauge(None, _) | Self::Histogram(None, _))
    }
}

impl Recorder for MetricsRecorder {
    // A column has neither a unit nor a description.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let make = |key: &Key| Metric::Counter(column(key, ""), Arc::default());
        let value = self.lock().register(Kind::Counter, key, make, |metric| match metric {
            Metric::Counter(_, value) => Some(Arc::clone(value)),
            _ => None,
        });
        value.map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let make = |key: &Key| Metric::Gauge(column(key, ""), Arc::default());
        let value = self.lock().register(Kind::Gauge, key, make, |metric| match metric {
            Metric::Gauge(_, value) => Some(Arc::clone(value)),
            _ => None,
        });
        value.map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        let make = |key: &Key| {
            let names = ["_count", "_mean", "_min", "_max"].map(|suffix| column(key, suffix));
            let names = match names {
                [Some(count), Some(mean), Some(min), Some(max)] => Some([count, mean, min, max]),
                _ => None,
            };
            Metric::Histogram(names, Arc::default())
        };
        let values = self.lock().register(Kind::Histogram, key, make, |metric| match metric {
            Metric::Histogram(_, values) => Some(Arc::clone(values)),
            _ => None,
        });
        values.map_or_else(metrics::Histogram::noop, metrics::Histogram::from_arc)
    }
}

/// What a metric's column is called.
fn column(key: &Key, suffix: &str) -> Option<Name> {
    let mut name = String::from(key.name());
    for (index, label) in key.labels().enumerate() {
        name.push(if index == 0 { '{' } else { ',' });
        let _ = write!(name, "{}={}", label.key(), label.value());
    }
    if key.labels().len() > 0 {
        name.push('}');
    }
    name.push_str(suffix);
    Name::new(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{counter, gauge, histogram, with_local_recorder};
    use qstore_schema::{Row, Value};

    fn values(row: &Row) -> Vec<(String, Value)> {
        let values = row.iter().filter(|(name, _)| *name != "timestamp");
        values.map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    fn expected(values: &[(&str, Value)]) -> Vec<(String, Value)> {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn each_kind_becomes_its_columns_and_a_histogram_begins_anew_after_each_row() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || {
            for _ in 0..2 {
                counter!("circuits").increment(3);
            }
            gauge!("depth", "queue" => "a", "zone" => "b").set(2.5);
            histogram!("wait_ms").record(1.0);
            histogram!("wait_ms").record(4.0);
        });
        let first = recorder.onto(Row::at(0.0));
        let [circuits, depth] =
            [("circuits", Value::Int(6)), ("depth{queue=a,zone=b}", Value::Float(2.5))];
        let waits = [
            ("wait_ms_count", Value::Int(2)),
            ("wait_ms_mean", Value::Float(2.5)),
            ("wait_ms_min", Value::Float(1.0)),
            ("wait_ms_max", Value::Float(4.0)),
        ];
        let all: Vec<_> = [circuits.clone(), depth.clone()].into_iter().chain(waits).collect();
        assert_eq!(values(&first), expected(&all));
        let second = recorder.onto(Row::at(0.0));
        assert_eq!(values(&second), expected(&[circuits, depth]));
        assert_eq!(recorder.nameless(), 0);
    }

    #[test]
    fn a_name_may_be_of_two_kinds_and_the_last_one_is_the_columns() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || {
            counter!("same").absolute(7);
            gauge!("same").set(0.5);
        });
        assert_eq!(values(&recorder.onto(Row::at(0.0))), expected(&[("same", Value::Float(0.5))]));
    }

    #[test]
    fn values_that_are_no_numbers_come_through() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || {
            gauge!("gauge").set(f64::NAN);
            histogram!("values").record(f64::NAN);
            histogram!("values").record(1.0);
        });
        let row = recorder.onto(Row::at(0.0));
        let float = |name| match row.get(name) {
            Some(Value::Float(value)) => *value,
            other => panic!("{name} is {other:?}"),
        };
        assert!(float("gauge").is_nan() && float("values_mean").is_nan());
        assert_eq!((float("values_min"), float("values_max")), (1.0, 1.0));
    }

    #[test]
    fn reports_of_many_threads_add_up() {
        let recorder = MetricsRecorder::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    with_local_recorder(&recorder, || {
                        for _ in 0..1_000 {
                            counter!("calls").increment(1);
                            histogram!("ms").record(2.0);
                        }
                    });
                });
            }
        });
        let row = recorder.onto(Row::at(0.0));
        assert_eq!(row.get("calls"), Some(&Value::Int(4_000)));
        assert_eq!(row.get("ms_count"), Some(&Value::Int(4_000)));
    }
}
