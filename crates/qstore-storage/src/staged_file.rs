//! A file that receives its public name only once it is complete and durable.

use crate::error::{Error, Result};
use crate::file_system::{EntryKind, FileHandle, FileSystem};
use crate::tree::parent_of;
use qstore_os::ForkCheck;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file under a temporary name, written from front to back, then [committed](Self::commit).
///
/// * **Until `commit` returns**, the public name shows what it showed before: the old file, or nothing.
/// * **After `commit` returned `Ok`**, it shows the new file, and does so even after a power cut.
/// * **Dropped without a commit**, it removes itself. The public name is untouched. A forked child leaves it
///   to its parent.
/// * **After a crash**, the temporary name may be left behind. Removing it is up to the owner of that name.
///
/// Readers that have the old file open keep reading the old file.
///
/// ```
/// use qstore_storage::{FileSystem, MemoryFs, StagedFile, read_all};
/// use std::{path::Path, sync::Arc};
///
/// let memory = MemoryFs::new();
/// let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
/// for text in ["old", "new"] {
///     let mut staged = StagedFile::create(&files, Path::new("/.settings.tmp"))?;
///     staged.append(text.as_bytes())?;
///     staged.commit(Path::new("/settings"))?;
/// }
/// let mut abandoned = StagedFile::create(&files, Path::new("/.settings.tmp"))?;
/// abandoned.append(b"never published")?;
/// drop(abandoned);
/// assert_eq!(read_all(&memory.power_cut(), Path::new("/settings"))?, b"new");
/// assert_eq!(memory.list(Path::new("/"))?.len(), 1);
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub struct StagedFile {
    storage: Arc<dyn FileSystem>,
    file: Option<Box<dyn FileHandle>>,
    temporary: PathBuf,
    len: u64,
    /// The bytes that the system was asked to write to the disk.
    written_out: u64,
    /// The process that the temporary name belongs to.
    home: ForkCheck,
}

/// Often enough that the sync at the end has little to wait for, and rarely enough to cost nothing.
const WRITE_OUT_BYTES: u64 = 4 << 20;

impl StagedFile {
    /// Creates an empty file under a temporary name, which must be in the same file system as the public one.
    ///
    /// # Errors
    /// When the file cannot be created, typically because the name is taken.
    pub fn create(storage: &Arc<dyn FileSystem>, temporary: &Path) -> Result<Self> {
        Ok(Self::holding(storage, storage.create_new(temporary)?, temporary))
    }

    fn holding(storage: &Arc<dyn FileSystem>, file: Box<dyn FileHandle>, temporary: &Path) -> Self {
        let (storage, temporary) = (Arc::clone(storage), temporary.to_path_buf());
        Self {
            storage,
            file: Some(file),
            temporary,
            len: 0,
            written_out: 0,
            home: ForkCheck::new(),
        }
    }

