//! The file or the output that text is written to. A file is published whole.

use crate::console::Console;
use crate::failure::Failure;
use crate::writer_lock;
use qstore_storage::{FileSystem, LocalFs, Lock, Replacement, create_dir_all, parent_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes are handed on in pieces of this size.
const PIECE: usize = 1 << 16;

/// Where text goes.
#[derive(Debug)]
pub(super) struct Target {
    file: Option<(Replacement, PathBuf)>,
    is_forced: bool,
    /// Held while an existing file is replaced.
    _lock: Option<Box<dyn Lock>>,
    buffer: Vec<u8>,
    bytes: u64,
}

impl Target {
    /// Begins a file; `-` is the output. Directories above it are created.
    pub(super) fn open(path: &Path, is_forced: bool) -> Result<Self, Failure> {
        let (mut file, mut lock) = (None, None);
        if path != Path::new("-") {
            let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
            create_dir_all(&*files, parent_of(path))?;
            lock = writer_lock::hold(path, is_forced)?;
            file = Some((Replacement::of(&files, path)?, path.to_path_buf()));
        }
        Ok(Self { file, is_forced, _lock: lock, buffer: Vec::new(), bytes: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8], console: &mut Console<'_>) -> Result<(), Failure> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE { self.hand_on(console) } else { Ok(()) }
    }

    fn hand_on(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        self.bytes += self.buffer.len() as u64;
        match &mut self.file {
            Some((file, _)) => file.append(&self.buffer)?,
            None => console.bytes(&self.buffer)?,
        }
        self.buffer.clear();
        Ok(())
    }

    /// Publishes the file, and returns its length.
    pub(super) fn finish(mut self, console: &mut Console<'_>) -> Result<u64, Failure> {
        self.hand_on(console)?;
        match self.file {
            None => {}
            Some((file, _)) if self.is_forced => drop(file.commit()?),
            Some((file, path)) => file.commit_new().map_err(|error| {
                if error.is_already_exists() { Failure::exists(&path) } else { error.into() }
            })?,
        }
        Ok(self.bytes)
    }
}
