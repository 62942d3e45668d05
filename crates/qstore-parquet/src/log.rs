//! The metrics log: receives rows, decides when they are published, and keeps the accounts.
//!
//! It is ordinary synchronous code: it starts no thread and is told the time. A row is *received*
//! into memory, *flushed* when a version of the file that contains it is published, and *sealed* when
//! its row group is full, after which the log forgets it. Encoding and writing are handed out as
//! work, with a copy of the rows they need, so that rows are received meanwhile.

use crate::accounts::Accounts;
use crate::buffers::Buffers;
use crate::disk::{Disk, Done};
use crate::flight::{Ahead, Flight};
use crate::fresh::{Fresh, FreshGroup, Source};
use crate::layout::Version;
use crate::open::{self, Opened};
use crate::pace::Pace;
use crate::published::Published;
use crate::row_group::Coding;
use crate::rows::{COLUMNS_MAX, Rows};
use crate::stack::{Plan, Stack};
use crate::stats::WriterStats;
use crate::{Durability, Error, WriterSettings};
use parquet::file::metadata::KeyValue;
use qstore_buffer::{BufferStats, Progress, Round, Sink};
use qstore_schema::{DataType, Field, Record, Schema};
use qstore_storage::{FileSystem, LocalFs};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One Parquet file that is appended to and can be read at any moment.
///
/// It is the [`Sink`] behind [`AsyncMetricsWriter`](crate::AsyncMetricsWriter); use it directly to
/// write from a thread of your own, with [`append`](Self::append), [`flush`](Self::flush) and
/// [`close`](Self::close), which do everything before they return.
pub struct MetricsLog<R> {
    settings: WriterSettings,
    coding: Coding,
    /// Locked by the work while it is under way.
    disk: Arc<Mutex<Disk>>,
    published: Option<Arc<Published>>,
    /// Row groups of earlier sessions and sealed ones: they are never encoded again.
    stored_groups: usize,
    stack: Stack,
    rows: Rows,
    /// How many of the held rows are not published yet.
    pending: usize,
    oldest_pending: Option<Instant>,
    pace: Pace,
    flight: Option<Flight>,
    /// Full groups that are encoded while another version is written.
    ahead: Option<Ahead>,
    buffers: Buffers,
    /// Rows that a flush under way has still to see published.
    flushing: Option<usize>,
    is_closed: bool,
    stats: WriterStats,
    accounts: Accounts,
    /// The largest integers of published columns, as far as they were asked for.
    largest: HashMap<usize, Result<i64, String>>,
    record: PhantomData<fn(R)>,
}

impl<R: Record> MetricsLog<R> {
    /// Opens or creates the file at `path` on the machine's file system.
    ///
    /// A file that is there is continued, whoever wrote it, if its columns go with `R`: of the types
    /// this crate writes, equal where both have them, and nullable where only the file has them. A
    /// file whose end is damaged is continued from the last version in it that is whole; the damaged
    /// one is set aside, and [`WriterStats::recovery`] tells of it.
    ///
    /// # Errors
    /// A wrong setting, a path that cannot be a file or is missing its directory, a file that another
    /// writer has open, that is no Parquet file or holds other columns. Nothing is changed then.
    pub fn open(path: impl AsRef<Path>, settings: WriterSettings) -> Result<Self, Error> {
        Self::open_in(Arc::new(LocalFs::new()), path, settings)
    }

