//! What a file records about itself: the sessions that wrote it, and what became of every row they were
//! given.
//!
//! It is in the footer's key-value metadata and is rewritten at every flush, so that a file left behind
//! by a kill shows how far it is complete.

use parquet::file::metadata::KeyValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) const FORMAT_VERSION: &str = "1";
pub(crate) const FORMAT_VERSION_KEY: &str = "qstore.format_version";
const CLOSED_KEY: &str = "qstore.closed";
const RUN_ID_KEY: &str = "qstore.run_id";
const SEGMENTS_KEY: &str = "qstore.segments";

/// What a file records about itself: its sessions, and what became of every row.
///
/// ```
/// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// for run in ["monday", "tuesday"] {
///     let settings = WriterSettings::default().run_id(run);
///     let mut log = MetricsLog::<Row>::open(&path, settings)?;
///     log.append(&Row::from([("loss", 0.5)]), Instant::now());
///     log.append(&Row::from([("loss", 0.4), ("", 7.0)]), Instant::now()); // no name
///     log.close()?;
/// }
/// let file = MetricsFile::open(&path)?;
/// let audit = file.audit().expect("a file of this crate");
/// assert!(audit.closed, "the last session ended cleanly");
/// let tuesday = &audit.segments[1];
/// assert_eq!((&*tuesday.run_id, tuesday.first_row), ("tuesday", 2));
/// assert_eq!((tuesday.accepted, tuesday.written, tuesday.omitted_values), (2, 2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Audit {
    /// The version of this metadata.
    pub format_version: String,
    /// Whether the last session ended cleanly: `false` in a file that is being written, and in one whose
    /// writer was killed.
    pub closed: bool,
    /// One entry for each session that wrote to the file, in order.
    pub segments: Vec<Segment>,
}

/// The accounts of one session.
///
/// In a closed session with a ring `accepted == written + rejected + evicted + cleared`; rows that were
/// dropped or refused were never accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Segment {
    /// The number of its first row in the file, counted from 0.
    pub first_row: u64,
    /// The run it belonged to.
    pub run_id: String,
    /// The epoch it resumed from, if that was set.
    pub resumed_epoch: Option<i64>,
    /// The number of the attempt of the run that it was, if that was set.
    pub attempt: Option<u64>,
    /// The first row before this session that does not count anymore, if that was set; at most
    /// [`first_row`](Self::first_row). See [`MetricsFile::current`](crate::MetricsFile::current).
    pub cut_row: Option<u64>,
    /// Rows that the ring accepted or, without a ring, rows that were appended.
    pub accepted: u64,
    /// Rows in the file.
    pub written: u64,
    /// Rows that the ring handed back because it was full.
    pub dropped: u64,
    /// Rows that the ring handed back because it was closed.
    pub refused: u64,
    /// Rows that the ring accepted and later discarded to make room for newer ones.
    pub evicted: u64,
    /// Rows that were cleared from the ring on request.
    pub cleared: u64,
    /// The labels (steps) of the first and the last row that was dropped or evicted, if known.
    pub lost_labels: Option<(i64, i64)>,
    /// Rows that did not fit the columns.
    pub rejected: u64,
    /// The labels (steps) of the first and the last row that was rejected, if they had any.
    pub rejected_labels: Option<(i64, i64)>,
    /// Values that could not be stored, although their rows were.
    pub omitted_values: u64,
    /// How many of them each column lost. Beyond 64 names, values count in
    /// [`omitted_values`](Self::omitted_values) only.
    pub omitted: BTreeMap<String, u64>,
    /// Whether it ended cleanly.
    pub closed: bool,
}

impl Audit {
    /// Reads the keys of a footer; `None` if this crate has not written it.
    pub(crate) fn read(keys: &[KeyValue]) -> Option<Self> {
        let text = |name: &str| {
            keys.iter().find(|key| key.key == name).and_then(|key| key.value.as_deref())
        };
        let format_version = text(FORMAT_VERSION_KEY)?.to_owned();
        let segments = text(SEGMENTS_KEY).and_then(|text| serde_json::from_str(text).ok());
        let segments = match segments {
            Some(Value::Array(segments)) => segments.iter().map(Segment::read).collect(),
            _ => Vec::new(),
        };
        Some(Self { format_version, closed: text(CLOSED_KEY) == Some("true"), segments })
    }

    /// The keys of a footer.
    pub(crate) fn keys(&self) -> Vec<KeyValue> {
        let segments = self.segments.iter().map(Segment::show).collect();
        let run_id = self.segments.last().map_or("", |segment| &segment.run_id);
        [
            (FORMAT_VERSION_KEY, FORMAT_VERSION.to_owned()),
            (RUN_ID_KEY, run_id.to_owned()),
            (CLOSED_KEY, self.closed.to_string()),
            (SEGMENTS_KEY, Value::Array(segments).to_string()),
        ]
        .map(|(name, value)| KeyValue::new(name.into(), value))
        .into()
    }
}