    /// The same for a file that will replace the one under the public name, if there is one: at no moment
    /// can anybody read it who cannot read that.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn replacing(
        storage: &Arc<dyn FileSystem>,
        temporary: &Path,
        public: &Path,
    ) -> Result<Self> {
        if !is_file(&**storage, public)? {
            return Self::create(storage, temporary);
        }
        let file = storage.create_private(temporary)?;
        let staged = Self::holding(storage, file, temporary);
        // Already here, in case the public name is gone at the commit. Best effort: until then it is private.
        let _ = storage.copy_mode(public, temporary);
        Ok(staged)
    }

    /// Appends bytes. Every few megabytes the system is asked to start writing them to the disk, so that the
    /// sync of the commit has little to wait for.
    ///
    /// # Errors
    /// After an error the file can only be dropped.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file().write_at(self.len, bytes)?;
        self.len += bytes.len() as u64;
        if self.len - self.written_out >= WRITE_OUT_BYTES {
            self.file().begin_write_out(self.written_out, self.len - self.written_out);
            self.written_out = self.len;
        }
        Ok(())
    }

    /// The bytes written so far, and the offset of the next ones.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Publishes the file: syncs its bytes, renames it to the public name in one step, replacing a file of
    /// that name, and syncs that name. Returns the open file.
    ///
    /// It takes over the [permissions](FileSystem::copy_mode) of the file that it replaces.
    ///
    /// # Errors
    /// If the last sync fails, the public name already shows the new file but may show the old one again
    /// after a power cut. After any other error the public name shows what it showed before.
    pub fn commit(mut self, public: &Path) -> Result<Box<dyn FileHandle>> {
        // mutant: permissions_not_taken_over
        take_over(&*self.storage, public, &self.temporary)?;
        // mutant: staged_file_not_synced, staged_file_renamed_before_its_sync
        self.file().sync()?;
        // mutant: staged_file_deletes_then_renames
        self.storage.rename(&self.temporary, public)?;
        let file = self.file.take().expect("a staged file is open until it is committed");
        // mutant: staged_file_name_not_synced
        self.storage.sync_dir(parent_of(public))?;
        Ok(file)
    }

    /// Publishes the file only if nothing has the public name: its bytes are synced, it is linked to
    /// the name in one step, then the name is synced. The temporary name is removed when this is
    /// dropped.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; another error where the file system has no links. The
    /// file can still be [committed](Self::commit) then. When the last sync fails, the public name shows
    /// the file but may be gone after a power cut.
    pub fn link_to(&self, public: &Path) -> Result<()> {
        // mutant: linked_file_not_synced
        self.file().sync()?;
        self.storage.link(&self.temporary, public)?;
        // mutant: linked_file_name_not_synced
        self.storage.sync_dir(parent_of(public))
    }

    /// Renames the temporary name: from then on a crash leaves that one behind.
    ///
    /// # Errors
    /// After an error it has the name it had.
    pub fn move_to(&mut self, temporary: &Path) -> Result<()> {
        self.storage.rename(&self.temporary, temporary)?;
        self.temporary = temporary.to_path_buf();
        Ok(())
    }

    /// Publishes the file in the place of what has the public name, which nobody can have changed unnoticed:
    /// the two exchange their names, and `may_go` is asked about what has the temporary name then. If it may
    /// go, it is removed when this is dropped. If not, it gets its name back, and the answer is `false`.
    ///
    /// # Errors
    /// [`Error::is_not_found`](crate::Error::is_not_found) if nothing has the public name, and
    /// [`Error::is_unsupported`](crate::Error::is_unsupported) where names cannot be exchanged: the file can
    /// still be published otherwise. If something could not get its name back, it stays under the temporary
    /// name, which is not removed. If the last sync fails, the public name may show the old file again after
    /// a power cut.
    pub fn exchange(
        &mut self,
        public: &Path,
        may_go: impl FnOnce(&Path) -> Result<bool>,
    ) -> Result<bool> {
        take_over(&*self.storage, public, &self.temporary)?;
        // mutant: exchanged_file_not_synced, exchanged_file_shown_before_its_sync
        self.file().sync()?;
        self.storage.exchange(&self.temporary, public)?;
        let answer = may_go(&self.temporary);
        // mutant: exchanged_file_not_identified
        if !matches!(answer, Ok(true)) {
            self.give_back(public)?;
            return answer;
        }
        // mutant: exchanged_file_name_not_synced
        self.storage.sync_dir(parent_of(public))?;
        Ok(true)
    }

    /// Takes an exchange back.
    fn give_back(&mut self, public: &Path) -> Result<()> {
        let own = self.file().stamp();
        // mutant: what_may_not_go_stays_hidden
        let mut given = self.storage.exchange(&self.temporary, public);
        if given.as_ref().is_err_and(Error::is_not_found) {
            given = self.storage.link(&self.temporary, public);
        } else if given.is_ok() {
            // Anyone who was so fast as to replace the file in between has not lost theirs either.
            let found = self.storage.stamp(&self.temporary)?;
            if !found.zip(own.ok()).is_some_and(|(found, own)| found.is_same_file(&own)) {
                self.file = None;
            }
        }
        if given.is_err() {
            self.file = None; // and what has the temporary name keeps it
        }
        given?;
        // Best effort: until then a power cut could leave the two as they were.
        let _ = self.storage.sync_dir(parent_of(public));
        Ok(())
    }

    fn file(&self) -> &dyn FileHandle {
        self.file.as_deref().expect("a staged file is open until it is committed")
    }
}

fn is_file(storage: &dyn FileSystem, path: &Path) -> Result<bool> {
    Ok(storage.metadata(path)?.is_some_and(|found| found.kind == EntryKind::File))
}

