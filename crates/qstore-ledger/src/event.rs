//! A row of the ledger: what became known of a job, and when.
//!
//! Each row repeats what was known before, so the last row of a job describes it completely, and a table of
//! jobs is one `groupby("job").last()` in pandas.

use qstore_schema::{Row, SmolStr, Value, record};

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
    /// The event of a stored row.
    ///
    /// # Errors
    /// The name of the column that is missing or has another type.
    pub(crate) fn of(row: &Row) -> Result<Self, &'static str> {
        Ok(Self {
            seq: int(row, "seq")?,
            time: float(row, "time").ok_or("time")?,
            job: text(row, "job").ok_or("job")?,
            event: text(row, "event").ok_or("event")?,
            provider: text(row, "provider").ok_or("provider")?,
            device: text(row, "device").ok_or("device")?,
            session: text(row, "session"),
            provider_job: text(row, "provider_job"),
            attempt: int(row, "attempt")?,
            epoch: int(row, "epoch").ok(),
            step: int(row, "step").ok(),
            batch: text(row, "batch").ok_or("batch")?,
            circuits: int(row, "circuits")?,
            shots: int(row, "shots")?,
            est_usd: float(row, "est_usd"),
            cost_usd: float(row, "cost_usd"),
            est_seconds: float(row, "est_seconds"),
            billed_seconds: float(row, "billed_seconds"),
            credits: float(row, "credits"),
            queue_position: int(row, "queue_position").ok(),
            queue_ms: float(row, "queue_ms"),
            exec_ms: float(row, "exec_ms"),
            result: text(row, "result"),
            result_crc32c: int(row, "result_crc32c").ok(),
            error: text(row, "error"),
            extra: text(row, "extra"),
        })
    }
}

fn int(row: &Row, name: &'static str) -> Result<i64, &'static str> {
    match row.get(name) {
        Some(Value::Int(value)) => Ok(*value),
        _ => Err(name),
    }
}

fn float(row: &Row, name: &str) -> Option<f64> {
    match row.get(name) {
        Some(Value::Float(value)) => Some(*value),
        _ => None,
    }
}

fn text(row: &Row, name: &str) -> Option<SmolStr> {
    match row.get(name) {
        Some(Value::Text(value)) => Some(value.clone()),
        _ => None,
    }
}
