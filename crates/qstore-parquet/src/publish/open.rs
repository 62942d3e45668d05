//! Opens a path for writing: takes its lock, removes what a killed writer left, and checks the file.
//!
//! A stored file is never changed here, whatever is wrong with it; at most it is set aside.

use crate::error::OpenError;
use crate::format::chunk::CHUNK_BYTES_MAX;
use crate::format::footer::Footer;
use crate::format::published::Published;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::{ReadFailure, contain};
use crate::format::{footer, leaves};
use crate::publish::disk::known_stamp;
use crate::publish::leftover;
use crate::publish::names::Names;
use crate::publish::ownership::Place;
use crate::publish::recovery;
use crate::publish::recovery::Recovery;
use qstore_schema::{DataType, Field, Schema};
use qstore_storage::{EntryKind, FileHandle, FileSystem, Locking, Stamp, open_dir, parent_of};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// A path that was opened for writing.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) place: Place,
    /// What is published; `None` for a new file.
    pub(crate) published: Option<Published>,
    /// What was wrong with it, if it had to be recovered.
    pub(crate) recovery: Option<Arc<Recovery>>,
}

/// Opens `path` for rows that declare these columns.
pub(crate) fn open(
    storage: &Arc<dyn FileSystem>,
    path: &Path,
    declared: &[Field],
    locking: Locking,
) -> Result<Opened, OpenError> {
    let names = Names::of(&**storage, path)?;
    // From here on everything is done in this directory, whatever happens to its name.
    let dir = open_dir(storage, parent_of(&names.path))?;
    // mutant: second_writer_let_in
    let Some(lock) = locking.try_lock(&*dir, &names.lock)? else {
        return Err(OpenError::AlreadyOpen { path: names.path });
    };
    leftover::settle(&*dir, &names)?;
    let mut place = Place::new(Arc::clone(storage), Arc::clone(&dir), names.clone(), lock, locking);
    let found = match found(&*dir, &names)? {
        Existing::File(found) => *found,
        Existing::Nothing(known) => {
            place.known = known;
            return Ok(Opened { place, published: None, recovery: None });
        }
    };
    let conflict = |reason| OpenError::SchemaConflict { path: names.path.clone(), reason };
    let leaves = leaves::read(found.footer.metadata.file_metadata().schema_descr());
    let fit = leaves.iter().try_for_each(|leaf| leaf.fit().map(drop));
    fit.map_err(conflict)?;
    let fields: Vec<_> = leaves.into_iter().map(|leaf| leaf.field).collect();
    Schema::new(fields.clone()).map_err(|error| conflict(error.to_string()))?;
    check_columns(&fields, declared).map_err(conflict)?;
    let Found { mut file, mut stamp, footer, damage } = found;
    let mut recovery = None;
    if let Some(Damage { reason, end }) = damage {
        let rows = footer.metadata.file_metadata().num_rows() as u64;
        let mended = recovery::replace(&dir, &names, &*file, end, reason, rows)?;
        recovery = Some(Arc::new(mended));
        (file, stamp) = open_file(&*dir, &names.public)?;
    }
    place.known = known_stamp(&*file)?;
    let published = contain(|| Published::found(file, stamp, footer).with_end_sum())
        .map_err(|failure| refused(&names.path, failure))?;
    check_lists(&published).map_err(|failure| refused(&names.path, failure))?;
    Ok(Opened { place, published: Some(published), recovery })
}

/// What has the name of the file.
enum Existing {
    File(Box<Found>),
    /// Nothing, or an empty file, as `tempfile` creates it: it has nothing to lose, but another one that
    /// takes its place may have.
    Nothing(Option<Stamp>),
}

impl Existing {
    fn file(found: Found) -> Self {
        Self::File(Box::new(found))
    }
}

/// An existing file.
struct Found {
    file: Arc<dyn FileHandle>,
    stamp: Option<Stamp>,
    footer: Footer,
    damage: Option<Damage>,
}

/// What is wrong with a file that is whole only up to `end`.
struct Damage {
    reason: String,
    end: u64,
}