    /// As [`open`](Self::open), on any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        storage: Arc<dyn FileSystem>,
        path: impl AsRef<Path>,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        Self::open_with(storage, path.as_ref(), settings, &[])
    }

    /// As [`open`](Self::open), with columns that the file is to have besides those that are declared.
    pub(crate) fn open_with(
        storage: Arc<dyn FileSystem>,
        path: &Path,
        settings: WriterSettings,
        more: &[Field],
    ) -> Result<Self, Error> {
        settings.validate()?;
        Schema::new(R::DECLARED.to_vec())?;
        let coding = Coding {
            compression: settings.compression.codec()?,
            is_plain: settings.plain_encoding,
            is_passing: false,
        };
        let opened = open::open(&storage, path, R::DECLARED)?;
        let Opened { names, lock, published, recovery } = opened;
        let published = published.map(Arc::new);
        let mut fields = open::merged(published.as_deref(), R::DECLARED);
        for field in more {
            if !fields.iter().any(|known| known.name == field.name) {
                fields.push(Field { nullable: true, ..field.clone() });
            }
        }
        let file_rows = published.as_deref().map_or(0, Published::rows);
        let mut stats = WriterStats::new(&names.public, file_rows);
        stats.recovery = recovery;
        let disk = Disk::new(storage, names, lock, published.clone(), &settings);
        let mut log = Self {
            stored_groups: published.as_deref().map_or(0, |published| published.groups.len()),
            stats,
            accounts: Accounts::new(published.as_deref(), &settings),
            rows: Rows::new(&fields, R::DECLARED),
            settings,
            coding,
            disk: Arc::new(Mutex::new(disk)),
            published,
            stack: Stack::default(),
            pending: 0,
            oldest_pending: None,
            pace: Pace::default(),
            flight: None,
            ahead: None,
            buffers: Buffers::default(),
            flushing: None,
            is_closed: false,
            largest: HashMap::new(),
            record: PhantomData,
        };
        // Readers find a table from the first moment, and a directory that cannot be written to is
        // noticed now. Rows without declared columns have no table to show yet.
        if log.published.is_none() && !fields.is_empty() {
            log.publish(false).run()?;
            log.settle();
        }
        Ok(log)
    }

    /// Adds one row to those that wait. A row that does not fit is rejected alone: it is counted and
    /// the reason is kept in [`WriterStats::last_rejection`].
    pub fn append(&mut self, record: &R, now: Instant) {
        let Self { published, largest, .. } = self;
        let mut largest_stored = |column| {
            // Read once for each version of the file, however many rows ask.
            let known = || largest_integer(published.as_deref(), column);
            largest.entry(column).or_insert_with(known).clone()
        };
        let turned_away = self.rows.names_turned_away();
        match self.rows.push(record, &mut largest_stored) {
            Ok(()) => {
                self.pending += 1;
                self.oldest_pending.get_or_insert(now);
            }
            Err(rejection) => {
                self.stats.rejected_rows += 1;
                self.stats.last_rejection = Some(rejection.to_string().into());
                // mutant: rejected_row_not_counted
                self.accounts.rejected(record.label());
            }
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

    /// Bytes of the row groups that are published.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.published.as_ref().map_or(0, |published| published.data_end)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of publishing what was encoded ahead, or else everything that is held now.
    fn publish(&mut self, closes: bool) -> Progress<Error> {
        let ahead = self.ahead.take().unwrap_or_else(|| {
            let plan = self.plan(closes);
            let fresh = self.fresh(&plan, self.rows.len(), closes);
            let fields = fresh.fields.clone();
            Ahead { plan, pending: self.pending, fields, source: Source::Here(fresh) }
        });
        let Ahead { plan, pending, fields, source } = ahead;
        let version = Version {
            kept: self.stored_groups + plan.kept,
            fields: fields.clone(),
            keys: self.keys(pending, closes),
            coding: self.coding,
            closes,
        };
        let done = Arc::new(Mutex::new(None));
        self.flight = Some(Flight { plan, pending, fields, closes, done: Arc::clone(&done) });
        let (disk, durability) = (Arc::clone(&self.disk), self.settings.durability);
        Progress::Work(Box::new(move || {
            let encoded = source.get()?;
            let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
            let published = disk.publish(&version, &encoded)?;
            *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(published);
            match durability {
                // mutant: acknowledged_before_the_name_is_durable
                Durability::Sync => disk.sync_name(),
                Durability::Flush => Ok(()),
            }
        }))
    }

    /// The rows that a plan writes anew, which end before row number `end` of those that are held.
    fn fresh(&self, plan: &Plan, end: usize, closes: bool) -> Fresh {
        let mut start = end - plan.written();
        let sealed = start + plan.sealed;
        let group = |&rows: &usize| {
            let columns = self.rows.copy(&(start..start + rows), self.buffers.take_columns());
            start += rows;
            let is_sealed = closes || start <= sealed;
            let coding = if is_sealed { self.coding } else { self.coding.passing() };
            FreshGroup { rows, columns, coding }
        };
        let groups = plan.rows.iter().map(group).collect();
        let path = self.stats.output_path.to_path_buf();
        Fresh { fields: self.rows.fields(), groups, buffers: self.buffers.clone(), path }
    }

    /// Full groups that can be encoded before the version that is under way is published, if there are
    /// any, and how many rows in them are pending: they are what comes next, if that goes well.
    fn look_ahead(&self) -> Option<(Plan, usize)> {
        let flight = self.flight.as_ref().filter(|flight| !flight.closes)?;
        let mut stack = self.stack.clone();
        stack.apply(&flight.plan);
        let full = self.settings.row_group_rows_max;
        let held = stack.rows() + (self.pending - flight.pending);
        // A column that came meanwhile would change the groups before, too.
        let is_ready = held >= full && self.rows.fields() == flight.fields;
        let pending = (held / full * full).saturating_sub(stack.rows());
        is_ready.then(|| (stack.plan_seal(pending, full, false), pending))
    }

    /// The work of encoding full groups for the version after the one that is under way, if there are
    /// any.
    fn encode_ahead(&mut self) -> Option<impl FnOnce() + Send + use<R>> {
        let (plan, pending) = self.look_ahead().filter(|_| self.ahead.is_none())?;
        // The rows that the version under way seals are held until it is published.
        let sealed = self.flight.as_ref().map_or(0, |flight| flight.plan.sealed);
        // mutant: groups_encoded_ahead_begin_too_early
        let fresh = self.fresh(&plan, sealed + plan.written(), false);
        let fields = fresh.fields.clone();
        let (source, encode) = Source::elsewhere(fresh);
        self.ahead = Some(Ahead { plan, pending, fields, source });
        Some(encode)
    }

    /// The work of making what is published survive a power cut.
    fn sync(&self) -> Progress<Error> {
        let disk = Arc::clone(&self.disk);
        Progress::Work(Box::new(move || {
            disk.lock().unwrap_or_else(PoisonError::into_inner).sync_name()
        }))
    }

    fn plan(&self, closes: bool) -> Plan {
        let rows_max = self.settings.row_group_rows_max;
        if self.pending == 0 && self.stack.len() <= 1 {
            // Nothing to add and nothing to merge, as in the first version and some last ones.
            Plan { kept: self.stack.len(), rows: Vec::new(), sealed: 0 }
        } else if closes || self.rows.len() >= rows_max {
            self.stack.plan_seal(self.pending, rows_max, closes)
        } else {
            self.stack.plan(self.pending, rows_max)
        }
    }

    /// Takes note of how the work ended that was handed out last.
    fn settle(&mut self) {
        let Some(Flight { plan, pending, closes, done, .. }) = self.flight.take() else { return };
        let done = done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Done { published, took, publishing, bytes_written, full_copies }) = done else {
            self.stats.errors += 1;
            self.flushing = None;
            // It would have come after what is not there.
            // mutant: groups_encoded_ahead_of_a_failure_are_kept
            self.ahead = None;
            return;
        };
        // mutant: acknowledged_before_the_name_is_durable
        if self.settings.durability == Durability::Sync && !self.disk().is_durable() {
            self.stats.errors += 1;
            self.flushing = None;
        }
        let groups = published.groups.len();
        self.published = Some(published);
        self.largest.clear();
        self.pace.published(took, Instant::now());
        self.stack.apply(&plan);
        if plan.sealed > 0 {
            self.rows.forget(plan.sealed);
        }
        if closes {
            self.rows.forget(self.stack.rows());
            self.stack.clear();
        }
        self.stored_groups = groups - self.stack.len();
        self.is_closed = closes;
        self.stats.rows_written += pending as u64;
        self.stats.file_rows += pending as u64;
        self.stats.flushes += u64::from(pending > 0);
        self.stats.publishing = publishing;
        self.stats.bytes_written = bytes_written;
        self.stats.full_copies = full_copies;
        self.pending -= pending;
        self.stats.pending_rows = self.pending;
        self.flushing = self.flushing.map(|rows| rows.saturating_sub(pending));
        // Those that came in meanwhile have waited no longer than the work took.
        self.oldest_pending = (self.pending > 0).then(Instant::now);
    }

    /// What the footer says beside the columns: `qstore.*`, and what another writer left there,
    /// except for its own picture of the columns, which need not be true any more.
    fn keys(&self, pending: usize, closed: bool) -> Vec<KeyValue> {
        let stored = self.published.iter().flat_map(|published| &published.keys);
        let is_kept = |key: &&KeyValue| {
            !key.key.starts_with("qstore.") && key.key != "ARROW:schema" && key.key != "pandas"
        };
        let mut keys: Vec<_> = stored.filter(is_kept).cloned().collect();
        let rows_written = self.stats.rows_written + pending as u64;
        keys.extend(self.accounts.audit(rows_written, closed).keys());
        keys
    }
}

