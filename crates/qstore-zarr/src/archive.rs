//! The one file of a checkpoint: a zip archive whose entries are stored, not deflated.
//!
//! Written here rather than through the `zip` crate, for three reasons: a [`StagedFile`] is only ever
//! appended to, while the crate seeks back to fill in headers, or copies every entry once more to
//! avoid that; chunks are read at their offsets by several threads, which the crate's one cursor does
//! not allow; and the reader below can be strict. It takes the few facts that matter (names, lengths,
//! CRC-32) from the central directory, works out every other byte of the archive from them as the
//! writer would have written it, and compares. So there is no second reading of a hostile archive, no
//! gap, no overlap, and no byte that could change unnoticed.
//!
//! Every entry's data begins at a multiple of 64 bytes, so that raw chunks can be mapped. Times are
//! fixed (1980-01-01), so that equal content gives equal bytes. An archive of more than 65 534
//! entries, or of 4 GiB and more, gets the zip64 records; a single entry stays below 4 GiB.

use crate::zip_format::{self, Entry, Trailer};
use crate::{Damage, Error};
use qstore_storage::{FileHandle, FileSystem, StagedFile};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The most bytes that are read at once on behalf of the archive's own word: its directory, its
/// manifest, its metadata.
pub(crate) const DOCUMENT_MAX: u64 = 1 << 30;

/// Appends entries to a staged file.
#[derive(Debug)]
pub(crate) struct ArchiveWriter {
    staged: StagedFile,
    entries: Vec<Entry>,
    scratch: Vec<u8>,
}

impl ArchiveWriter {
    pub(crate) fn new(staged: StagedFile) -> Self {
        Self { staged, entries: Vec::new(), scratch: Vec::new() }
    }

    /// Appends one entry, given in parts, whose CRC-32 the caller has computed, on as many threads
    /// as it likes.
    pub(crate) fn append(
        &mut self,
        name: String,
        crc32: u32,
        parts: &[&[u8]],
    ) -> Result<(), Error> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let len = u32::try_from(total).expect("a chunk is at most 1 GiB, a document smaller");
        let entry = Entry { name, crc32, len, header_offset: self.staged.len() };
        self.scratch.clear();
        zip_format::local_header(&entry, &mut self.scratch);
        self.staged.append(&self.scratch)?;
        for part in parts {
            self.staged.append(part)?;
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Appends one entry that is read as a whole.
    pub(crate) fn append_document(&mut self, name: String, data: &[u8]) -> Result<(), Error> {
        Self::check_measure(&name, data.len())?;
        self.append(name, crc32fast::hash(data), &[data])
    }

    /// Appends the central directory; the file is complete and can be committed.
    pub(crate) fn finish(mut self) -> Result<StagedFile, Error> {
        let offset = self.staged.len();
        self.scratch.clear();
        for entry in &self.entries {
            zip_format::central_record(entry, &mut self.scratch);
        }
        Self::check_measure("the directory of the archive", self.scratch.len())?;
        let len = self.scratch.len() as u64;
        let trailer = Trailer { count: self.entries.len() as u64, len, offset };
        trailer.write(&mut self.scratch);
        self.staged.append(&self.scratch)?;
        Ok(self.staged)
    }
}

impl ArchiveWriter {
    /// What a reader would refuse is not written.
    pub(crate) fn check_measure(what: &str, len: usize) -> Result<(), Error> {
        let len = len as u64;
        if len > DOCUMENT_MAX {
            return Err(Error::TooLarge { what: what.into(), len, limit: DOCUMENT_MAX });
        }
        Ok(())
    }
}

/// An archive that is read, from any number of threads.
#[derive(Debug)]
pub(crate) struct Archive {
    file: Box<dyn FileHandle>,
    path: PathBuf,
    len: u64,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl Archive {
    /// Opens an archive and reads its directory.
    pub(crate) fn open(storage: &dyn FileSystem, path: &Path) -> Result<Self, Error> {
        let file = storage.open(path)?;
        let len = file.len()?;
        let mut archive =
            Self { file, path: path.into(), len, entries: Vec::new(), by_name: HashMap::new() };
        archive.read_directory()?;
        Ok(archive)
    }

    fn read_directory(&mut self) -> Result<(), Error> {
        let mut tail = vec![0; self.len.min(zip_format::TRAILER_MAX as u64) as usize];
        self.file.read_at(self.len - tail.len() as u64, &mut tail)?;
        let trailer = Trailer::read(&tail, self.len).ok_or_else(|| self.broken("its end"))?;
        if trailer.len > DOCUMENT_MAX {
            return Err(self.broken("a directory beyond all measure"));
        }
        let mut directory = vec![0; trailer.len as usize];
        self.file.read_at(trailer.offset, &mut directory)?;
        let entries = zip_format::read_directory(&directory, &trailer);
        self.entries = entries.ok_or_else(|| self.broken("its directory"))?;
        for (index, entry) in self.entries.iter().enumerate() {
            if self.by_name.insert(entry.name.clone(), index).is_some() {
                return Err(self.broken("two entries of one name"));
            }
        }
        Ok(())
    }

    /// The file's length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The entries in the order they were written.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of the entry of that name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The data of an entry. `buffer` is only memory, to be reused from one read to the next.
    pub(crate) fn read<'b>(
        &self,
        index: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Error> {
        let entry = &self.entries[index];
        let header_len = entry.header_len();
        let len = header_len + entry.len as usize;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        self.file.read_at(entry.header_offset, &mut buffer[..len])?;
        let mut header = Vec::with_capacity(header_len);
        zip_format::local_header(entry, &mut header);
        // mutant: zip_header_not_compared
        if header != buffer[..header_len] {
            return Err(self.broken("the header of an entry"));
        }
        Ok(&buffer[header_len..len])
    }

    /// The data of an entry that is no chunk.
    pub(crate) fn read_document(&self, index: usize) -> Result<Vec<u8>, Error> {
        if u64::from(self.entries[index].len) > DOCUMENT_MAX {
            return Err(self.broken("an entry beyond all measure"));
        }
        let mut buffer = Vec::new();
        Ok(self.read(index, &mut buffer)?.to_vec())
    }

    fn broken(&self, reason: &'static str) -> Error {
        Error::Damaged { path: self.path.clone(), damage: Damage::Archive { reason } }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A checkpoint was once reported durable, and its predecessors removed, that no load accepted:
    // the reader had a limit and the writer had none.
    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        assert!(ArchiveWriter::check_measure("zarr.json", DOCUMENT_MAX as usize).is_ok());
        let error = ArchiveWriter::check_measure("zarr.json", DOCUMENT_MAX as usize + 1);
        assert!(matches!(error, Err(Error::TooLarge { .. })));
    }

    use qstore_storage::MemoryFs;
    use std::sync::Arc;

    const PATH: &str = "/a.zip";

    fn write(entries: &[(&str, &[u8])]) -> MemoryFs {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let staged = StagedFile::create(&storage, Path::new("/tmp")).unwrap();
        let mut writer = ArchiveWriter::new(staged);
        for (name, data) in entries {
            writer.append_document((*name).into(), data).unwrap();
        }
        writer.finish().unwrap().commit(Path::new(PATH)).unwrap();
        memory
    }

    fn read(storage: &dyn FileSystem) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let archive = Archive::open(storage, Path::new(PATH))?;
        let entry = |index: usize| {
            Ok((archive.entries()[index].name.clone(), archive.read_document(index)?))
        };
        (0..archive.entries().len()).map(entry).collect()
    }

