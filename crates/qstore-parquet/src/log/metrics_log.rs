//! The metrics log: receives rows, decides when they are published, and keeps the accounts.
//!
//! It is ordinary synchronous code: it starts no thread and takes the time as an argument. A row is
//! *received* into memory, *flushed* when a version of the file that contains it is published, and *sealed* when
//! its row group is full, after which the log forgets it. Encoding and writing are handed out as
//! work, with a copy of the rows they need, so that rows are received meanwhile.

use crate::columns::buffers::Buffers;
use crate::columns::rows::{COLUMNS_MAX, Omission, Rows};
use crate::error::{OpenError, WriteError};
use crate::format::compression::parquet_codec;
use crate::format::encoded_group::Coding;
use crate::format::published::Published;
use crate::format::read_failure::ReadFailure;
use crate::format::shape::Shape;
use crate::format::stored::CHUNKS_MANY;
use crate::log::accounts::Accounts;
use crate::log::appended::Appended;
use crate::log::encode_job::{EncodeJob, GroupRows, Source};
use crate::log::pace::Pace;
use crate::log::part_of::PartOf;
use crate::log::sealed::{self, Sealed};
use crate::log::settings::{Durability, WriterSettings};
use crate::log::stack::{Costs, Plan, Stack};
use crate::log::stats::WriterStats;
use crate::log::turn::{Prepared, Publication, Turn};
use crate::publish::disk::{Disk, Done, Policy};
use crate::publish::layout::Version;
use crate::publish::open::{self, Opened};
use parquet::file::metadata::KeyValue;
use qstore_buffer::{BufferStats, Loss, Progress, Round, Sink};
use qstore_os::ForkCheck;
use qstore_schema::{DataType, Field, Record, Schema};
use qstore_settings::SettingError;
use qstore_storage::{FileSystem, LocalFs};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

mod part;
mod save_as;

/// About the bytes that a chunk adds to the footer: its entry, with a name of a dozen letters, and its
/// checksum.
const CHUNK_FOOTER_BYTES: usize = 55;

/// The number of full groups, by bytes, whose rows may be pending.
const PENDING_GROUPS_MAX: usize = 4;

/// One Parquet file that is appended to and can be read at any moment.
///
/// It is the [`Sink`] behind [`AsyncMetricsWriter`](crate::AsyncMetricsWriter). Use it directly to
/// write from a thread of your own: [`append`](Self::append) only takes a row into memory,
/// [`flush`](Self::flush) publishes what was appended, and [`close`](Self::close) ends the session.
/// The last two do everything before they return.
///
/// What happens in each case:
/// * A name that was never seen before becomes a column, and earlier rows are null there. A column of
///   integers becomes one of floats when a float arrives, if no integer in it would change.
/// * A value of another kind than its column's goes into a column of its own, whichever kind came first:
///   a text into `NAME__text`, a number into `NAME__number`, a flag into `NAME__flag`, a list into
///   `NAME__list`, a time into `NAME__time`. The same holds for a number or a time that its column cannot
///   hold exactly.
/// * A row whose value for a *declared* column is missing or does not fit is rejected alone and counted;
///   the rows around it are kept.
/// * A flush that fails leaves the file as it was; its rows stay pending and the next flush tries
///   them again.
/// * In a forked child `flush` and `close` return [`WriteError::Forked`], and dropping the log leaves
///   everything as it is: the file and its lock are the parent's.
/// * The directory is renamed: the log goes on in it, under its new name.
/// * Something else takes the name of the file, or the directory is removed: flushes fail with
///   [`WriteError::Occupied`] or [`WriteError::DirectoryRemoved`]. Nothing is replaced, the rows stay
///   pending, and [`save_as`](Self::save_as) writes them elsewhere.
/// * A log that is dropped without `close` leaves the last flushed version, and so does a kill. Rows
///   appended since are lost.
///
/// ```
/// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
/// log.append(&Row::from([("loss", 0.5)]), Instant::now());
/// log.append(&Row::from([("loss", "half")]), Instant::now());
/// log.append(&Row::from([("accuracy", 0.8)]), Instant::now());
/// log.flush()?;
///
/// let file = MetricsFile::open(&path)?;
/// assert_eq!(file.rows(), 3);
/// let names: Vec<_> = file.fields().iter().map(|field| field.name.as_str()).collect();
/// assert_eq!(names, ["loss", "loss__text", "accuracy"], "a text is not a number");
/// assert!(!file.is_closed());
///
/// log.close()?;
/// assert!(MetricsFile::open(&path)?.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # How is this different from a Parquet writer?
/// A Parquet writer has a readable file once it is closed, and none if the process dies before. Here
/// every flush leaves a whole file, and a later session continues it.
pub struct MetricsLog<R> {
    storage: Arc<dyn FileSystem>,
    settings: WriterSettings,
    coding: Coding,
    /// Locked by the work while it is under way.
    disk: Arc<Mutex<Disk>>,
    published: Option<Arc<Published>>,
    /// Row groups of earlier sessions and sealed ones: they are never encoded again.
    stored_groups: usize,
    /// The number of stored groups that cannot become one with those after them.
    unjoined: usize,
    stack: Stack,
    rows: Rows,
    /// The columns of the rows, as of this edition of them.
    shape: Mutex<Option<(u64, Arc<Shape>)>>,
    /// The number of held rows that are not published yet.
    pending: usize,
    oldest_pending: Option<Instant>,
    pace: Pace,
    turn: Turn,
    buffers: Buffers,
    /// The number of rows that a flush under way still waits for.
    flushing: Option<usize>,
    is_closed: bool,
    /// The process that opened the log. A child asks this before it takes a lock that may be held.
    home: ForkCheck,
    stats: WriterStats,
    accounts: Accounts,
    /// The largest integers of published columns, as far as they were needed.
    largest: HashMap<usize, Result<i64, String>>,
    record: PhantomData<fn(R)>,
}

