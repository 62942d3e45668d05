//! What a killed writer left under the hidden name.
//!
//! It is a version that was being written, or the one before: the public name has led to a whole file all the
//! time, so it is removed. Unless the writer was killed between an exchange that took the public name away from
//! something else and the exchange that would have given it back: then it is somebody else's, and is kept.

use crate::error::OpenError;
use crate::format::footer::{self, MAGIC};
use crate::format::read_at::ReadAt;
use crate::format::read_failure::ReadFailure;
use crate::publish::names::Names;
use qstore_storage::{EntryKind, FileSystem, parent_of};
use std::ffi::OsString;
use std::path::PathBuf;

/// Removes a leftover of ours. Anything else gets the public name back, or `NAME.displaced-N` if that is taken.
///
/// # Errors
/// If it cannot be read, removed or renamed.
pub(crate) fn settle(dir: &dyn FileSystem, names: &Names) -> Result<(), OpenError> {
    let Some(found) = dir.metadata(&names.hidden)? else { return Ok(()) };
    // mutant: foreign_leftover_of_a_log_removed
    if found.kind == EntryKind::File && is_ours(dir, names)? {
        return Ok(dir.remove_file(&names.hidden)?);
    }
    Ok(give_back(dir, names)?)
}

/// Whether it can have been written by a metrics log: a whole file of ours, or one that was being written.
fn is_ours(dir: &dyn FileSystem, names: &Names) -> Result<bool, OpenError> {
    let file = ReadAt::new(dir.open(&names.hidden)?.into())?;
    let len = file.len().min(MAGIC.len() as u64) as usize;
    let head = match file.bytes(0, len) {
        Ok(head) => head,
        Err(ReadFailure::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(false),
    };
    // What is written to the end first has nothing at its beginning.
    if head != MAGIC[..len] && head.iter().any(|byte| *byte != 0) {
        return Ok(false);
    }
    match footer::read(&file) {
        Ok(footer) => {
            let by = footer.metadata.file_metadata().created_by().unwrap_or_default();
            Ok(by.starts_with(env!("CARGO_PKG_NAME")))
        }
        Err(ReadFailure::Storage(error)) => Err(error.into()),
        Err(ReadFailure::Damaged(_)) => Ok(true),
        // A footer of ours that a power cut tore can look like one of a kind that this version cannot read. One
        // whose checksum is right is whole: a later version wrote it.
        // mutant: leftover_of_a_later_version_removed
        Err(ReadFailure::Unsupported(_)) => Ok(!is_sealed(&file) && names_us(&file)),
    }
}

/// Whether its footer has a checksum that agrees with it.
fn is_sealed(file: &ReadAt) -> bool {
    footer::Sealed::read(file).is_ok_and(|sealed| sealed.is_guarded())
}

/// Whether the end of the file has our name in it, as every footer of ours does.
fn names_us(file: &ReadAt) -> bool {
    const END: u64 = 64 << 10;
    let name = env!("CARGO_PKG_NAME").as_bytes();
    let len = file.len().min(END);
    file.bytes(file.len() - len, len as usize)
        .is_ok_and(|end| end.windows(name.len()).any(|window| window == name))
}

/// Gives what is not ours a name that nothing has.
fn give_back(dir: &dyn FileSystem, names: &Names) -> qstore_storage::Result<()> {
    const ATTEMPTS: usize = 1000;
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let public = match attempt {
            0 => names.public.clone(),
            _ => displaced(names, attempt),
        };
        match dir.link(&names.hidden, &public) {
            Ok(()) => {
                dir.sync_dir(parent_of(&public))?;
                return dir.remove_file(&names.hidden);
            }
            Err(error) if error.is_already_exists() => last = Some(error),
            // A directory, or a file system without links.
            Err(_) if dir.metadata(&public)?.is_none() => {
                dir.rename(&names.hidden, &public)?;
                return dir.sync_dir(parent_of(&public));
            }
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), Err)
}

fn displaced(names: &Names, number: usize) -> PathBuf {
    let mut name = OsString::from(&names.public);
    name.push(format!(".displaced-{number}"));
    name.into()
}
