//! A checkpoint in one file: a zip archive whose entries are stored, not deflated.
//!
//! This does not use the `zip` crate, for three reasons. A [`FileDraft`] is append-only, while the crate
//! seeks back to fill in headers, or makes an extra copy of every entry to avoid that. Chunks are read at
//! their offsets by several threads, which the crate's single cursor does not allow. And the reader below
//! can be strict: it takes the few facts that matter (names, lengths, CRC-32) from the central directory,
//! derives every other byte of the archive from them as the writer would have written it, and compares.
//! So a hostile archive cannot be interpreted in two ways: there are no gaps, no overlaps, and no byte
//! that could change undetected.
//!
//! The data of every entry starts at a multiple of 64 bytes, so that raw chunks can be memory-mapped.
//! Times are fixed (1980-01-01), so that equal content gives equal bytes. An archive with more than 65,534
//! entries, or of 4 GiB or more, has zip64 records; a single entry is always smaller than 4 GiB.

use crate::container::zip_format::{self, Entry, Trailer};
use crate::format::aligned::{NoMemory, grow_to};
use qstore_checkpoint::repository::{FileDraft, FileSource, Repository};
use qstore_checkpoint::{Damage, LoadError, SaveError};
use std::collections::HashMap;

/// The largest directory, manifest or metadata document that is read into memory.
pub(crate) const DOCUMENT_MAX: u64 = 1 << 30;

/// Appends entries to a file draft.
#[derive(Debug)]
pub(crate) struct ArchiveWriter {
    draft: Box<dyn FileDraft>,
    entries: Vec<Entry>,
    scratch: Vec<u8>,
}

impl ArchiveWriter {
    pub(crate) fn new(draft: Box<dyn FileDraft>) -> Self {
        Self { draft, entries: Vec::new(), scratch: Vec::new() }
    }

    /// Appends one entry, given in parts. The caller has computed its CRC-32, on the thread that encoded
    /// the entry.
    pub(crate) fn append(
        &mut self,
        name: String,
        crc32: u32,
        parts: &[&[u8]],
    ) -> Result<(), SaveError> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let len = u32::try_from(total).expect("a chunk is at most 1 GiB, a document smaller");
        let entry = Entry { name, crc32, len, header_offset: self.draft.len() };
        self.scratch.clear();
        zip_format::local_header(&entry, &mut self.scratch);
        self.draft.append(&self.scratch)?;
        for part in parts {
            self.draft.append(part)?;
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Appends one entry that will be read as a whole.
    pub(crate) fn append_document(&mut self, name: String, data: &[u8]) -> Result<(), SaveError> {
        check_document_len(&name, data.len())?;
        self.append(name, crc32fast::hash(data), &[data])
    }

    /// Appends the central directory. The file is then complete and can be committed.
    pub(crate) fn finish(mut self) -> Result<Box<dyn FileDraft>, SaveError> {
        let offset = self.draft.len();
        self.scratch.clear();
        for entry in &self.entries {
            zip_format::central_record(entry, &mut self.scratch);
        }
        check_document_len("the archive's directory", self.scratch.len())?;
        let len = self.scratch.len() as u64;
        let trailer = Trailer { count: self.entries.len() as u64, len, offset };
        trailer.write(&mut self.scratch);
        self.draft.append(&self.scratch)?;
        Ok(self.draft)
    }
}

/// Refuses to write a document that a reader would refuse.
pub(crate) fn check_document_len(what: &str, len: usize) -> Result<(), SaveError> {
    let len = len as u64;
    if len > DOCUMENT_MAX {
        return Err(SaveError::TooLarge { what: what.into(), len, limit: DOCUMENT_MAX });
    }
    Ok(())
}

/// An open archive, readable from any number of threads.
#[derive(Debug)]
pub(crate) struct Archive {
    file: Box<dyn FileSource>,
    location: String,
    len: u64,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl Archive {
    /// Opens an archive and reads its directory.
    pub(crate) fn open(repository: &dyn Repository, name: &str) -> Result<Self, LoadError> {
        let location = format!("{}/{name}", repository.location());
        Self::of(repository.open_file(name)?, location)
    }

    /// Reads the directory of an archive that is open.
    pub(crate) fn of(file: Box<dyn FileSource>, location: String) -> Result<Self, LoadError> {
        let len = file.len()?;
        let mut archive =
            Self { file, location, len, entries: Vec::new(), by_name: HashMap::new() };
        archive.read_directory()?;
        Ok(archive)
    }

    fn read_directory(&mut self) -> Result<(), LoadError> {
        // bounded: TRAILER_MAX
        let mut tail = vec![0; self.len.min(zip_format::TRAILER_MAX as u64) as usize];
        self.file.read_at(self.len - tail.len() as u64, &mut tail)?;
        let trailer =
            Trailer::read(&tail, self.len).ok_or_else(|| self.broken("its end is malformed"))?;
        if trailer.len > DOCUMENT_MAX {
            let len = trailer.len;
            return Err(self.broken(&format!(
                "its directory has {len} bytes, more than the limit of {DOCUMENT_MAX}"
            )));
        }
        let mut directory = Vec::new();
        self.grow(&mut directory, trailer.len as usize, "its directory")?;
        self.file.read_at(trailer.offset, &mut directory)?;
        let entries = zip_format::read_directory(&directory, &trailer);
        self.entries = entries.ok_or_else(|| self.broken("its directory is malformed"))?;
        for (index, entry) in self.entries.iter().enumerate() {
            if self.by_name.insert(entry.name.clone(), index).is_some() {
                return Err(self.broken("two entries have the same name"));
            }
        }
        Ok(())
    }

    /// The file's length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file can no longer be read, because its name was replaced or removed.
    pub(crate) fn is_replaced(&self) -> bool {
        self.file.is_replaced()
    }

    /// Announces that these entries will be read, each once.
    pub(crate) fn announce(&self, indices: impl Iterator<Item = usize>) {
        let range = |index: usize| {
            let entry = &self.entries[index];
            let len = entry.header_len() as u64 + u64::from(entry.len);
            entry.header_offset..entry.header_offset + len
        };
        self.file.announce(&indices.map(range).collect::<Vec<_>>());
    }

    /// The entries in the order they were written.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The index of the entry with this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The data of an entry. `buffer` is scratch memory that is reused from one read to the next.
    pub(crate) fn read<'b>(
        &self,
        index: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], LoadError> {
        let entry = &self.entries[index];
        let header_len = entry.header_len();
        let len = header_len + entry.len as usize;
        self.grow(buffer, len, &entry.name)?;
        self.file.read_at(entry.header_offset, &mut buffer[..len])?;
        let mut header = Vec::new();
        zip_format::local_header(entry, &mut header);
        // mutant: zip_header_not_compared
        if header != buffer[..header_len] {
            return Err(self.broken("the header of an entry is malformed"));
        }
        Ok(&buffer[header_len..len])
    }

