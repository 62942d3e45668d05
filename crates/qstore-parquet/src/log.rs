//! The metrics log: receives rows, decides when they are published, and keeps the accounts.
//!
//! It is ordinary synchronous code: it starts no thread and is told the time; only how long a
//! publication takes it measures itself. A row is *received*
//! into memory, *flushed* when a version of the file that contains it is published, and *sealed* when
//! its row group is full, after which the log forgets it.

use crate::open::{self, Names, Opened};
use crate::publish::{self, Version};
use crate::published::Published;
use crate::rows::{COLUMNS_MAX, Rejection, Rows};
use crate::stack::{Plan, Stack};
use crate::stats::WriterStats;
use crate::{Error, WriterSettings, footer};
use parquet::basic::Compression as Codec;
use parquet::file::metadata::KeyValue;
use qstore_buffer::{Progress, Sink};
use qstore_schema::{DataType, Field, Record, Schema};
use qstore_storage::{LocalStorage, Lock, Storage};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much longer than publishing takes the pause after it is.
const PAUSE_FACTOR: u32 = 20;

/// One Parquet file that is appended to and can be read at any moment.
///
/// It is the [`Sink`] behind [`AsyncMetricsWriter`](crate::AsyncMetricsWriter); use it directly to
/// write from a thread of your own.
pub struct MetricsLog<R> {
    storage: Arc<dyn Storage>,
    names: Names,
    settings: WriterSettings,
    codec: Codec,
    published: Option<Published>,
    /// Row groups of earlier sessions and sealed ones: they are copied and never encoded again.
    stored_groups: usize,
    stack: Stack,
    rows: Rows,
    /// How many of the held rows are not published yet.
    pending: usize,
    oldest_pending: Option<Instant>,
    last_publication: Option<Instant>,
    publishing_time: Duration,
    stats: WriterStats,
    /// The largest integers of published columns, as far as they were asked for.
    largest: HashMap<usize, Result<i64, String>>,
    /// Keeps other writers away; released last.
    _lock: Box<dyn Lock>,
    record: PhantomData<fn(R)>,
}

impl<R: Record> MetricsLog<R> {
    /// Opens or creates the file at `path` on the machine's file system.
    ///
    /// A file that is there is continued, whoever wrote it, if its columns go with `R`: of the types
    /// this crate writes, equal where both have them, and nullable where only the file has them.
    ///
    /// # Errors
    /// A wrong setting, a path that cannot be a file or is missing its directory, a file that another
    /// writer has open, that is no Parquet file or holds other columns. Nothing is changed then.
    pub fn open(path: impl AsRef<Path>, settings: WriterSettings) -> Result<Self, Error> {
        Self::open_in(Arc::new(LocalStorage::new()), path, settings)
    }

