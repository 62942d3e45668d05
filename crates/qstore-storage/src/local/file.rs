//! Open files.

use crate::error::{Context, Operation, Result};
use crate::file_system::FileHandle;
use crate::in_place::{Exclusive, Stamp};
use crate::{holes, lease};
use rustix::fs::Stat;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct LocalFile {
    /// Shared with claims on it.
    file: Arc<File>,
    /// For messages.
    path: PathBuf,
    /// Whether its leases reveal every reader.
    proof: lease::Proof,
}

impl LocalFile {
    pub(super) fn boxed(file: File, path: PathBuf) -> Box<dyn FileHandle> {
        Box::new(Self { file: Arc::new(file), path, proof: lease::Proof::default() })
    }
}

impl FileHandle for LocalFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).context(Operation::Write, &self.path)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).context(Operation::Read, &self.path)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        let len = self.len()?;
        // What cannot be asked is taken for stored.
        Ok(if offset < len { holes::next_data(&self.file, offset..len) } else { None })
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|found| found.len()).context(Operation::Inspect, &self.path)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).context(Operation::Resize, &self.path)
    }

    fn begin_write_out(&self, offset: u64, len: u64) {
        crate::write_out::begin(&self.file, offset, len);
    }

    fn sync(&self) -> Result<()> {
        // mutant: local_file_sync_does_nothing
        self.file.sync_data().context(Operation::Sync, &self.path)
    }

    fn stamp(&self) -> Result<Stamp> {
        let found = rustix::fs::fstat(&*self.file).map_err(io::Error::from);
        Ok(stamp_of(&found.context(Operation::Inspect, &self.path)?))
    }

    fn claim(&self) -> Result<Exclusive> {
        lease::claim(&self.file, &self.proof).context(Operation::Claim, &self.path)
    }
}

/// The fields have other types on other systems.
#[allow(clippy::unnecessary_cast, trivial_numeric_casts)]
pub(super) fn stamp_of(found: &Stat) -> Stamp {
    Stamp {
        identity: (found.st_dev as u64, found.st_ino as u64),
        names: found.st_nlink as u64,
        len: found.st_size as u64,
        modified: (found.st_mtime as i64, found.st_mtime_nsec as i64),
    }
}
