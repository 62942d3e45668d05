//! A row of the ledger: what became known of a job, and when.
//!
//! Each row repeats what was known before, so the last row of a job describes it completely, and a table of
//! jobs is one `groupby("job").last()` in pandas.

use qstore_parquet::{Table, Values};
use qstore_schema::{SmolStr, record};
use std::collections::HashMap;

record! {
    /// One row of `jobs.parquet`.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct JobEvent by seq {
        /// Counted from 0 over the whole file.
        pub seq: i64,
        /// When it was recorded, in seconds since the Unix epoch (UTC).
        pub time: f64,
        /// The job's key, which is also the token that its request carries: a UUID of version 7.
        pub job: SmolStr,
        /// A [`JobState`](crate::JobState), or `priced` or `note`, which leave the state as it is.
        pub event: SmolStr,
        /// Who runs it, for example `braket`.
        pub provider: SmolStr,
        /// The device, in the provider's words.
        pub device: SmolStr,
        /// The provider's session, if there is one.
        pub session: Option<SmolStr>,
        /// The provider's identifier of the job, once it is known.
        pub provider_job: Option<SmolStr>,
        /// The attempt of the run that intended it, counted from 1; 0 if there is no run.
        pub attempt: i64,
        /// Where the training was.
        pub epoch: Option<i64>,
        /// Where the training was.
        pub step: Option<i64>,
        /// The digest of what was asked for: see [`Batch`](crate::Batch).
        pub batch: SmolStr,
        /// The number of circuits.
        pub circuits: i64,
        /// The number of shots of each circuit.
        pub shots: i64,
        /// What it may cost, in US dollars.
        pub est_usd: Option<f64>,
        /// What it did cost, in US dollars, once that is known.
        pub cost_usd: Option<f64>,
        /// How long it may run, in seconds.
        pub est_seconds: Option<f64>,
        /// What is billed, in seconds.
        pub billed_seconds: Option<f64>,
        /// What is billed, in credits of the provider.
        pub credits: Option<f64>,
        /// The position in the queue that was seen last.
        pub queue_position: Option<i64>,
        /// How long it waited, in milliseconds.
        pub queue_ms: Option<f64>,
        /// How long it ran, in milliseconds.
        pub exec_ms: Option<f64>,
        /// Where the caller stored the result, relative to the ledger's directory.
        pub result: Option<SmolStr>,
        /// The crc32c of that file.
        pub result_crc32c: Option<i64>,
        /// What went wrong, in the provider's words.
        pub error: Option<SmolStr>,
        /// Anything else, as JSON.
        pub extra: Option<SmolStr>,
    }
}

/// Events that leave the state of the job as it is.
pub(crate) const PRICED: &str = "priced";
pub(crate) const NOTE: &str = "note";

impl JobEvent {
    /// The event in a stored row.
    ///
    /// # Errors
    /// The name of the column that has no such value there.
    fn of(row: StoredRow<'_>) -> Result<Self, &'static str> {
        Ok(Self {
            seq: row.int("seq").ok_or("seq")?,
            time: row.float("time").ok_or("time")?,
            job: row.text("job").ok_or("job")?,
            event: row.text("event").ok_or("event")?,
            provider: row.text("provider").ok_or("provider")?,
            device: row.text("device").ok_or("device")?,
            session: row.text("session"),
            provider_job: row.text("provider_job"),
            attempt: row.int("attempt").ok_or("attempt")?,
            epoch: row.int("epoch"),
            step: row.int("step"),
            batch: row.text("batch").ok_or("batch")?,
            circuits: row.int("circuits").ok_or("circuits")?,
            shots: row.int("shots").ok_or("shots")?,
            est_usd: row.float("est_usd"),
            cost_usd: row.float("cost_usd"),
            est_seconds: row.float("est_seconds"),
            billed_seconds: row.float("billed_seconds"),
            credits: row.float("credits"),
            queue_position: row.int("queue_position"),
            queue_ms: row.float("queue_ms"),
            exec_ms: row.float("exec_ms"),
            result: row.text("result"),
            result_crc32c: row.int("result_crc32c"),
            error: row.text("error"),
            extra: row.text("extra"),
        })
    }
}

/// The events of all rows, or the number of the row that has none and the column that lacks a value there.
pub(crate) fn events(table: &Table) -> impl Iterator<Item = Result<JobEvent, (u64, &'static str)>> {
    let columns: HashMap<_, _> =
        table.columns.iter().map(|column| (column.field.name.as_str(), &column.values)).collect();
    (0..table.rows).map(move |index| {
        let row = StoredRow { columns: &columns, index };
        JobEvent::of(row).map_err(|column| (table.first_row + index as u64, column))
    })
}

/// One row of a table. A [`Row`](qstore_schema::Row) of its own for each event would take several times as long.
#[derive(Clone, Copy)]
struct StoredRow<'a> {
    columns: &'a HashMap<&'a str, &'a Values>,
    index: usize,
}

impl StoredRow<'_> {
    fn int(self, name: &str) -> Option<i64> {
        match self.columns.get(name) {
            Some(Values::Int(values)) => *values.get(self.index)?,
            _ => None,
        }
    }

    fn float(self, name: &str) -> Option<f64> {
        match self.columns.get(name) {
            Some(Values::Float(values)) => *values.get(self.index)?,
            _ => None,
        }
    }

    fn text(self, name: &str) -> Option<SmolStr> {
        match self.columns.get(name) {
            Some(Values::Text(values)) => values.get(self.index)?.clone(),
            _ => None,
        }
    }
}
