//! Recovers a file whose end was damaged by another program: finds the last whole version in it.
//!
//! A crash never leaves a file of this crate in such a state. But files are truncated by copies that did
//! not finish, and appended to by mistake. The damaged file is set aside, never changed and never
//! removed.

use crate::error::OpenError;
use crate::format::entry::range_of;
use crate::format::footer::{self, Footer, MAGIC, Sealed};
use crate::format::read_at::ReadAt;
use crate::format::read_failure::ReadFailure;
use crate::publish::names::Names;
use qstore_storage::{FileHandle, FileSystem, StagedFile, parent_of};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of bytes that are searched at a time.
const BLOCK: u64 = 1 << 16;

/// The maximum number of endings that are tried: data may contain the four letters by chance or on
/// purpose.
const CANDIDATES_MAX: usize = 10_000;

/// The maximum number of bytes that are read in total, as a multiple of the file's length, plus an
/// allowance for small files: each ending may claim a footer as long as the file, and each footer may
/// claim chunks all over it.
const LENGTHS_MAX: u64 = 8;
const BYTES_FREE: u64 = 64 << 20;

/// The recovery of a file whose end was damaged by another program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// What was wrong with the file.
    pub reason: String,
    /// Where the damaged file was set aside, unchanged.
    pub aside: PathBuf,
    /// The number of rows in the last whole version; the file was continued from there.
    pub rows: u64,
    /// The number of bytes after that version.
    pub bytes_lost: u64,
}

/// The last version in the file whose footer and chunks are whole, and where it ends.
pub(crate) fn last_whole(file: &ReadAt) -> Result<Option<(Footer, u64)>, ReadFailure> {
    let (mut end, mut tried) = (file.len(), 0);
    let mut left = file.len().saturating_mul(LENGTHS_MAX).saturating_add(BYTES_FREE);
    while end > MAGIC.len() as u64 && tried < CANDIDATES_MAX {
        let start = end.saturating_sub(BLOCK);
        // Letters that cross the border are found with the block before.
        let length = (file.len().min(end + MAGIC.len() as u64 - 1) - start) as usize;
        let block = file.bytes(start, length)?;
        let found = block.windows(MAGIC.len()).enumerate().filter(|(_, four)| *four == MAGIC);
        let found: Vec<_> =
            found.map(|(offset, _)| start + (offset + MAGIC.len()) as u64).collect();
        for ends in found.into_iter().rev() {
            tried += 1;
            let claimed = footer::claimed_len(file, ends)?.unwrap_or(0);
            let Some(rest) = left.checked_sub(claimed) else { return Ok(None) };
            left = rest;
            let Some(footer) = footer_at(file, ends)? else { continue };
            let Some(rest) = left.checked_sub(ends) else { return Ok(None) };
            left = rest;
            if is_whole(file, &footer)? {
                return Ok(Some((footer, ends)));
            }
        }
        end = start;
    }
    Ok(None)
}

/// The footer that ends there, if one does.
fn footer_at(file: &ReadAt, end: u64) -> Result<Option<Footer>, ReadFailure> {
    let sealed = match Sealed::read(&file.up_to(end)) {
        Ok(sealed) => sealed,
        Err(failure @ ReadFailure::Storage(_)) => return Err(failure),
        Err(_) => return Ok(None),
    };
    let is_guarded = sealed.is_guarded();
    match sealed.decode() {
        Ok(footer) => Ok(Some(footer)),
        Err(failure @ ReadFailure::Storage(_)) => Err(failure),
        // A later version of this crate wrote it: an earlier footer cannot replace it. Without a checksum
        // it is more likely a chance match.
        // mutant: later_version_recovered_to_an_earlier_one
        Err(failure @ ReadFailure::Unsupported(_)) if is_guarded => Err(failure),
        Err(_) => Ok(None),
    }
}

/// Whether the chunks match their checksums, as far as they have any.
fn is_whole(file: &ReadAt, footer: &Footer) -> Result<bool, ReadFailure> {
    for (group, sums) in footer.metadata.row_groups().iter().zip(&footer.checksums) {
        for (chunk, sum) in group.columns().iter().zip(sums) {
            let Some(sum) = *sum else { continue };
            let range = range_of(chunk);
            let bytes = file.bytes(range.start, (range.end - range.start) as usize)?;
            // mutant: recovery_without_checksums
            if crc32c::crc32c(&bytes) != sum {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Sets the damaged file aside and puts the version that ends at `end` in its place.
pub(crate) fn replace(
    storage: &Arc<dyn FileSystem>,
    names: &Names,
    damaged: &dyn FileHandle,
    end: u64,
    reason: String,
    rows: u64,
) -> Result<Recovery, OpenError> {
    let mut whole = StagedFile::replacing(storage, &names.hidden, &names.public)?;
    let mut block = vec![0; BLOCK as usize];
    while whole.len() < end {
        let count = (end - whole.len()).min(BLOCK) as usize;
        damaged.read_at(whole.len(), &mut block[..count])?;
        whole.append(&block[..count])?;
    }
    let aside = names.path.with_file_name(set_aside(storage, names)?);
    whole.commit(&names.public)?;
    Ok(Recovery { reason, aside, rows, bytes_lost: damaged.len()? - end })
}

/// Gives the public file a second name, or renames it where a file can have only one name.
fn set_aside(storage: &Arc<dyn FileSystem>, names: &Names) -> Result<PathBuf, OpenError> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let name = names.public.file_name().unwrap_or_default();
    for attempt in 0.. {
        let mut aside = OsString::from(name);
        aside.push(format!(".corrupt-{}", seconds + attempt));
        let aside = names.public.with_file_name(aside);
        match storage.link(&names.public, &aside) {
            Err(error) if error.is_already_exists() => continue,
            Err(_) if storage.metadata(&aside)?.is_none() => {
                storage.rename(&names.public, &aside)?;
            }
            linked => linked?,
        }
        // mutant: recovery_aside_not_synced
        storage.sync_dir(parent_of(&aside))?;
        return Ok(aside);
    }
    unreachable!("the loop ends only by returning")
}
