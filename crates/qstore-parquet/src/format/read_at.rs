//! Reads ranges of an open file, never beyond the length it had when it was opened.

use crate::format::decompress::room;
use crate::format::read_failure::ReadFailure;
use qstore_storage::FileHandle;
use std::sync::Arc;

/// An open file and its length.
#[derive(Debug, Clone)]
pub(crate) struct ReadAt {
    file: Arc<dyn FileHandle>,
    len: u64,
}

impl ReadAt {
    pub(crate) fn new(file: Arc<dyn FileHandle>) -> qstore_storage::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len })
    }

    /// The same file as if it ended at `len`.
    pub(crate) fn up_to(&self, len: u64) -> Self {
        Self { file: Arc::clone(&self.file), len: len.min(self.len) }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn bytes(&self, start: u64, len: usize) -> Result<Vec<u8>, ReadFailure> {
        // Checked before anything is allocated: the length comes from the file.
        if start.checked_add(len as u64).is_none_or(|end| end > self.len) {
            let reason = format!("{len} bytes at {start} are beyond its end at {}", self.len);
            return Err(ReadFailure::Damaged(reason));
        }
        // A file of holes has any length.
        let mut bytes = Vec::new();
        room(&mut bytes, len)?;
        bytes.resize(len, 0); // bounded: it was reserved
        self.file.read_at(start, &mut bytes)?;
        Ok(bytes)
    }
}