    /// The data of an entry that is not a chunk.
    pub(crate) fn read_document(&self, index: usize) -> Result<Vec<u8>, LoadError> {
        let len = u64::from(self.entries[index].len);
        if len > DOCUMENT_MAX {
            return Err(self.broken(&format!(
                "an entry has {len} bytes, more than the limit of {DOCUMENT_MAX}"
            )));
        }
        let mut buffer = Vec::new();
        Ok(self.read(index, &mut buffer)?.to_vec())
    }

    fn grow(&self, buffer: &mut Vec<u8>, len: usize, what: &str) -> Result<(), LoadError> {
        grow_to(buffer, len).map_err(|NoMemory| LoadError::OutOfMemory {
            location: self.location.clone(),
            what: what.into(),
            needed: len as u64,
        })
    }

    fn broken(&self, reason: &str) -> LoadError {
        let damage = Damage::Archive { reason: reason.into() };
        LoadError::Damaged { location: self.location.clone(), damage }
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_checkpoint::repository::{MemoryRepository, read_all};

    const NAME: &str = "a.zip";

    /// Regression: the reader has a limit and the writer has none, so a checkpoint that no load accepts is
    /// reported durable, and its predecessors are removed.
    #[test]
    fn a_document_too_large_to_read_back_is_not_written() {
        assert!(check_document_len("zarr.json", DOCUMENT_MAX as usize).is_ok());
        let error = check_document_len("zarr.json", DOCUMENT_MAX as usize + 1);
        assert!(matches!(error, Err(SaveError::TooLarge { .. })));
    }

    fn write(entries: &[(&str, &[u8])]) -> MemoryRepository {
        let repository = MemoryRepository::new();
        let mut writer = ArchiveWriter::new(repository.begin_file(NAME).unwrap());
        for (name, data) in entries {
            writer.append_document((*name).into(), data).unwrap();
        }
        drop(writer.finish().unwrap().commit().unwrap());
        repository
    }

    fn bytes_of(repository: &MemoryRepository) -> Vec<u8> {
        read_all(repository, NAME, u64::MAX).unwrap().unwrap()
    }

    fn read(repository: &MemoryRepository) -> Result<Vec<(String, Vec<u8>)>, LoadError> {
        let archive = Archive::open(repository, NAME)?;
        (0..archive.entries().len())
            .map(|index| Ok((archive.entries()[index].name.clone(), archive.read_document(index)?)))
            .collect()
    }

    #[test]
    fn entries_come_back_and_their_data_is_aligned() {
        let long = vec![7; 100_000];
        let entries = [("a/b", &b"text"[..]), ("empty", b""), ("zarr.json", &long)];
        let memory = write(&entries);
        let archive = Archive::open(&memory, NAME).unwrap();
        for (index, (name, data)) in entries.iter().enumerate() {
            let entry = &archive.entries()[index];
            assert_eq!((entry.header_offset + entry.header_len() as u64) % 64, 0);
            assert_eq!(archive.find(name), Some(index));
            assert_eq!(archive.read(index, &mut Vec::new()).unwrap(), *data);
        }
        assert_eq!(archive.find("none"), None);
    }

    #[test]
    fn equal_content_gives_equal_bytes() {
        let bytes = || bytes_of(&write(&[("a", b"1"), ("b", b"2")]));
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn an_archive_may_have_more_entries_than_a_plain_zip_can_count() {
        let names: Vec<String> = (0..70_000).map(|number| format!("c/{number}")).collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"x"[..])).collect();
        let memory = write(&entries);
        let archive = Archive::open(&memory, NAME).unwrap();
        assert_eq!(archive.entries().len(), 70_000);
        assert_eq!(archive.find("c/69999"), Some(69_999));
    }

    #[test]
    fn every_flipped_bit_outside_the_data_and_every_truncation_is_detected() {
        let memory = write(&[("a/b", b"text"), ("c", b"")]);
        let bytes = bytes_of(&memory);
        let file = |bytes: &[u8]| {
            let repository = MemoryRepository::new();
            repository.replace(NAME, bytes).unwrap();
            read(&repository)
        };
        let whole = file(&bytes).unwrap();
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 0x10;
            let data = 64..68; // of the first entry: the caller checks its checksum
            match file(&flipped) {
                Ok(read) => assert!(data.contains(&position) && read[0].1 != whole[0].1),
                Err(error) => assert!(matches!(error, LoadError::Damaged { .. }), "{error}"),
            }
            assert!(file(&bytes[..position]).is_err(), "truncated to {position}");
        }
    }
}
