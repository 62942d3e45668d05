//! The files of a Zarr group, read by us and by zarrs.

use super::document::{standard, with_an_order};
use crate::format::aligned::Aligned;
use qstore_storage::{EntryKind, Error, FileSystem, Operation, read_into_zeroed, read_up_to};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zarrs::storage::byte_range::{ByteRange, ByteRangeIterator};
use zarrs::storage::{
    Bytes, MaybeBytes, MaybeBytesIterator, ReadableStorageTraits, StorageError, StoreKey,
};

/// The longest metadata document that is read. Its JSON takes several times as much memory.
const DOCUMENT_MAX: u64 = 1 << 28;

/// The documents that zarrs reads by itself.
const DOCUMENTS: [&str; 4] = ["zarr.json", ".zarray", ".zattrs", ".zgroup"];

/// The group's files as a zarrs store. Symbolic links are not followed.
#[derive(Debug)]
pub(super) struct GroupStore {
    storage: Arc<dyn FileSystem>,
    root: PathBuf,
    /// The first error of the file system. zarrs keeps only its text, and it must not be taken for damage.
    failed: Mutex<Option<Error>>,
}

impl GroupStore {
    pub(super) fn new(storage: &Arc<dyn FileSystem>, root: PathBuf) -> Self {
        Self { storage: Arc::clone(storage), root, failed: Mutex::new(None) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The error of the file system that made zarrs fail, if that was the reason.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The bytes of a document; `None` if it does not exist.
    pub(super) fn document(&self, relative: &Path) -> Result<Option<Vec<u8>>, Error> {
        let path = self.root.join(relative);
        if !self.is_inside(&path)? {
            return Ok(None);
        }
        some_if_found(read_up_to(&*self.storage, &path, DOCUMENT_MAX))
    }

    /// The bytes of a chunk; `None` if it does not exist. They take no more memory than what is stored.
    fn chunk(&self, relative: &Path) -> Result<Option<Bytes>, Error> {
        let path = self.root.join(relative);
        if !self.is_inside(&path)? {
            return Ok(None);
        }
        let Some(file) = some_if_found(self.storage.open(&path))? else { return Ok(None) };
        let len = file.len()?;
        let memory = usize::try_from(len).ok().and_then(Aligned::try_zeroed);
        let mut memory = memory.ok_or_else(|| {
            let reason = format!("there is not enough memory for its {len} bytes");
            let source = io::Error::new(io::ErrorKind::OutOfMemory, reason);
            Error::new(Operation::Read, &path, source)
        })?;
        read_into_zeroed(&*file, 0, memory.bytes_mut())?;
        Ok(Some(memory.into_bytes()))
    }

    /// Whether the path has no links in it.
    fn is_inside(&self, path: &Path) -> Result<bool, Error> {
        Ok(some_if_found(self.storage.resolve(path))?.is_some_and(|resolved| resolved == path))
    }

    /// The length of a file; `None` if it does not exist.
    pub(super) fn len_of(&self, key: &str) -> Result<Option<u64>, Error> {
        let found = self.storage.metadata(&self.root.join(key))?;
        Ok(found.filter(|found| found.kind == EntryKind::File).map(|found| found.len))
    }

    /// The names of the directories in one, sorted.
    pub(super) fn dirs_in(&self, relative: &Path) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for entry in self.storage.list(&self.root.join(relative))? {
            let name = entry.name.into_string().ok();
            names.extend(name.filter(|_| entry.kind == EntryKind::Dir));
        }
        names.sort_unstable(); // directory entries have no order
        Ok(names)
    }

    /// Keeps an error for [`take_failure`](Self::take_failure) and describes it for zarrs.
    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, StorageError> {
        result.map_err(|error| {
            let text = error.to_string();
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            StorageError::Other(text)
        })
    }
}

fn some_if_found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

impl ReadableStorageTraits for GroupStore {
    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        let path = Path::new(key.as_str());
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| DOCUMENTS.contains(&name)) {
            let document = self.noted(self.document(path))?;
            let document = document.map(standard);
            let document =
                if name == Some(".zarray") { document.map(with_an_order) } else { document };
            return Ok(document.map(Bytes::from));
        }
        self.noted(self.chunk(path))
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let Some(bytes) = self.get(key)? else { return Ok(None) };
        let part = move |range: ByteRange| {
            let len = bytes.len() as u64;
            let (start, end) = (range.start(len), range.end(len));
            if start > end || end > len {
                return Err(StorageError::Other("a range beyond the end of a file".into()));
            }
            Ok(bytes.slice(start as usize..end as usize))
        };
        Ok(Some(Box::new(byte_ranges.map(part))))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        self.noted(self.len_of(key.as_str()))
    }

    fn supports_get_partial(&self) -> bool {
        false
    }
}