impl<R: Record> MetricsLog<R> {
    /// Opens or creates the file at `path` on the machine's file system.
    ///
    /// An existing file is continued, whichever program wrote it, if its columns match `R`: they have
    /// types that this crate writes, are equal where both declare them, and nullable where only the
    /// file has them. Columns of 8 to 32 bits, unsigned ones, dates, times and lists of floats stay as they
    /// are: integers beyond them do not fit, floats are rounded to 32 bits, and times are stored in the
    /// column's unit ([`MetricsFile::time_type`](crate::MetricsFile::time_type)), where integers count as
    /// well. A file whose end is damaged is continued from the last whole version in it; the
    /// damaged one is set aside and reported in [`WriterStats::recovery`].
    ///
    /// ```
    /// use qstore_parquet::{MetricsLog, OpenError, WriterSettings};
    /// use qstore_schema::Row;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let first = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    /// let second = MetricsLog::<Row>::open(&path, WriterSettings::default());
    /// assert!(matches!(second, Err(OpenError::AlreadyOpen { .. })), "a file has one writer");
    ///
    /// std::fs::write(dir.path().join("notes.txt"), "not a Parquet file")?;
    /// let notes = MetricsLog::<Row>::open(dir.path().join("notes.txt"), WriterSettings::default());
    /// assert!(matches!(notes, Err(OpenError::NotParquet { .. })), "and is left untouched");
    /// # drop(first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An [`OpenError`] when a setting cannot be used, when the path cannot be a file or its directory
    /// does not exist, and when the file is open in another writer, is not a Parquet file, or has
    /// columns that do not match. Nothing has changed then.
    pub fn open(path: impl AsRef<Path>, settings: WriterSettings) -> Result<Self, OpenError> {
        Self::open_in(Arc::new(LocalFs::new()), path, settings)
    }

