//! Many small sealed parts become one, beside the writer and the readers.
//!
//! Anyone who lists the directory must find each row once, and the names change one at a time. So while both the
//! new part and those that it replaces can be listed, a third name can be listed, too: the *plan*, which is
//! named like a part and is not a Parquet file. Every engine fails on it, instead of counting rows twice. It
//! also says what is left to do after a kill. The new part gets a name that no part ever had: a reader that
//! listed the old ones before can never find it.
//!
//! A listing is not one step of the file system. So the plan is there for a while before the new part is, and
//! for a while after the old ones are gone.

use crate::error::{CompactError, OpenError};
use crate::log::appended::Appended;
use crate::log::dataset::names::{self, Parts, Unit};
use crate::log::metrics_log::MetricsLog;
use crate::log::part_of::PartOf;
use crate::log::settings::{Durability, WriterSettings};
use crate::read::reader::MetricsFile;
use plan::Plan;
use qstore_schema::{Field, Row};
use qstore_settings::SettingError;
use qstore_storage::{FileSystem, LocalFs, Lock, Stamp, open_dir};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

mod plan;

/// Longer than anyone takes to list a directory.
const LISTING: Duration = Duration::from_secs(1);

/// What [`compact_rank`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Compacted {
    /// The number of parts that were written.
    pub parts_written: usize,
    /// The number of parts that they replaced.
    pub parts_replaced: usize,
    /// The number of rows in them.
    pub rows: u64,
}

/// Writes consecutive sealed parts of a rank as one, as long as they have at most `part_bytes_max` bytes
/// together, a gigabyte for example. It may run beside the writer of the rank and its readers; nothing happens
/// to open parts, or where less than two parts can be joined.
///
/// Everyone who lists the directory finds each row once. For two seconds for each part that is written, engines
/// that list the directory **fail with an error** about a file `part-NNNNN.compacting.parquet`: read again. An
/// engine that listed it before finds the old parts, or "file not found". After a kill, the next call, or the
/// next session of the rank, does what is left to do.
///
/// ```
/// use qstore_parquet::{DatasetSettings, RankLog, compact_rank};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let mut log = RankLog::<Row>::open(dir, 0, DatasetSettings::default().part_bytes_max(1))?;
/// for step in 0..3 {
///     log.append(&Row::from([("loss", 0.5)]), Instant::now());
///     log.flush()?; // a part each
/// }
/// log.close()?;
/// let compacted = compact_rank(dir, 0, 1 << 30)?;
/// assert_eq!((compacted.parts_replaced, compacted.parts_written, compacted.rows), (3, 1, 3));
/// assert!(dir.join("rank=0/part-00000-00002.parquet").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`CompactError`]; each row is then still found once, or the directory cannot be read until the next call.
pub fn compact_rank(
    dir: impl AsRef<Path>,
    rank: u32,
    part_bytes_max: u64,
) -> Result<Compacted, CompactError> {
    compact_rank_in(Arc::new(LocalFs::new()), dir, rank, part_bytes_max, LISTING)
}

/// As [`compact_rank`], on any file system, with the time that a listing of the directory takes at the most.
///
/// # Errors
/// As [`compact_rank`].
#[expect(clippy::needless_pass_by_value, reason = "as every `open_in`")]
pub fn compact_rank_in(
    storage: Arc<dyn FileSystem>,
    dir: impl AsRef<Path>,
    rank: u32,
    part_bytes_max: u64,
    listing: Duration,
) -> Result<Compacted, CompactError> {
    SettingError::check_min("part_bytes_max", part_bytes_max, 1, "none; a gigabyte is a good size")
        .map_err(OpenError::from)?;
    let dir = dir.as_ref().join(format!("rank={rank}"));
    let storage = open_dir(&storage, &dir)?;
    let lock = lock(&*storage)?.ok_or_else(|| OpenError::AlreadyOpen { path: dir })?;
    let compaction = Compaction { storage, rank, listing, _lock: lock };
    compaction.finish()?;
    compaction.run(part_bytes_max)
}

