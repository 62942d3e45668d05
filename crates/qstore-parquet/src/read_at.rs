//! How the Parquet library reads: through the storage seam, and without its panics.

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use qstore_storage::{Error, FileHandle};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Lets the Parquet library read through the storage seam.
#[derive(Debug, Clone)]
pub(crate) struct ReadAt {
    file: Arc<dyn FileHandle>,
    len: u64,
    /// The first error of the storage, which the library would turn into words.
    trouble: Arc<Mutex<Option<Error>>>,
}

impl ReadAt {
    pub(crate) fn new(file: Arc<dyn FileHandle>) -> qstore_storage::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len, trouble: Arc::default() })
    }

    /// The same file as if it were no longer than that.
    pub(crate) fn up_to(&self, len: u64) -> Self {
        let (file, trouble) = (Arc::clone(&self.file), Arc::clone(&self.trouble));
        Self { file, len: len.min(self.len), trouble }
    }

    /// The error of the storage that was met while reading, if any: a file that could not be read is
    /// not a damaged one, and must never be taken for it.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: Error) -> ParquetError {
        let message = error.to_string();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert(error);
        ParquetError::External(message.into())
    }
}

impl Length for ReadAt {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for ReadAt {
    type T = Cursor;

    fn get_read(&self, start: u64) -> Result<Cursor> {
        Ok(Cursor { from: self.clone(), offset: start, block: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Checked before anything is allocated: the length comes out of the file.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.len)));
        }
        let mut bytes = vec![0; length];
        self.file.read_at(start, &mut bytes).map_err(|error| self.fail(error))?;
        Ok(bytes.into())
    }
}

/// Reads forwards in blocks; page headers are parsed from it byte by byte.
#[derive(Debug)]
pub(crate) struct Cursor {
    from: ReadAt,
    offset: u64,
    block: Bytes,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        const BLOCK: u64 = 8 * 1024;
        if self.block.is_empty() {
            let length = self.from.len.saturating_sub(self.offset).min(BLOCK);
            self.block = self.from.get_bytes(self.offset, length as usize)?;
            self.offset += length;
        }
        let count = buffer.len().min(self.block.len());
        self.block.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Turns a panic of the library, which malformed input can cause, into an error. The panic's message is
/// still printed; where a program aborts on panics, it does so here, too.
pub(crate) fn contain<T>(parse: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(parse))
        .map_err(|_| "it makes no sense to the Parquet library".into())
}