    /// As [`open`](Self::open), on any file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        storage: Arc<dyn FileSystem>,
        path: impl AsRef<Path>,
        settings: WriterSettings,
    ) -> Result<Self, OpenError> {
        Self::open_with(storage, path.as_ref(), settings, None)
    }

    /// As [`open`](Self::open), of one file, or of a part of a dataset.
    pub(crate) fn open_with(
        storage: Arc<dyn FileSystem>,
        path: &Path,
        settings: WriterSettings,
        part: Option<PartOf>,
    ) -> Result<Self, OpenError> {
        settings.validate()?;
        Schema::new(R::DECLARED.to_vec())?;
        let coding = Coding {
            compression: parquet_codec(settings.compression)?,
            is_plain: settings.plain_encoding,
            is_passing: false,
            has_spans: true,
        };
        let opened = open::open(&storage, path, R::DECLARED, settings.locking)?;
        let Opened { place, published, recovery } = opened;
        let published = published.map(Arc::new);
        let mut fields = open::merged(published.as_deref(), R::DECLARED);
        let known: HashSet<_> = fields.iter().map(|field| field.name.clone()).collect();
        let more = settings.columns.iter().filter(|field| !known.contains(&field.name));
        fields.extend(more.map(|field| Field { nullable: true, ..field.clone() }));
        if part.is_none() && !settings.columns.is_empty() {
            let count = fields.len() - R::DECLARED.len();
            let choices = format!("at most {COLUMNS_MAX} names");
            if count > COLUMNS_MAX && fields.len() > known.len() {
                let value = format!("{count} names");
                return Err(SettingError::new("columns", value, choices, "none").into());
            }
        }
        let fits = published.as_deref().map_or(Vec::new(), |published| {
            published.shape.leaves.iter().map(|leaf| leaf.fit().unwrap_or_default()).collect()
        });
        let file_rows = published.as_deref().map_or(0, Published::rows);
        let mut stats = WriterStats::new(&place.path, file_rows);
        stats.recovery = recovery;
        let keeps_footers = part.is_some_and(|part| part.is_live);
        let policy = Policy { keeps_footers, ..settings.policy() };
        let disk = Disk::new(place, published.clone(), policy);
        let rows = Rows::new(&fields, R::DECLARED).fitted(fits);
        let mut log = Self {
            storage,
            stored_groups: published.as_deref().map_or(0, |published| published.groups.len()),
            unjoined: 0,
            stats,
            accounts: Accounts::new(published.as_deref(), &settings),
            rows: match part {
                Some(part) => rows.of_rank(part.rank),
                None => rows,
            },
            shape: Mutex::default(),
            settings,
            coding,
            disk: Arc::new(Mutex::new(disk)),
            published,
            stack: Stack::default(),
            pending: 0,
            oldest_pending: None,
            pace: Pace::default(),
            turn: Turn::Resting,
            buffers: Buffers::default(),
            flushing: None,
            is_closed: false,
            home: ForkCheck::new(),
            largest: HashMap::new(),
            record: PhantomData,
        };
        // Readers find a table from the start, and a directory that is not writable is noticed now.
        // Rows without declared columns have no table to show yet.
        let is_shown = !fields.is_empty() && part.is_none_or(|part| part.is_shown);
        if log.published.is_none() && is_shown {
            log.publish(false).run()?;
            log.settle();
        }
        Ok(log)
    }

    /// Adds one row to the pending ones, and returns what became of it.
    ///
    /// A value of another kind than its column's goes into a column of its own: `NAME__text`,
    /// `NAME__number`, `NAME__flag`, `NAME__list` or `NAME__time`. A row is rejected only if a declared column has no value that fits
    /// it. What could not be stored is counted in [`stats`](Sink::stats) and in the file.
    pub fn append(&mut self, record: &R, now: Instant) -> Appended {
        let Self { published, largest, .. } = self;
        let mut largest_stored = |column| {
            // Read once for each version of the file, however many rows need it.
            if let Some(known) = largest.get(&column) {
                return known.clone();
            }
            match largest_integer(published.as_deref(), column) {
                // The disk may answer the next time.
                Err(ReadFailure::Storage(error)) => Err(error.to_string()),
                found => {
                    let found = found.map_err(|failure| failure.to_string());
                    largest.insert(column, found.clone());
                    found
                }
            }
        };
        let omitted = match self.rows.push(record, &mut largest_stored) {
            Ok(omitted) => omitted,
            Err(rejection) => {
                self.stats.rejected_rows += 1;
                // mutant: rejected_row_not_counted
                self.accounts.rejected(record.label());
                return Appended::Rejected(self.note_rejection(rejection.to_string()));
            }
        };
        self.pending += 1;
        self.stats.pending_rows = self.pending;
        self.oldest_pending.get_or_insert(now);
        match omitted.last() {
            None => Appended::Whole,
            Some(last) => {
                let reason = format!("the value of `{}` was omitted: {}", last.column, last.why);
                self.count_omitted(&omitted);
                Appended::Incomplete(self.note_rejection(reason))
            }
        }
    }

    fn count_omitted(&mut self, omitted: &[Omission]) {
        for Omission { column, .. } in omitted {
            // mutant: omitted_value_not_counted
            self.accounts.omitted(column);
        }
        self.stats.omitted_values = self.accounts.omitted_values();
    }

    fn note_rejection(&mut self, reason: String) -> Arc<str> {
        let reason: Arc<str> = reason.into();
        self.stats.last_rejection = Some(Arc::clone(&reason));
        reason
    }

    /// The columns of the file: the stored ones first, then those that were added.
    pub fn fields(&self) -> Vec<Field> {
        self.rows.fields()
    }

    /// The length of the published file in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.published.as_ref().map_or(0, |published| published.len)
    }

    /// Whether there is a file.
    pub(crate) fn is_published(&self) -> bool {
        self.published.is_some()
    }

    fn check_process(&self) -> Result<(), WriteError> {
        check_process(&self.home, &self.stats.output_path)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of publishing what was encoded ahead, or else everything that is held now.
    fn publish(&mut self, closes: bool) -> Progress<WriteError> {
        let prepared = if let Turn::Ready(prepared) = mem::take(&mut self.turn) {
            prepared
        } else {
            let plan = self.plan(closes);
            let job = self.encode_job(&plan, self.rows.len(), closes);
            let shape = Arc::clone(&job.shape);
            Prepared { plan, pending: self.pending, shape, source: Source::Here(job) }
        };
        let Prepared { plan, pending, shape, source } = prepared;
        let joined = self.joined(closes, &shape);
        let version = Version {
            kept: self.stored_groups + plan.kept,
            joined: joined.clone(),
            shape: Arc::clone(&shape),
            keys: self.keys(pending, closes),
            coding: self.coding,
            closes,
        };
        let done = Arc::new(Mutex::new(None));
        let done_at = Arc::clone(&done);
        let publication = Publication { plan, pending, shape, closes, joined, done: done_at };
        self.turn = Turn::Publishing(publication);
        let (disk, durability) = (Arc::clone(&self.disk), self.settings.durability);
        let (home, path) = (self.home.clone(), Arc::clone(&self.stats.output_path));
        let is_wide = version.shape.fields.len() > CHUNKS_MANY;
        let idle = (version.joined.is_some() && is_wide).then(|| self.buffers.clone());
        Progress::Work(Box::new(move || {
            // In a child the thread that encodes may not exist.
            check_process(&home, &path)?;
            let encoded = source.get()?;
            // The tables of sixteen groups with ten thousand columns take as much memory as encoding one of them.
            idle.iter().for_each(Buffers::clear);
            let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
            let published =
                disk.publish(&version, &encoded).map_err(|error| error.about(pending))?;
            *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(published);
            match durability {
                // mutant: acknowledged_before_the_name_is_durable
                Durability::Sync => disk.sync_name(),
                Durability::Flush => Ok(()),
            }
        }))
    }

    /// The rows that a plan encodes, which end before row number `end` of those that are held.
    fn encode_job(&self, plan: &Plan, end: usize, closes: bool) -> EncodeJob {
        let mut start = end - plan.written();
        let sealed = start + plan.sealed;
        let mut groups = Vec::with_capacity(plan.rows.len());
        for &rows in &plan.rows {
            let columns = self.rows.copy(&(start..start + rows), self.buffers.take_columns());
            start += rows;
            let is_sealed = closes || start <= sealed;
            let coding = if is_sealed { self.coding } else { self.coding.passing() };
            groups.push(GroupRows { rows, columns, coding });
        }
        let path = self.stats.output_path.to_path_buf();
        EncodeJob { shape: self.shape(), groups, buffers: self.buffers.clone(), path }
    }

    /// The columns of the next version.
    fn shape(&self) -> Arc<Shape> {
        let mut known = self.shape.lock().unwrap_or_else(PoisonError::into_inner);
        let edition = self.rows.edition();
        if let Some((_, shape)) = known.as_ref().filter(|(known, _)| *known == edition) {
            return Arc::clone(shape);
        }
        let stored = self.published.as_deref().map(|published| &*published.shape);
        let shape = Arc::new(Shape::continued(self.rows.fields(), stored));
        *known = Some((edition, Arc::clone(&shape)));
        shape
    }

    /// The work of encoding full groups while a version is being published, if there are any.
    fn encode_ahead(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        let publication = match mem::take(&mut self.turn) {
            Turn::Publishing(publication) => publication,
            other => {
                self.turn = other;
                return None;
            }
        };
        let Some((plan, pending)) = self.look_ahead(&publication) else {
            self.turn = Turn::Publishing(publication);
            return None;
        };
        // Rows that the version under way seals are held until it is published.
        let sealed = publication.plan.sealed;
        // mutant: groups_encoded_ahead_begin_too_early
        let job = self.encode_job(&plan, sealed + plan.written(), false);
        let shape = Arc::clone(&job.shape);
        let (source, encode) = Source::elsewhere(job);
        let prepared = Prepared { plan, pending, shape, source };
        self.turn = Turn::PublishingAhead(publication, prepared);
        Some(Box::new(encode))
    }

    /// Full groups that can be encoded before this version is published, and the number of rows in
    /// them that are pending: they come next if it succeeds.
    fn look_ahead(&self, publication: &Publication) -> Option<(Plan, usize)> {
        if publication.closes {
            return None;
        }
        let mut stack = self.stack.clone();
        stack.apply(&publication.plan);
        let full = self.full();
        let held = stack.rows() + (self.pending - publication.pending);
        // A column that was added meanwhile would change the groups before, too.
        if held < full || !Arc::ptr_eq(&self.shape(), &publication.shape) {
            return None;
        }
        let pending = (held / full * full).saturating_sub(stack.rows());
        Some((stack.plan_seal(pending, full, false), pending))
    }

    /// The work of making what is published survive a power cut.
    fn sync(&self) -> Progress<WriteError> {
        let disk = Arc::clone(&self.disk);
        Progress::Work(Box::new(move || {
            disk.lock().unwrap_or_else(PoisonError::into_inner).sync_name()
        }))
    }

    /// The sealed groups that become one in the next version.
    fn joined(&self, closes: bool, shape: &Arc<Shape>) -> Option<Range<usize>> {
        let published = self.published.as_deref()?;
        if closes || !Arc::ptr_eq(shape, &published.shape) {
            return None;
        }
        let groups = published.groups.get(self.unjoined..self.stored_groups)?;
        let sealed = groups.iter().map(|group| {
            let bytes = group.extents().iter().map(|range| range.end - range.start).sum();
            Sealed { rows: group.rows() as u64, bytes }
        });
        let range = sealed::joined(&sealed.collect::<Vec<_>>())?;
        Some(self.unjoined + range.start..self.unjoined + range.end)
    }

    /// The number of rows in a full group: fewer than were set if rows are large.
    fn full(&self) -> usize {
        let rows_max = self.settings.row_group_bytes_max / self.rows.row_bytes();
        self.settings.row_group_rows_max.min(rows_max.max(1))
    }

    fn costs(&self) -> Costs {
        let footer_bytes = self.rows.columns().len() * CHUNK_FOOTER_BYTES;
        Costs::of(self.full(), self.rows.row_bytes(), footer_bytes)
    }

    fn plan(&self, closes: bool) -> Plan {
        let rows_max = self.full();
        if self.pending == 0 && self.stack.len() <= 1 {
            // Nothing to add and nothing to merge, as in the first version and in some last ones.
            Plan { kept: self.stack.len(), rows: Vec::new(), sealed: 0 }
        } else if closes || self.rows.len() >= rows_max {
            self.stack.plan_seal(self.pending, rows_max, closes)
        } else {
            self.stack.plan(self.pending, &self.costs())
        }
    }

    /// Records how the work that was handed out last has ended.
    fn settle(&mut self) {
        let (publication, prepared) = match mem::take(&mut self.turn) {
            Turn::Publishing(publication) => (publication, None),
            Turn::PublishingAhead(publication, prepared) => (publication, Some(prepared)),
            settled @ (Turn::Resting | Turn::Ready(_)) => {
                self.turn = settled;
                return;
            }
        };
        let Publication { plan, pending, closes, joined, done, .. } = publication;
        let done = done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(done) = done else {
            self.stats.errors += 1;
            self.flushing = None;
            // What was encoded ahead would come after rows that are not in the file.
            // mutant: groups_encoded_ahead_of_a_failure_are_kept
            drop(prepared);
            return;
        };
        let Done { published, took, publishing, bytes_written, full_copies, has_joined, path } =
            done;
        self.turn = prepared.map_or(Turn::Resting, Turn::Ready);
        // mutant: acknowledged_before_the_name_is_durable
        if self.settings.durability == Durability::Sync && !self.disk().is_durable() {
            self.stats.errors += 1;
            self.flushing = None;
        }
        let groups = published.groups.len();
        self.published = Some(published);
        self.largest.clear();
        match joined {
            // What cannot be joined is left as it is, and so are the groups before it.
            Some(range) if !has_joined => self.unjoined = range.end,
            _ => {}
        }
        // Copying groups is work for many versions, as encoding is.
        self.pace.published((!has_joined).then_some(took), Instant::now());
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
        if *self.stats.output_path != *path {
            self.stats.output_path = path.into();
        }
        self.pending -= pending;
        self.stats.pending_rows = self.pending;
        self.flushing = self.flushing.map(|rows| rows.saturating_sub(pending));
        // Rows that arrived meanwhile have waited no longer than the work took.
        self.oldest_pending = (self.pending > 0).then(Instant::now);
    }

    /// The key-value metadata of the footer: `qstore.*`, and what another writer left there, except
    /// for its own description of the columns, which may no longer be true.
    fn keys(&self, pending: usize, closed: bool) -> Vec<KeyValue> {
        let stored = self.published.iter().flat_map(|published| &published.keys);
        let kept = stored.filter(|key| {
            !key.key.starts_with("qstore.") && key.key != "ARROW:schema" && key.key != "pandas"
        });
        let mut keys: Vec<_> = kept.cloned().collect();
        let rows_written = self.stats.rows_written + pending as u64;
        keys.extend(self.accounts.audit(rows_written, closed).keys());
        keys
    }
}