/// Does what a killed compaction left to do.
pub(super) fn finish(storage: &Arc<dyn FileSystem>, rank: u32) -> Result<(), CompactError> {
    // Otherwise it is still running, in another process.
    let Some(lock) = lock(&**storage)? else { return Ok(()) };
    let storage = Arc::clone(storage);
    Compaction { storage, rank, listing: LISTING, _lock: lock }.finish()
}

fn lock(dir: &dyn FileSystem) -> Result<Option<Box<dyn Lock>>, OpenError> {
    Ok(dir.try_lock(Path::new(names::COMPACTION_LOCK))?)
}

/// A directory in which nobody else compacts.
struct Compaction {
    storage: Arc<dyn FileSystem>,
    rank: u32,
    listing: Duration,
    _lock: Box<dyn Lock>,
}

/// A sealed part that can be joined with others.
struct Source {
    unit: Unit,
    file: MetricsFile,
    stamp: Option<Stamp>,
}

impl Compaction {
    fn run(&self, part_bytes_max: u64) -> Result<Compacted, CompactError> {
        let parts = Parts::list(&*self.storage)?;
        let mut all = Compacted::default();
        let mut batch: Vec<Source> = Vec::new();
        let mut bytes = 0;
        for unit in &parts.units {
            let Some(source) = self.source(unit)? else {
                self.join(&mut batch, &mut all)?;
                continue;
            };
            let len = source.file.published.stored_bytes();
            let is_apart = batch.last().is_some_and(|last| {
                parts.open.range(last.unit.last..unit.first).next().is_some()
                    || !agree(&batch[0].file, &source.file)
            });
            if is_apart || bytes + len > part_bytes_max {
                self.join(&mut batch, &mut all)?;
                bytes = 0;
            }
            bytes += len;
            batch.push(source);
        }
        self.join(&mut batch, &mut all)?;
        Ok(all)
    }

    /// The part, if this crate has written it.
    fn source(&self, unit: &Unit) -> Result<Option<Source>, CompactError> {
        let stamp = self.storage.stamp(&unit.name).unwrap_or_default();
        let file = MetricsFile::open_in(Arc::clone(&self.storage), &unit.name)?;
        let is_ours = file.audit().is_some() && file.unreadable().next().is_none();
        Ok(is_ours.then(|| Source { unit: unit.clone(), file, stamp }))
    }

    /// Writes the parts of the batch as one and replaces them, if there are two at least.
    fn join(&self, batch: &mut Vec<Source>, all: &mut Compacted) -> Result<(), CompactError> {
        let sources = std::mem::take(batch);
        let ([first, .., last], replaced) = (&sources[..], sources.len()) else { return Ok(()) };
        let plan = Plan::new(&first.unit, &last.unit, sources.iter().map(|source| &source.unit));
        let rows = self.write(&plan.hidden, &sources)?;
        let is_unchanged =
            |source: &Source| match (source.stamp, self.storage.stamp(&source.unit.name)) {
                (Some(was), Ok(now)) => now.is_some_and(|now| now.is_unchanged_since(&was)),
                (None, found) => !matches!(found, Ok(None)),
                (_, Err(_)) => false,
            };
        if !sources.iter().all(is_unchanged) {
            self.storage.remove_file(&plan.hidden)?;
            return Err(CompactError::Changed { path: first.unit.name.clone() });
        }
        plan.show(&self.storage)?;
        self.wait();
        self.carry_out(&plan)?;
        *all = Compacted {
            parts_written: all.parts_written + 1,
            parts_replaced: all.parts_replaced + replaced,
            rows: all.rows + rows,
        };
        Ok(())
    }

