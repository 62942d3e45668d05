//! The recorder: the current value of every metric, and its column.

use crate::histogram::Histogram;
use metrics::{
    Counter, Gauge, Key, KeyName, Metadata, Recorder, SetRecorderError, SharedString, Unit,
};
use qstore_logger::NamedRow;
use qstore_os::PerProcess;
use qstore_schema::{Name, TrainingMetrics, Value};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Keeps the reported values until a row takes them. Clones share everything. A forked child goes on with the
/// counters and gauges of its parent as they were.
///
/// ```
/// use qstore_metrics::MetricsRecorder;
/// use qstore_logger::NamedRow as _;
/// use qstore_schema::{Row, Value};
///
/// let recorder = MetricsRecorder::new();
/// // `install` makes it the recorder of the process; here it is that of one closure.
/// metrics::with_local_recorder(&recorder, || {
///     metrics::counter!("circuits").increment(3);
///     metrics::gauge!("queue_depth", "backend" => "ion_trap").set(2.5);
///     metrics::histogram!("latency_ms").record(1.0);
///     metrics::histogram!("latency_ms").record(2.0);
/// });
/// let row = recorder.onto(Row::at(0.0));
/// assert_eq!(row.get("circuits"), Some(&Value::Int(3)));
/// assert_eq!(row.get("queue_depth{backend=ion_trap}"), Some(&Value::Float(2.5)));
/// assert_eq!(row.get("latency_ms_mean"), Some(&Value::Float(1.5)));
///
/// // A histogram starts again with every row.
/// assert_eq!(recorder.onto(Row::at(1.0)).get("latency_ms_mean"), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct MetricsRecorder {
    known: Arc<PerProcess<RwLock<Known>>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    by_key: HashMap<(Kind, Key), usize>,
    /// In the order of their first reports, which is the order of the columns.
    metrics: Vec<Metric>,
    columns: usize,
    unmapped: u64,
}

/// Two metrics of different kinds may share a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone)]
enum Metric {
    Counter(Name, Arc<AtomicU64>),
    /// The bits of a float.
    Gauge(Name, Arc<AtomicU64>),
    Histogram([Name; 4], Arc<Histogram>),
}

impl MetricsRecorder {
    /// The most columns that metrics can have; a histogram has four. A metrics file has up to 10 000.
    pub const COLUMNS_MAX: usize = 8_000;

    /// A recorder that is not installed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Installs a new recorder as that of the process, to which the macros report.
    ///
    /// # Errors
    /// When the process already has one.
    pub fn install() -> Result<Self, SetRecorderError<Self>> {
        let recorder = Self::new();
        metrics::set_global_recorder(recorder.clone())?;
        Ok(recorder)
    }

    /// Adds the current values to a row.
    pub fn add_to(&self, row: &mut impl NamedRow) {
        // Collected first, because setting a column may report a metric itself.
        let mut values = Vec::new();
        self.read().metrics.iter().for_each(|metric| metric.read(&mut values));
        for (name, value) in values {
            row.put(name, value);
        }
    }

    /// The row with the current values added: `logger.log_step(recorder.onto(row))`.
    #[must_use]
    pub fn onto<R: NamedRow>(&self, mut row: R) -> R {
        self.add_to(&mut row);
        row
    }

    /// Number of reports without a column. Their metric has the name of a fixed column (a gauge `step` would
    /// overwrite the step of every row), or there are [too many](Self::COLUMNS_MAX) columns, for example
    /// because a label has a different value each time.
    ///
    /// ```
    /// use qstore_metrics::MetricsRecorder;
    ///
    /// let recorder = MetricsRecorder::new();
    /// metrics::with_local_recorder(&recorder, || metrics::gauge!("step").set(7.5));
    /// assert_eq!(recorder.unmapped(), 1);
    /// ```
    #[must_use]
    pub fn unmapped(&self) -> u64 {
        self.read().unmapped
    }

