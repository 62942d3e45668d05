//! An open file as a source.

use crate::repository::{FileSource, Result};
use qstore_storage::FileHandle;

#[derive(Debug)]
pub(super) struct LocalSource {
    pub(super) file: Box<dyn FileHandle>,
}

impl FileSource for LocalSource {
    fn len(&self) -> Result<u64> {
        Ok(self.file.len()?)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.file.read_at(offset, buffer)?)
    }
}