impl<R: Record + Send + 'static> MetricsLog<R> {
    /// Publishes every row appended so far before it returns.
    ///
    /// # Errors
    /// When the rows could not be published; they stay pending.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        while Sink::flush(self)?.run()? {}
        Ok(())
    }

    /// Publishes every row and ends the session: the file is packed and recorded as closed. Nothing
    /// may be appended afterwards.
    ///
    /// # Errors
    /// When the last version could not be published; `close` can be called again.
    pub fn close(&mut self) -> Result<(), WriteError> {
        while Sink::close(self)?.run()? {}
        Ok(())
    }
}

impl<R: Record + Send + 'static> Sink<R> for MetricsLog<R> {
    type Error = WriteError;
    type Stats = WriterStats;

    fn capacity(&self) -> usize {
        let most = self.settings.row_group_bytes_max.saturating_mul(PENDING_GROUPS_MAX);
        // A single row is taken, however large it is.
        let by_bytes = (most / self.rows.row_bytes()).max(1);
        self.settings.pending_rows_max.min(by_bytes).saturating_sub(self.pending)
    }

    fn receive(&mut self, batch: &mut Vec<R>, round: &mut Round<'_>) -> Result<(), WriteError> {
        for record in batch.drain(..) {
            match self.append(&record, round.now()) {
                Appended::Whole => {}
                Appended::Incomplete(why) => round.lose(Loss::Incomplete, record.label(), &why),
                Appended::Rejected(why) => round.lose(Loss::Rejected, record.label(), &why),
            }
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

    fn tick(&mut self, now: Instant) -> Result<Progress<WriteError>, WriteError> {
        self.check_process()?;
        self.settle();
        let Self { pending, oldest_pending, .. } = *self;
        let is_due = self.pace.is_due(pending, oldest_pending, now, &self.settings, self.full());
        if is_due || self.turn.is_prepared() {
            return Ok(self.publish(false));
        }
        // With `Durability::Flush` the name is synced here, when nobody waits for it.
        Ok(if self.disk().is_durable() { Progress::Idle } else { self.sync() })
    }

    fn flush(&mut self) -> Result<Progress<WriteError>, WriteError> {
        self.check_process()?;
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

    fn close(&mut self) -> Result<Progress<WriteError>, WriteError> {
        self.check_process()?;
        self.settle();
        // A session that wrote nothing leaves the file as it was.
        let is_new = self.published.as_ref().is_none_or(|published| published.groups.is_empty());
        let is_touched = self.pending > 0 || self.stats.rows_written > 0 || is_new;
        let has_columns = !self.rows.columns().is_empty();
        if self.turn.is_prepared() {
            return Ok(self.publish(false));
        }
        if is_touched && has_columns && !self.is_closed {
            return Ok(self.publish(true));
        }
        // A clean end is durable, whatever the setting.
        Ok(if self.disk().is_durable() { Progress::Idle } else { self.sync() })
    }

    /// A directory that was removed does not come back.
    fn is_final(&self, error: &WriteError) -> bool {
        matches!(error, WriteError::DirectoryRemoved { .. })
    }

    fn release(&mut self) {
        self.disk().release();
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

/// An error in a child of the process that opened the log.
fn check_process(home: &ForkCheck, path: &Path) -> Result<(), WriteError> {
    if home.is_forked() { Err(WriteError::Forked { path: path.to_path_buf() }) } else { Ok(()) }
}

/// The stored integer of the largest magnitude in a column.
fn largest_integer(published: Option<&Published>, column: usize) -> Result<i64, ReadFailure> {
    let Some(published) = published else { return Ok(0) };
    // The column is not in the file yet, or an earlier row has widened it.
    let Some(DataType::Int64) = published.shape.fields.get(column).map(|field| field.data_type)
    else {
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
mod ahead_tests;
#[cfg(test)]
mod tests;