/// Gives a file the permissions of the one that it is about to replace.
fn take_over(storage: &dyn FileSystem, public: &Path, temporary: &Path) -> Result<()> {
    if !is_file(storage, public)? {
        return Ok(());
    }
    match storage.copy_mode(public, temporary) {
        Err(error) if error.is_not_found() => Ok(()), // removed in the meantime
        copied => copied,
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // mutant: staged_file_removed_in_a_forked_child
        if self.file.take().is_some() && !self.home.is_forked() {
            // Best effort: the owner of the name removes leftovers when it next opens.
            let _ = self.storage.remove_file(&self.temporary);
        }
    }
}

impl fmt::Debug for StagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedFile")
            .field("temporary", &self.temporary)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LocalFs, MemoryFs, read_all};
    use qstore_os::testing::{Fork, in_child};

    fn replace(storage: &Arc<dyn FileSystem>, bytes: &[u8]) -> Result<()> {
        let mut staged = StagedFile::create(storage, Path::new("/.file.tmp"))?;
        staged.append(&bytes[..1])?;
        staged.append(&bytes[1..])?;
        staged.commit(Path::new("/file")).map(drop)
    }

    #[test]
    fn a_commit_survives_a_power_cut() {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        for text in [&b"first"[..], b"second"] {
            replace(&storage, text).unwrap();
            for cut in [memory.power_cut(), memory.power_cut_after_names()] {
                assert_eq!(read_all(&cut, Path::new("/file")).unwrap(), text);
                assert_eq!(
                    cut.list(Path::new("/")).unwrap().len(),
                    1,
                    "the temporary name is left behind"
                );
            }
        }
    }

    #[test]
    fn an_exchange_removes_what_may_go_and_gives_the_name_back_to_the_rest() {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let public = Path::new("/file");
        let stage = || {
            let mut staged = StagedFile::create(&storage, Path::new("/.file.tmp")).unwrap();
            staged.append(b"new").unwrap();
            staged.move_to(Path::new("/.file.tmp-2")).unwrap();
            staged
        };
        assert!(stage().exchange(public, |_| Ok(true)).unwrap_err().is_not_found());
        replace(&storage, b"old").unwrap();
        for answers in [Ok(false), Err(())] {
            let answer = stage().exchange(public, |retired| {
                assert_eq!(read_all(&memory, retired).unwrap(), b"old");
                answers.map_err(|()| storage.open(Path::new("/none")).unwrap_err())
            });
            assert_eq!(answer.ok(), answers.ok());
            assert_eq!(read_all(&memory, public).unwrap(), b"old");
        }
        // Someone replaces the new file before the old one gets its name back.
        let mut staged = stage();
        let answer = staged.exchange(public, |_| {
            replace(&storage, b"third").unwrap();
            Ok(false)
        });
        assert!(!answer.unwrap());
        drop(staged);
        assert_eq!(read_all(&memory, public).unwrap(), b"old");
        assert_eq!(read_all(&memory, Path::new("/.file.tmp-2")).unwrap(), b"third");
        memory.remove_file(Path::new("/.file.tmp-2")).unwrap();
        // Or removes it.
        let answer = stage().exchange(public, |_| memory.remove_file(public).map(|()| false));
        assert!(!answer.unwrap());
        assert_eq!(read_all(&memory, public).unwrap(), b"old");

        assert!(stage().exchange(public, |_| Ok(true)).unwrap());
        assert_eq!(read_all(&memory.power_cut(), public).unwrap(), b"new");
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_a_forked_child_drops_can_be_committed_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
        for fork in Fork::ALL {
            let file = StagedFile::create(&storage, &dir.path().join(".file.tmp")).unwrap();
            let mut staged = Some(file);
            in_child(fork, || drop(staged.take())).unwrap();
            let mut staged = staged.unwrap();
            staged.append(b"whole").unwrap();
            drop(staged.commit(&dir.path().join("file")).unwrap());
            assert_eq!(read_all(&*storage, &dir.path().join("file")).unwrap(), b"whole");
        }
    }

    #[test]
    fn without_a_commit_nothing_is_left() {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        replace(&storage, b"old").unwrap();
        let mut staged = StagedFile::create(&storage, Path::new("/.file.tmp")).unwrap();
        staged.append(b"new").unwrap();
        drop(staged);
        assert_eq!(read_all(&memory, Path::new("/file")).unwrap(), b"old");
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
    }
}
