//! The upload of one finished file, part by part, each read from the disk when its turn comes. So it takes
//! little memory, can be repeated, and goes on after a restart.

use super::error::MirrorFailure;
use super::journal::{Journal, Underway};
use crate::repository::ObjectRepository;
use qstore_checkpoint::repository::{FileSource, Repository};
use qstore_objects::{Etag, Settled, StoreError, Upload, Written};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The end of a file that identifies it. The manifest is there, with the checksums of the rest.
const END: u64 = 64 << 10;
/// The most parts that are used; a store takes 10 000.
const PARTS: u64 = 9_000;

/// What one upload works with.
#[derive(Debug)]
pub(super) struct Uploader<'a> {
    pub(super) bucket: &'a ObjectRepository,
    pub(super) local: &'a dyn Repository,
    pub(super) in_flight: usize,
    pub(super) stop: &'a AtomicBool,
}

impl Uploader<'_> {
    /// Uploads a file of the local repository under its name, or goes on with that. After an error, the
    /// journal has what is needed to go on.
    pub(super) fn upload(
        &self,
        journal: &mut Journal,
        file: &dyn FileSource,
        name: &str,
    ) -> Result<(Etag, u64), MirrorFailure> {
        let done = self.upload_now(journal, file, name);
        self.note_orphans(journal);
        done
    }

    fn upload_now(
        &self,
        journal: &mut Journal,
        file: &dyn FileSource,
        name: &str,
    ) -> Result<(Etag, u64), MirrorFailure> {
        let (store, len) = (self.bucket.store(), file.len()?);
        let end_crc32c = end_of(file, len)?;
        let is_it = |known: &Underway| {
            known.name == name && known.len == len && known.end_crc32c == end_crc32c
        };
        if journal.upload.as_ref().is_some_and(|known| !is_it(known)) {
            self.give_up(journal)?;
        }
        let is_resumed = journal.upload.is_some();
        if !is_resumed {
            let part_bytes = self.bucket.settings().part_bytes.max(len.div_ceil(PARTS));
            let key = self.bucket.key_of(name);
            let underway = Underway::new(name, &key, len, end_crc32c, part_bytes);
            let token = underway.token().expect("it was made from one");
            journal.upload = Some(underway);
            // mutant: mirror_begins_before_its_journal
            let begun = journal.write(self.local).map_err(MirrorFailure::from);
            let begun = begun.and_then(|()| Ok(store.begin(&key, &token)?));
            match (begun, &mut journal.upload) {
                (Ok(upload), Some(underway)) => underway.begun(&upload),
                (Err(error), upload) => {
                    *upload = None;
                    return Err(error);
                }
                (Ok(_), None) => unreachable!("it was set above"),
            }
            // Without it the identifier would be lost with this process.
            if let Err(error) = journal.write(self.local) {
                self.give_up(journal)?;
                return Err(error.into());
            }
        }
        if let Some(etag) = self.send_parts(journal, file)? {
            return Ok((etag, len));
        }
        self.complete(journal, is_resumed)
    }

    fn complete(
        &self,
        journal: &mut Journal,
        is_resumed: bool,
    ) -> Result<(Etag, u64), MirrorFailure> {
        let underway = journal.upload.as_ref().expect("an upload is under way");
        let (upload, len) = (underway.upload().expect("it was begun"), underway.len);
        let tags: Vec<String> = underway.parts.values().cloned().collect();
        let written = self.bucket.store().complete(&upload, &tags, len, is_resumed);
        if !matches!(written, Err(StoreError::Unsettled(_))) {
            // Committed, replaced, or refused for good: this upload is over, or among the orphans.
            journal.upload = None;
            self.note_orphans(journal);
            // If this fails, the next process finds that it is over.
            let _ = journal.write(self.local);
        }
        match written? {
            Written::Committed { etag } => Ok((etag, len)),
            Written::Taken { .. } => Err(MirrorFailure::Taken { name: upload.key }),
        }
    }

    /// Ends an upload that is of no use anymore.
    pub(super) fn give_up(&self, journal: &mut Journal) -> Result<Option<Settled>, MirrorFailure> {
        let Some(upload) = journal.upload.as_ref().and_then(Underway::upload) else {
            journal.upload = None;
            return Ok(None);
        };
        let settled = self.bucket.store().abandon(&upload)?;
        journal.upload = None;
        self.note_orphans(journal);
        let _ = journal.write(self.local); // it would be found to be over
        Ok(Some(settled))
    }

    fn note_orphans(&self, journal: &mut Journal) {
        let orphans = self.bucket.store().orphans();
        if journal.orphans != orphans {
            journal.orphans = orphans;
            let _ = journal.write(self.local); // again with the next one
        }
    }

    /// Uploads the parts that are missing, some at a time. Returns the tag of the object if it turns out that
    /// it was completed before.
    fn send_parts(
        &self,
        journal: &mut Journal,
        file: &dyn FileSource,
    ) -> Result<Option<Etag>, MirrorFailure> {
        let underway = journal.upload.as_ref().expect("an upload is under way");
        let upload = underway.upload().expect("it was begun");
        let (len, part_bytes) = (underway.len, underway.part_bytes);
        let count = len.div_ceil(part_bytes) as u32;
        let missing = (1..=count).filter(|number| !underway.parts.contains_key(number));
        let missing: Mutex<Vec<u32>> = Mutex::new(missing.rev().collect());
        let (failure, journal) = (Mutex::new(None), Mutex::new(journal));
        let lock =
            |number: &Mutex<Vec<u32>>| number.lock().unwrap_or_else(PoisonError::into_inner).pop();
        thread::scope(|scope| {
            for _ in 0..self.in_flight.min(count as usize).max(1) {
                scope.spawn(|| {
                    let mut part = Vec::new();
                    while let Some(number) = lock(&missing) {
                        let sent = self.send(&upload, file, number, len, part_bytes, &mut part);
                        match sent {
                            Ok(tag) => {
                                let mut journal =
                                    journal.lock().unwrap_or_else(PoisonError::into_inner);
                                if let Some(underway) = &mut journal.upload {
                                    underway.parts.insert(number, tag);
                                }
                                // A part that is not noted is only sent again.
                                let _ = journal.write(self.local);
                            }
                            Err(error) => {
                                let mut failure =
                                    failure.lock().unwrap_or_else(PoisonError::into_inner);
                                failure.get_or_insert(error);
                                missing.lock().unwrap_or_else(PoisonError::into_inner).clear();
                            }
                        }
                    }
                });
            }
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        let journal = journal.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failure {
            None => Ok(None),
            // Aborted by a lifecycle rule, or completed by the process before this one.
            Some(MirrorFailure::Store(StoreError::NotFound { key })) => {
                match self.give_up(journal)? {
                    Some(Settled::Committed { etag }) => Ok(Some(etag)),
                    _ => Err(StoreError::NotFound { key }.into()),
                }
            }
            Some(error) => Err(error),
        }
    }

    fn send(
        &self,
        upload: &Upload,
        file: &dyn FileSource,
        number: u32,
        len: u64,
        part_bytes: u64,
        part: &mut Vec<u8>,
    ) -> Result<String, MirrorFailure> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(MirrorFailure::Stopped);
        }
        let begins = u64::from(number - 1) * part_bytes;
        part.resize((len - begins).min(part_bytes) as usize, 0);
        file.read_at(begins, part)?;
        Ok(self.bucket.store().part(upload, number, part)?)
    }
}

/// The checksum of the end of a file.
fn end_of(file: &dyn FileSource, len: u64) -> Result<u32, MirrorFailure> {
    let mut end = vec![0; len.min(END) as usize];
    file.read_at(len - end.len() as u64, &mut end)?;
    Ok(crc32c::crc32c(&end))
}
