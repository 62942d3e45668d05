//! Opens a path for writing: takes its lock, removes what a killed writer left, and checks the file.
//!
//! A stored file is never changed here, whatever is wrong with it; at most it is set aside.

use crate::error::OpenError;
use crate::format::footer::Footer;
use crate::format::published::Published;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::{ReadFailure, contain};
use crate::format::{columns, footer};
use crate::publish::names::Names;
use crate::publish::recovery;
use crate::publish::recovery::Recovery;
use qstore_schema::{Field, Schema};
use qstore_storage::{FileHandle, FileSystem, Lock, Locking, Stamp};
use std::path::Path;
use std::sync::Arc;

/// A path that was opened for writing.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) names: Names,
    pub(crate) lock: Box<dyn Lock>,
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
    // mutant: second_writer_let_in
    let Some(lock) = locking.try_lock(&**storage, &names.lock)? else {
        return Err(OpenError::AlreadyOpen { path: names.public });
    };
    // A killed writer left it. The public name has led to a whole file all the time, so this is never
    // the only copy; if there is no public file now, someone has removed it.
    if storage.metadata(&names.hidden)?.is_some() {
        storage.remove_file(&names.hidden)?;
    }
    let Some(found) = found(&**storage, &names.public)? else {
        return Ok(Opened { names, lock, published: None, recovery: None });
    };
    let conflict = |reason| OpenError::SchemaConflict { path: names.public.clone(), reason };
    let fields = columns::read(found.footer.metadata.file_metadata().schema_descr());
    let fields = fields.map_err(conflict)?;
    Schema::new(fields.clone()).map_err(|error| conflict(error.to_string()))?;
    check_columns(&fields, declared).map_err(conflict)?;
    let Found { mut file, mut stamp, footer, damage } = found;
    let mut recovery = None;
    if let Some(Damage { reason, end }) = damage {
        let rows = footer.metadata.file_metadata().num_rows() as u64;
        let mended = recovery::replace(storage, &names, &*file, end, reason, rows)?;
        recovery = Some(Arc::new(mended));
        (file, stamp) = open_file(&**storage, &names.public)?;
    }
    let published = contain(|| Ok(Published::found(file, stamp, footer, fields)?))
        .map_err(|failure| not_parquet(&names.public, failure))?;
    Ok(Opened { names, lock, published: Some(published), recovery })
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

fn found(storage: &dyn FileSystem, public: &Path) -> Result<Option<Found>, OpenError> {
    match storage.metadata(public)? {
        // An empty file, as `tempfile` creates it, has nothing to lose.
        None => return Ok(None),
        Some(found) if found.len == 0 => return Ok(None),
        Some(_) => {}
    }
    let (file, stamp) = open_file(storage, public)?;
    let reader = ReadAt::new(Arc::clone(&file))?;
    // A file that could not be read may be whole: only a damaged one is refused, or set aside.
    let reason = match footer::read(&reader) {
        Ok(footer) => return Ok(Some(Found { file, stamp, footer, damage: None })),
        Err(ReadFailure::Storage(error)) => return Err(error.into()),
        Err(ReadFailure::Damaged(reason)) => reason,
    };
    match recovery::last_whole(&reader) {
        Ok(Some((footer, end))) => {
            Ok(Some(Found { file, stamp, footer, damage: Some(Damage { reason, end }) }))
        }
        Ok(None) => Err(not_parquet(public, ReadFailure::Damaged(reason))),
        Err(failure) => Err(not_parquet(public, failure)),
    }
}

fn not_parquet(path: &Path, failure: ReadFailure) -> OpenError {
    match failure {
        ReadFailure::Storage(error) => OpenError::Storage(error),
        ReadFailure::Damaged(reason) => OpenError::NotParquet { path: path.to_path_buf(), reason },
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
        if found.data_type != field.data_type {
            return Err(format!(
                "column `{}` holds {} in the file and {} in these rows",
                field.name, found.data_type, field.data_type
            ));
        }
        if field.nullable && !found.nullable {
            return Err(format!(
                "column `{}` may be null in these rows but not in the file",
                field.name
            ));
        }
    }
    // Rows without declared columns may turn out to have what the file requires.
    let is_known =
        |name: &str| declared.is_empty() || declared.iter().any(|field| field.name == name);
    match stored.iter().find(|stored| !stored.nullable && !is_known(&stored.name)) {
        Some(missing) => {
            Err(format!("the file requires a value in `{}`, which these rows lack", missing.name))
        }
        None => Ok(()),
    }
}

/// The columns of the file from now on: the stored ones, then those that are declared for the first
/// time, which are null in the stored rows.
pub(crate) fn merged(published: Option<&Published>, declared: &[Field]) -> Vec<Field> {
    let Some(published) = published else { return declared.to_vec() };
    let mut fields = published.fields.clone();
    for field in declared {
        if !fields.iter().any(|stored| stored.name == field.name) {
            let nullable = field.nullable || published.rows() > 0;
            fields.push(Field { nullable, ..field.clone() });
        }
    }
    fields
}