impl Segment {
    fn show(&self) -> Value {
        let mut shown = json!({
            "first_row": self.first_row,
            "run_id": self.run_id,
            "resumed_epoch": self.resumed_epoch,
            "accepted": self.accepted,
            "written": self.written,
            "dropped": {
                "full": self.dropped,
                "closed": self.refused,
                "evicted": self.evicted,
                "cleared": self.cleared,
                "labels": self.lost_labels.map(|(first, last)| [first, last]),
            },
            "rejected": self.rejected,
            "rejected_labels": self.rejected_labels.map(|(first, last)| [first, last]),
            "omitted_values": self.omitted_values,
            "omitted": self.omitted,
            "closed": self.closed,
        });
        // Only where they are set: other files stay as they were, byte for byte.
        let set = [("attempt", self.attempt), ("cut_row", self.cut_row)];
        for (name, number) in set.into_iter().filter_map(|(name, set)| Some((name, set?))) {
            shown[name] = number.into();
        }
        shown
    }

    /// What is missing or has another type is read as zero or empty.
    fn read(value: &Value) -> Self {
        let nothing = Map::new();
        let dropped = value["dropped"].as_object().unwrap_or(&nothing);
        let count = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
        let labels = |value: Option<&Value>| {
            let pair = value?.as_array()?;
            Some((pair.first()?.as_i64()?, pair.get(1)?.as_i64()?))
        };
        Self {
            first_row: count(value.get("first_row")),
            run_id: value["run_id"].as_str().unwrap_or_default().to_owned(),
            resumed_epoch: value["resumed_epoch"].as_i64(),
            attempt: value["attempt"].as_u64(),
            cut_row: value["cut_row"].as_u64(),
            accepted: count(value.get("accepted")),
            written: count(value.get("written")),
            dropped: count(dropped.get("full")),
            refused: count(dropped.get("closed")),
            evicted: count(dropped.get("evicted")),
            cleared: count(dropped.get("cleared")),
            lost_labels: labels(dropped.get("labels")),
            rejected: count(value.get("rejected")),
            rejected_labels: labels(value.get("rejected_labels")),
            omitted_values: count(value.get("omitted_values")),
            omitted: by_column(&value["omitted"]),
            closed: value["closed"].as_bool().unwrap_or(false),
        }
    }
}

fn by_column(value: &Value) -> BTreeMap<String, u64> {
    let counts = value.as_object().into_iter().flatten();
    counts.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_read_back_as_it_was_written() {
        let first = Segment {
            run_id: "one \"quoted\"".into(),
            accepted: 12,
            written: 9,
            rejected: 2,
            cleared: 1,
            dropped: 3,
            evicted: 4,
            lost_labels: Some((7, 8)),
            rejected_labels: Some((-1, i64::MAX)),
            omitted_values: 6,
            omitted: BTreeMap::from([("a".into(), 5), ("\"".into(), 1)]),
            closed: true,
            ..Segment::default()
        };
        let (resumed_epoch, attempt, cut_row) = (Some(4), Some(2), Some(7));
        let second =
            Segment { first_row: 9, resumed_epoch, attempt, cut_row, ..Segment::default() };
        let format_version = FORMAT_VERSION.to_owned();
        let audit = Audit { format_version, closed: true, segments: vec![first, second] };
        assert_eq!(Audit::read(&audit.keys()), Some(audit));
        assert_eq!(Audit::read(&[KeyValue::new("pandas".into(), None)]), None);
    }

    #[test]
    fn a_file_without_a_run_says_nothing_of_attempts() {
        let shown = Segment::default().show();
        assert!(shown.get("attempt").is_none() && shown.get("cut_row").is_none());
        let shown = Segment { attempt: Some(1), ..Segment::default() }.show();
        assert!(shown["attempt"] == 1 && shown.get("cut_row").is_none());
    }

    #[test]
    fn malformed_segments_are_read_as_empty() {
        let version = KeyValue::new(FORMAT_VERSION_KEY.into(), "1".to_owned());
        for text in
            ["", "{", "7", "[3]", "[{\"rejected_labels\":[1]}]", "[{\"omitted\":{\"a\":-1}}]"]
        {
            let segments = KeyValue::new(SEGMENTS_KEY.into(), text.to_owned());
            let audit = Audit::read(&[version.clone(), segments]).unwrap();
            assert!(audit.segments.iter().all(|segment| *segment == Segment::default()), "{text}");
        }
    }
}