    #[test]
    fn what_is_written_is_read_and_data_is_aligned() {
        let long = vec![7; 100_000];
        let entries = [("a/b", &b"text"[..]), ("empty", b""), ("zarr.json", &long)];
        let memory = write(&entries);
        let archive = Archive::open(&memory, Path::new(PATH)).unwrap();
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
        let bytes = || {
            let memory = write(&[("a", b"1"), ("b", b"2")]);
            qstore_storage::read_all(&memory, Path::new(PATH)).unwrap()
        };
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn more_entries_than_a_plain_zip_can_count() {
        let names: Vec<String> = (0..70_000).map(|number| format!("c/{number}")).collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"x"[..])).collect();
        let memory = write(&entries);
        let archive = Archive::open(&memory, Path::new(PATH)).unwrap();
        assert_eq!(archive.entries().len(), 70_000);
        assert_eq!(archive.find("c/69999"), Some(69_999));
    }

    #[test]
    fn no_byte_of_the_frame_can_change_unnoticed_and_no_length_but_the_whole_is_read() {
        let memory = write(&[("a/b", b"text"), ("c", b"")]);
        let bytes = qstore_storage::read_all(&memory, Path::new(PATH)).unwrap();
        let file = |bytes: &[u8]| {
            let memory = MemoryFs::new();
            memory.create_new(Path::new(PATH)).unwrap().write_at(0, bytes).unwrap();
            read(&memory)
        };
        let whole = file(&bytes).unwrap();
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 0x10;
            let data = 64..68; // of the first entry: its checksum is looked at by the caller
            match file(&flipped) {
                Ok(read) => assert!(data.contains(&position) && read[0].1 != whole[0].1),
                Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error}"),
            }
            assert!(file(&bytes[..position]).is_err(), "cut to {position}");
        }
    }
}