fn found(storage: &dyn FileSystem, names: &Names) -> Result<Existing, OpenError> {
    let Names { path, public, .. } = names;
    match storage.metadata(public)? {
        None => return Ok(Existing::Nothing(None)),
        Some(found) if found.kind != EntryKind::File => {
            let reason = "something else has taken its name; name a file";
            return Err(OpenError::BadPath { path: path.clone(), reason });
        }
        Some(found) if found.len == 0 => {
            let empty = open_file(storage, public).ok().and_then(|(file, _)| file.stamp().ok());
            return Ok(Existing::Nothing(empty.filter(Stamp::is_empty)));
        }
        Some(_) => {}
    }
    let (file, stamp) = open_file(storage, public)?;
    let reader = ReadAt::new(Arc::clone(&file))?;
    // A file that could not be read may be whole: only a damaged one is refused, or set aside.
    let reason = match footer::read(&reader) {
        Ok(footer) => return Ok(Existing::file(Found { file, stamp, footer, damage: None })),
        Err(ReadFailure::Storage(error)) => return Err(error.into()),
        // It may be whole, and newer than this crate: nothing before its end can replace it.
        Err(failure @ ReadFailure::Unsupported(_)) => return Err(refused(path, failure)),
        Err(ReadFailure::Damaged(reason)) => reason,
    };
    match recovery::last_whole(&reader) {
        Ok(Some((footer, end))) => {
            Ok(Existing::file(Found { file, stamp, footer, damage: Some(Damage { reason, end }) }))
        }
        Ok(None) => Err(refused(path, ReadFailure::Damaged(reason))),
        Err(failure) => Err(refused(path, failure)),
    }
}

fn refused(path: &Path, failure: ReadFailure) -> OpenError {
    let path = path.to_path_buf();
    match failure {
        ReadFailure::Storage(error) => OpenError::Storage(error),
        ReadFailure::Damaged(reason) => OpenError::NotParquet { path, reason },
        ReadFailure::Unsupported(reason) => OpenError::Unsupported { path, reason },
    }
}

/// Opens the file so that it can be written once it is retired, if its mode permits that.
fn open_file(
    storage: &dyn FileSystem,
    public: &Path,
) -> Result<(Arc<dyn FileHandle>, Option<Stamp>), OpenError> {
    match storage.open_writable(public) {
        Ok(file) => {
            let stamp = file.stamp().ok();
            Ok((file.into(), stamp))
        }
        Err(_) => Ok((storage.open(public)?.into(), None)),
    }
}

/// Whether rows that declare these columns can be added to a file with those.
fn check_columns(stored: &[Field], declared: &[Field]) -> Result<(), String> {
    for field in declared {
        let Some(found) = stored.iter().find(|stored| stored.name == field.name) else { continue };
        if !is_declared_as(found.data_type, field.data_type) {
            return Err(format!(
                "column `{}` holds {} in the file and {} in these rows",
                field.name, found.data_type, field.data_type
            ));
        }
    }
    Ok(())
}

/// A column of lists that are never null becomes one of lists that may be with the first row that has none:
/// then its stored lists are encoded again, which those with null elements cannot be.
fn check_lists(published: &Published) -> Result<(), ReadFailure> {
    for (column, leaf) in published.shape.leaves.iter().enumerate() {
        for group in (0..published.groups.len()).filter(|_| leaf.may_lack_elements()) {
            match published.values(group, column, CHUNK_BYTES_MAX) {
                // What is damaged is found when it is read.
                Ok(_) | Err(ReadFailure::Damaged(_)) => {}
                Err(failure) => return Err(failure.at(&format!("column `{}`", leaf.field.name))),
            }
        }
    }
    Ok(())
}

/// Whether a stored column takes every value of a declared one: it has the same type, or times whose
/// counts it stores.
fn is_declared_as(stored: DataType, declared: DataType) -> bool {
    match (stored, declared) {
        (DataType::Timestamp { .. }, DataType::Int64) => true,
        (
            DataType::Timestamp { unit: stored, is_utc },
            DataType::Timestamp { unit, is_utc: is_declared_utc },
        ) => is_utc == is_declared_utc && stored.per_second() >= unit.per_second(),
        _ => stored == declared,
    }
}

/// The columns of the file from now on: the stored ones, then those that are declared for the first
/// time, which are null in the stored rows.
pub(crate) fn merged(published: Option<&Published>, declared: &[Field]) -> Vec<Field> {
    let Some(published) = published else { return declared.to_vec() };
    let mut fields = published.shape.fields.clone();
    let known: HashSet<_> = published.shape.fields.iter().map(|field| &field.name).collect();
    for field in declared {
        if !known.contains(&field.name) {
            let nullable = field.nullable || published.rows() > 0;
            fields.push(Field { nullable, ..field.clone() });
        }
    }
    fields
}