    /// The lock of a forked child is its own: that of its parent may have been held at the fork. In the middle
    /// of a first report, the child does without what was known.
    fn known(&self) -> &RwLock<Known> {
        self.known.get_or_make(|inherited| {
            let known = inherited.and_then(|known| known.try_read().ok());
            RwLock::new(known.map_or_else(Known::default, |known| known.clone()))
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known().read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known().write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The metric of this kind and key, created at its first report; `None` if it has no column.
    fn register(
        &mut self,
        kind: Kind,
        key: &Key,
        make: impl FnOnce(&Key) -> Option<Metric>,
    ) -> Option<&Metric> {
        let known = self.by_key.get(&(kind, key.clone())).copied();
        let index = known.or_else(|| {
            let has_room = self.columns + kind.columns() <= MetricsRecorder::COLUMNS_MAX;
            let Some(metric) = has_room.then(|| make(key)).flatten() else {
                self.unmapped += 1;
                return None;
            };
            self.columns += kind.columns();
            self.metrics.push(metric);
            self.by_key.insert((kind, key.clone()), self.metrics.len() - 1);
            Some(self.metrics.len() - 1)
        });
        index.map(|index| &self.metrics[index])
    }
}

impl Kind {
    fn columns(self) -> usize {
        match self {
            Self::Counter | Self::Gauge => 1,
            Self::Histogram => 4,
        }
    }
}

impl Metric {
    fn read(&self, values: &mut Vec<(Name, Value)>) {
        match self {
            Self::Counter(name, value) => {
                // Beyond 9 × 10^18 a counter stays there instead of turning negative.
                let value = i64::try_from(value.load(Relaxed)).unwrap_or(i64::MAX);
                values.push((*name, value.into()));
            }
            Self::Gauge(name, value) => {
                values.push((*name, f64::from_bits(value.load(Relaxed)).into()));
            }
            Self::Histogram([count, mean, min, max], reported) => {
                let Some(summary) = reported.take() else { return };
                values.push((*count, summary.count.into()));
                values.push((*mean, summary.mean().into()));
                values.push((*min, summary.min.into()));
                values.push((*max, summary.max.into()));
            }
        }
    }
}

impl Recorder for MetricsRecorder {
    // A column has neither a unit nor a description.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let make = |key: &Key| Some(Metric::Counter(column(key, "")?, Arc::default()));
        match self.write().register(Kind::Counter, key, make) {
            Some(Metric::Counter(_, value)) => Counter::from_arc(Arc::clone(value)),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let make = |key: &Key| Some(Metric::Gauge(column(key, "")?, Arc::default()));
        match self.write().register(Kind::Gauge, key, make) {
            Some(Metric::Gauge(_, value)) => Gauge::from_arc(Arc::clone(value)),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        let make = |key: &Key| {
            let column = |suffix| column(key, suffix);
            let names = [column("_count")?, column("_mean")?, column("_min")?, column("_max")?];
            Some(Metric::Histogram(names, Arc::default()))
        };
        match self.write().register(Kind::Histogram, key, make) {
            Some(Metric::Histogram(_, values)) => metrics::Histogram::from_arc(Arc::clone(values)),
            _ => metrics::Histogram::noop(),
        }
    }
}

/// The name of a metric's column; `None` if it is a fixed column, which no report may overwrite.
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
    if TrainingMetrics::has_column(&name) {
        return None;
    }
    Some(Name::new(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{counter, gauge, histogram, with_local_recorder};
    use qstore_os::testing::{Fork, in_child};
    use qstore_schema::Row;

    fn values(row: &Row) -> Vec<(String, Value)> {
        let values = row.iter().filter(|(name, _)| *name != "timestamp");
        values.map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    fn expected(values: &[(&str, Value)]) -> Vec<(String, Value)> {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn each_kind_becomes_its_columns_and_a_histogram_starts_again_after_each_row() {
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
        assert_eq!(recorder.unmapped(), 0);
    }

    #[test]
    fn a_name_may_have_two_kinds_and_the_last_one_sets_the_column() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || {
            counter!("same").absolute(7);
            gauge!("same").set(0.5);
        });
        assert_eq!(values(&recorder.onto(Row::at(0.0))), expected(&[("same", Value::Float(0.5))]));
    }

    #[test]
    fn nan_is_kept() {
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

    /// Regression: a gauge `step` overwrote the step of every row, or made the sink reject them all.
    #[test]
    fn no_report_changes_a_fixed_column() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || {
            gauge!("step").set(7.5);
            counter!("timestamp").increment(1);
            gauge!("steps").set(1.0);
        });
        assert_eq!(values(&recorder.onto(Row::at(0.0))), expected(&[("steps", Value::Float(1.0))]));
        assert_eq!(recorder.unmapped(), 2);
    }

    /// Regression: thousands of them used up the names of the whole process.
    #[test]
    fn a_label_that_is_always_different_does_not_use_up_the_columns_of_others() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || {
            for id in 0..12_000 {
                counter!("requests", "id" => id.to_string()).increment(1);
            }
            histogram!("late").record(1.0);
        });
        let row = recorder.onto(Row::at(0.0));
        assert_eq!(row.len(), 1 + MetricsRecorder::COLUMNS_MAX);
        assert_eq!(recorder.unmapped(), 12_000 - MetricsRecorder::COLUMNS_MAX as u64 + 1);
    }

    /// A row that reports each column it is given.
    struct Reports(MetricsRecorder);

    impl NamedRow for Reports {
        fn at(_: f64) -> Self {
            unreachable!("made by the test")
        }

        fn put(&mut self, _: Name, _: Value) {
            with_local_recorder(&self.0, || counter!("puts").increment(1));
        }
    }

    #[test]
    fn a_row_may_report_something_itself() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || counter!("first").increment(1));
        recorder.add_to(&mut Reports(recorder.clone()));
        assert_eq!(recorder.onto(Row::at(0.0)).get("puts"), Some(&Value::Int(1)));
    }

    #[test]
    fn reports_from_several_threads_add_up() {
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

    /// Regression: a child whose parent was in the middle of a report hung at its first one.
    #[test]
    fn a_forked_child_reports_whatever_its_parent_was_doing() {
        let recorder = MetricsRecorder::new();
        with_local_recorder(&recorder, || {
            counter!("before").increment(2);
            histogram!("ms").record(1.0);
        });
        let report = || {
            with_local_recorder(&recorder, || {
                counter!("after").increment(3);
                histogram!("ms").record(5.0);
            });
            let row = recorder.onto(Row::at(0.0));
            assert_eq!(row.get("after"), Some(&Value::Int(3)));
            assert_eq!(row.get("ms_mean"), Some(&Value::Float(5.0)), "its own values only");
            row
        };
        for fork in Fork::ALL {
            let row = || assert_eq!(report().get("before"), Some(&Value::Int(2)));
            in_child(fork, row).unwrap();
            let reading = recorder.read();
            in_child(fork, row).unwrap();
            drop(reading);
            let writing = recorder.write();
            in_child(fork, || assert_eq!(report().get("before"), None)).unwrap();
            drop(writing);
        }
        let row = recorder.onto(Row::at(0.0));
        assert_eq!((row.get("after"), row.get("ms_count")), (None, Some(&Value::Int(1))));
    }
}