impl<R: Record + Send + 'static> MetricsLog<R> {
    /// Publishes every row appended so far, before it returns.
    ///
    /// # Errors
    /// When they could not be published; they stay pending.
    pub fn flush(&mut self) -> Result<(), Error> {
        while Sink::flush(self)?.run()? {}
        Ok(())
    }

    /// Flushes and seals: the file holds nothing but its rows then, and says that it is complete.
    /// Nothing may be appended afterwards.
    ///
    /// # Errors
    /// When it could not be published; it can be tried again.
    pub fn close(&mut self) -> Result<(), Error> {
        while Sink::close(self)?.run()? {}
        Ok(())
    }
}

impl<R: Record + Send + 'static> Sink<R> for MetricsLog<R> {
    type Error = Error;
    type Stats = WriterStats;

    fn capacity(&self) -> usize {
        self.settings.pending_rows_max.saturating_sub(self.pending)
    }

    fn receive(&mut self, batch: &mut Vec<R>, round: &mut Round<'_>) -> Result<(), Error> {
        for record in batch.drain(..) {
            self.append(&record, round.now());
        }
        if let Some(place) = round.lookahead()
            && let Some(encode) = self.encode_ahead()
        {
            place.run(encode);
        }
        Ok(())
    }

    fn observe(&mut self, intake: &BufferStats) {
        self.accounts.observe(intake);
    }

    fn tick(&mut self, now: Instant) -> Result<Progress<Error>, Error> {
        self.settle();
        let Self { pending, oldest_pending, .. } = *self;
        let is_due = self.pace.is_due(pending, oldest_pending, now, &self.settings);
        if is_due || self.ahead.is_some() {
            return Ok(self.publish(false));
        }
        // In the durability `Flush` it is done when nobody waits for it.
        Ok(if self.disk().is_durable() { Progress::Idle } else { self.sync() })
    }

    fn flush(&mut self) -> Result<Progress<Error>, Error> {
        self.settle();
        if *self.flushing.get_or_insert(self.pending) > 0 {
            return Ok(self.publish(false));
        }
        // mutant: acknowledged_before_the_name_is_durable
        let is_durable = self.settings.durability == Durability::Flush || self.disk().is_durable();
        if !is_durable {
            return Ok(self.sync());
        }
        self.flushing = None;
        Ok(Progress::Idle)
    }

    fn close(&mut self) -> Result<Progress<Error>, Error> {
        self.settle();
        // A session that wrote nothing leaves the file as it found it.
        let is_new = self.published.as_ref().is_none_or(|published| published.groups.is_empty());
        let is_touched = self.pending > 0 || self.stats.rows_written > 0 || is_new;
        let has_columns = !self.rows.columns().is_empty();
        if self.ahead.is_some() {
            return Ok(self.publish(false));
        }
        if is_touched && has_columns && !self.is_closed {
            return Ok(self.publish(true));
        }
        // A clean end is durable, whatever the setting.
        Ok(if self.disk().is_durable() { Progress::Idle } else { self.sync() })
    }

    fn stats(&self) -> WriterStats {
        self.stats.clone()
    }
}

impl<R> fmt::Debug for MetricsLog<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLog")
            .field("path", &self.stats.output_path)
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
mod ahead;
#[cfg(test)]
mod tests;
