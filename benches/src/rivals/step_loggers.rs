//! What people log a training step with instead: each takes the same 18 values and some extras.
//!
//! Two of them lose no row when the process is killed, because every step is handed to the kernel:
//! the CSV file with a `write(2)` a step, and `SQLite` in WAL mode with a transaction a step. The other
//! two only queue the step for a thread of theirs; what is in the queue is lost.

use crate::Result;
use qstore_schema::TrainingMetrics;
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

/// Logs a step: fixed values, and extras.
pub(crate) trait Rival {
    fn log(&mut self, known: &TrainingMetrics, step: i64, extras: &[f64]) -> Result;
}

/// A reused string and one `write(2)` a step, never synced.
pub(crate) struct Csv {
    file: File,
    line: String,
}

impl Csv {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: File::create(path)?, line: String::new() })
    }
}

impl Rival for Csv {
    fn log(&mut self, known: &TrainingMetrics, step: i64, extras: &[f64]) -> Result {
        self.line.clear();
        line_of(known, step, now()?, extras, &mut self.line)?;
        Ok(self.file.write_all(self.line.as_bytes())?)
    }
}

/// An unbounded channel to a thread that formats and writes through a buffer.
pub(crate) struct UnboundedChannel {
    sender: Option<Sender<(TrainingMetrics, [f64; 2])>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl UnboundedChannel {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let (sender, receiver) = channel::<(TrainingMetrics, [f64; 2])>();
        let mut file = BufWriter::new(File::create(path)?);
        let write = move || {
            let mut line = String::new();
            for (metrics, extras) in receiver {
                line.clear();
                let _ = line_of(&metrics, metrics.step, metrics.timestamp, &extras, &mut line);
                file.write_all(line.as_bytes())?;
            }
            file.flush()
        };
        Ok(Self { sender: Some(sender), thread: Some(thread::spawn(write)) })
    }
}

impl Rival for UnboundedChannel {
    fn log(&mut self, known: &TrainingMetrics, step: i64, extras: &[f64]) -> Result {
        let metrics = TrainingMetrics { step, timestamp: now()?, ..known.clone() };
        let extras = extras.try_into().map_err(|_| "two extras fit into the channel")?;
        let sender = self.sender.as_ref().ok_or("the channel is closed")?;
        sender.send((metrics, extras)).map_err(|_| "the writing thread is gone")?;
        Ok(())
    }
}

impl Drop for UnboundedChannel {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// tracing-appender's non-blocking writer, given the same line.
#[cfg(feature = "peers")]
pub(crate) struct Appender {
    writer: tracing_appender::non_blocking::NonBlocking,
    line: String,
    _guard: tracing_appender::non_blocking::WorkerGuard,
}

#[cfg(feature = "peers")]
impl Appender {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let (writer, guard) = tracing_appender::non_blocking(File::create(path)?);
        Ok(Self { writer, line: String::new(), _guard: guard })
    }
}

#[cfg(feature = "peers")]
impl Rival for Appender {
    fn log(&mut self, known: &TrainingMetrics, step: i64, extras: &[f64]) -> Result {
        self.line.clear();
        line_of(known, step, now()?, extras, &mut self.line)?;
        Ok(self.writer.write_all(self.line.as_bytes())?)
    }
}

/// A prepared insert, one transaction a step, WAL, `synchronous = OFF`: not safe from a power cut,
/// like the CSV file.
#[cfg(feature = "peers")]
pub(crate) struct Sqlite {
    connection: rusqlite::Connection,
    insert: String,
}

#[cfg(feature = "peers")]
impl Sqlite {
    pub(crate) fn create(path: &Path, extras: usize) -> Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        let columns: Vec<_> = (0..18 + extras).map(|number| format!("c{number}")).collect();
        let insert = format!("INSERT INTO steps VALUES ({})", vec!["?"; columns.len()].join(","));
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE steps ({});",
            columns.join(", ")
        ))?;
        Ok(Self { connection, insert })
    }
}

#[cfg(feature = "peers")]
impl Rival for Sqlite {
    fn log(&mut self, known: &TrainingMetrics, step: i64, extras: &[f64]) -> Result {
        let m = known;
        let now = now()?;
        let backend = m.backend.as_deref();
        let fixed: [&dyn rusqlite::ToSql; 18] = [
            &m.epoch,
            &step,
            &now,
            &m.train_loss,
            &m.val_loss,
            &m.grad_norm,
            &m.grad_max,
            &m.grad_min,
            &m.circuit_execution_time_ms,
            &m.circuits_executed,
            &m.qubits_used,
            &m.shots_per_circuit,
            &backend,
            &m.queue_time_ms,
            &m.cost_usd,
            &m.credits_used,
            &m.batch_time_ms,
            &m.throughput_samples_per_sec,
        ];
        let extras = extras.iter().map(|extra| extra as &dyn rusqlite::ToSql);
        let mut insert = self.connection.prepare_cached(&self.insert)?;
        insert.execute(rusqlite::params_from_iter(fixed.into_iter().chain(extras)))?;
        Ok(())
    }
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

fn line_of(
    m: &TrainingMetrics,
    step: i64,
    timestamp: f64,
    extras: &[f64],
    line: &mut String,
) -> Result {
    write!(line, "{},{step},{timestamp},", m.epoch)?;
    for value in [m.train_loss, m.val_loss, m.grad_norm, m.grad_max, m.grad_min] {
        optional(line, value)?;
    }
    optional(line, m.circuit_execution_time_ms)?;
    for value in [m.circuits_executed, m.qubits_used, m.shots_per_circuit] {
        optional(line, value)?;
    }
    optional(line, m.backend.as_deref())?;
    for value in [m.queue_time_ms, m.cost_usd, m.credits_used, m.batch_time_ms] {
        optional(line, value)?;
    }
    write!(line, "{}", m.throughput_samples_per_sec.unwrap_or_default())?;
    for extra in extras {
        write!(line, ",{extra}")?;
    }
    line.push('\n');
    Ok(())
}

fn optional(line: &mut String, value: Option<impl Display>) -> Result {
    if let Some(value) = value {
        write!(line, "{value}")?;
    }
    line.push(',');
    Ok(())
}