    /// As [`open`](Self::open), on any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        storage: Arc<dyn Storage>,
        path: impl AsRef<Path>,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        settings.validate()?;
        Schema::new(R::DECLARED.to_vec())?;
        let codec = settings.compression.codec()?;
        let Opened { names, lock, published } = open::open(&*storage, path.as_ref(), R::DECLARED)?;
        let fields = open::merged(published.as_ref(), R::DECLARED);
        let mut log = Self {
            stored_groups: published.as_ref().map_or(0, |published| published.groups.len()),
            stats: WriterStats::new(&names.public, published.as_ref().map_or(0, Published::rows)),
            rows: Rows::new(&fields, R::DECLARED),
            storage,
            names,
            settings,
            codec,
            published,
            stack: Stack::default(),
            pending: 0,
            oldest_pending: None,
            last_publication: None,
            publishing_time: Duration::ZERO,
            largest: HashMap::new(),
            _lock: lock,
            record: PhantomData,
        };
        // Readers find a table from the first moment, and a directory that cannot be written to is
        // noticed now. Rows without declared columns have no table to show yet.
        if log.published.is_none() && !fields.is_empty() {
            log.publish(false)?;
        }
        Ok(log)
    }

    /// Adds one row to those that wait. A row that does not fit is rejected alone: it is counted and
    /// the reason is kept in [`WriterStats::last_rejection`].
    pub fn append(&mut self, record: &R, now: Instant) {
        let Self { published, largest, .. } = self;
        let mut largest_stored = |column| {
            // Read once for each version of the file, however many rows ask.
            let known = || largest_integer(published.as_ref(), column);
            largest.entry(column).or_insert_with(known).clone()
        };
        let turned_away = self.rows.names_turned_away();
        match self.rows.push(record, &mut largest_stored) {
            Ok(()) => {
                self.pending += 1;
                self.oldest_pending.get_or_insert(now);
            }
            Err(rejection) => self.reject(&rejection),
        }
        self.stats.names_turned_away = self.rows.names_turned_away();
        if self.stats.names_turned_away > turned_away {
            let reason = format!("the file has {COLUMNS_MAX} columns, further names are left out");
            self.stats.last_rejection = Some(reason.into());
        }
        self.stats.pending_rows = self.pending;
    }

    /// The columns of the file, the stored ones first.
    pub fn fields(&self) -> Vec<Field> {
        self.rows.fields()
    }

    fn reject(&mut self, rejection: &Rejection) {
        self.stats.rejected_rows += 1;
        self.stats.last_rejection = Some(rejection.to_string().into());
    }

    fn is_due(&self, now: Instant) -> bool {
        if self.pending == 0 {
            return false;
        }
        if self.rows.len() >= self.settings.row_group_rows_max {
            return true; // nothing more is received until it is sealed
        }
        let age = self.oldest_pending.map_or(Duration::ZERO, |oldest| now - oldest.min(now));
        let pause = (self.publishing_time * PAUSE_FACTOR).max(self.settings.publish_pause_min);
        let has_paused = self.last_publication.is_none_or(|last| now >= last + pause);
        has_paused
            && (self.pending >= self.settings.flush_interval || age >= self.settings.flush_every)
    }

    fn publish(&mut self, closed: bool) -> Result<(), Error> {
        let outcome = self.try_publish(closed);
        if outcome.is_err() {
            self.stats.errors += 1;
        }
        outcome
    }

    fn try_publish(&mut self, closed: bool) -> Result<(), Error> {
        let is_full = self.rows.len() >= self.settings.row_group_rows_max;
        let plan = if self.pending == 0 && self.stack.len() <= 1 {
            // Nothing to add and nothing to merge, as in the first version and some last ones.
            Plan { kept: self.stack.len(), rows: 0 }
        } else if is_full || closed {
            self.stack.plan_seal(self.pending)
        } else {
            self.stack.plan(self.pending)
        };
        let version = Version {
            old: self.published.as_ref(),
            kept: self.stored_groups + plan.kept,
            rows: &self.rows,
            new_rows: plan.rows,
            keys: self.keys(closed),
            compression: self.codec,
            compact: closed,
        };
        let (temporary, public) = (&self.names.temporary, &self.names.public);
        let (published, took) = publish::publish(version, &self.storage, temporary, public)?;
        self.published = Some(published);
        self.largest.clear();
        self.stack.apply(&plan);
        self.publishing_time = match self.last_publication {
            None => took,
            // A mean that follows a growing file within some ten flushes.
            Some(_) => (self.publishing_time * 7 + took) / 8,
        };
        self.last_publication = Some(Instant::now());
        self.stats.rows_written += self.pending as u64;
        self.stats.file_rows += self.pending as u64;
        self.stats.flushes += u64::from(self.pending > 0);
        self.stats.pending_rows = 0;
        self.pending = 0;
        self.oldest_pending = None;
        if is_full || closed {
            self.rows.forget(self.rows.len());
            self.stored_groups += self.stack.len();
            self.stack.clear();
        }
        Ok(())
    }

    /// What the footer says beside the columns: `qstore.*`, and what another writer left there,
    /// except for its own picture of the columns, which need not be true any more.
    fn keys(&self, closed: bool) -> Vec<KeyValue> {
        let stored = self.published.iter().flat_map(|published| &published.keys);
        let is_kept = |key: &&KeyValue| {
            !key.key.starts_with("qstore.") && key.key != "ARROW:schema" && key.key != "pandas"
        };
        let mut keys: Vec<_> = stored.filter(is_kept).cloned().collect();
        let rows_written = self.stats.rows_written + self.pending as u64;
        for (name, value) in [
            (footer::FORMAT_VERSION_KEY, footer::FORMAT_VERSION.to_owned()),
            ("qstore.closed", closed.to_string()),
            ("qstore.rows_written", rows_written.to_string()),
            ("qstore.rows_rejected", self.stats.rejected_rows.to_string()),
        ] {
            keys.push(KeyValue::new(name.into(), value));
        }
        keys
    }
}

impl<R: Record + Send + 'static> Sink<R> for MetricsLog<R> {
    type Error = Error;
    type Stats = WriterStats;

    fn capacity(&self) -> usize {
        // More only if `append` was called beyond it; then nothing is taken until the next flush.
        self.settings.row_group_rows_max.saturating_sub(self.rows.len())
    }

    fn receive(&mut self, batch: &mut Vec<R>, now: Instant) -> Result<(), Error> {
        for record in batch.drain(..) {
            self.append(&record, now);
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<Progress<Error>, Error> {
        if self.is_due(now) {
            self.publish(false)?;
        }
        Ok(Progress::Idle)
    }

    fn flush(&mut self) -> Result<Progress<Error>, Error> {
        if self.pending > 0 {
            self.publish(false)?;
        }
        Ok(Progress::Idle)
    }

    fn close(&mut self) -> Result<Progress<Error>, Error> {
        // A session that wrote nothing leaves the file as it found it.
        let is_new = self.published.as_ref().is_none_or(|published| published.groups.is_empty());
        let is_touched = self.pending > 0 || self.stats.rows_written > 0 || is_new;
        let has_columns = !self.rows.columns().is_empty();
        if is_touched && has_columns {
            self.publish(true)?;
        }
        Ok(Progress::Idle)
    }

    fn stats(&self) -> WriterStats {
        self.stats.clone()
    }
}

impl<R> fmt::Debug for MetricsLog<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLog")
            .field("path", &self.names.public)
            .field("published", &self.published)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// The stored integer of the largest magnitude in a column, or why it cannot be found out.
fn largest_integer(published: Option<&Published>, column: usize) -> Result<i64, String> {
    let Some(published) = published else { return Ok(0) };
    // Not in the file yet, or widened already by an earlier row.
    let Some(DataType::Int64) = published.fields.get(column).map(|field| field.data_type) else {
        return Ok(0);
    };
    let mut largest = 0_i64;
    for group in 0..published.groups.len() {
        let (values, _) = published.integers(group, column)?;
        let all = values.into_iter().chain([largest]);
        largest = all.max_by_key(|value| value.unsigned_abs()).unwrap_or(0);
    }
    Ok(largest)
}

#[cfg(test)]
mod tests;