    /// Writes all rows under a hidden name and reads them back; returns their number.
    fn write(&self, hidden: &Path, sources: &[Source]) -> Result<u64, CompactError> {
        let mut columns: Vec<Field> = Vec::new();
        for field in sources.iter().flat_map(|source| source.file.fields()) {
            if !columns.iter().any(|known| known.name == field.name) {
                columns.push(Field { nullable: true, ..field.clone() });
            }
        }
        let settings = WriterSettings { columns, ..WriterSettings::default() }
            .plain_encoding(true)
            .durability(Durability::Flush)
            .reuse_after(Duration::ZERO);
        let rows_max = settings.row_group_rows_max;
        let part = PartOf { rank: self.rank, is_shown: false, is_live: false };
        let storage = Arc::clone(&self.storage);
        let mut log = MetricsLog::<Row>::open_with(storage, hidden, settings, Some(part))?;
        log.continue_accounts(sources.iter().map(|source| &source.file));
        for source in sources {
            for batch in source.file.batches(&[], 0..u64::MAX)? {
                let batch = batch?;
                for row in batch.iter_rows() {
                    let appended = log.append(&row, Instant::now());
                    if let Appended::Incomplete(why) | Appended::Rejected(why) = appended {
                        let (path, reason) = (source.unit.name.clone(), why.to_string());
                        return Err(CompactError::Other { path, reason });
                    }
                    if log.pending() >= rows_max {
                        log.flush()?;
                    }
                }
            }
        }
        log.close()?;
        drop(log);
        let rows = sources.iter().map(|source| source.file.rows()).sum();
        let file = MetricsFile::open_in(Arc::clone(&self.storage), hidden)?;
        if file.rows() != rows || file.validate()?.is_damaged() {
            let reason = "what was written is not what was read".into();
            return Err(CompactError::Other { path: hidden.to_path_buf(), reason });
        }
        Ok(rows)
    }

    /// Everything from the moment at which the plan can be listed.
    fn carry_out(&self, plan: &Plan) -> Result<(), CompactError> {
        let here = Path::new(".");
        if self.storage.metadata(&plan.hidden)?.is_some() {
            match self.storage.rename_new(&plan.hidden, &plan.public) {
                Err(error) if error.is_unsupported() => {
                    self.storage.rename(&plan.hidden, &plan.public)?;
                }
                renamed => renamed?,
            }
        }
        for name in &plan.replaces {
            match self.storage.remove_file(name) {
                Err(error) if error.is_not_found() => {}
                removed => removed?,
            }
        }
        // mutant: plan_removed_before_the_parts_are_gone
        self.storage.sync_dir(here)?;
        self.wait();
        self.storage.remove_file(&plan.name)?;
        Ok(self.storage.sync_dir(here)?)
    }

    /// Does what a killed compaction left to do, and removes what it left.
    fn finish(&self) -> Result<(), CompactError> {
        let parts = Parts::list(&*self.storage)?;
        for name in &parts.plans {
            let plan = Plan::read(&*self.storage, name)?;
            let is_written = self.storage.metadata(&plan.hidden)?.is_some()
                || self.storage.metadata(&plan.public)?.is_some();
            if is_written {
                self.carry_out(&plan)?;
            } else {
                // The new part was removed by someone; those that it was to replace are still there.
                self.storage.remove_file(name)?;
            }
        }
        for name in &parts.unfinished {
            // The name of a lock disappears with the lock.
            if name.extension().is_some_and(|end| end == "lock") {
                drop(self.storage.try_lock(name)?);
            } else {
                match self.storage.remove_file(name) {
                    Err(error) if error.is_not_found() => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }

    /// Until everyone who has begun to list the directory is done.
    fn wait(&self) {
        if !self.listing.is_zero() {
            thread::sleep(self.listing);
        }
    }
}

/// Whether columns of one name have one type in both.
fn agree(one: &MetricsFile, other: &MetricsFile) -> bool {
    one.fields().iter().all(|field| {
        let mut same = other.fields().iter().filter(|found| found.name == field.name);
        same.all(|found| found.data_type == field.data_type)
    })
}
