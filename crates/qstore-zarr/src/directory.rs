//! The directory that holds the checkpoints: names, what is there, locks, and removing.
//!
//! A checkpoint is a plain file `epoch_0042.zarr.zip` with a valid manifest. Whatever else lies in
//! the directory (files of other names, directories, links, archives without a valid manifest) is
//! not listed and never touched. Reading takes no lock; writers exclude each other for the moment of
//! the commit through `.qstore.lock`.

use crate::Error;
use crate::manifest::Sealed;
use crate::retention::{self, Candidate};
use qstore_storage::{EntryKind, Lock, Storage, create_dir_all};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LOCK: &str = ".qstore.lock";
const SUFFIX: &str = ".zarr.zip";

/// A directory of checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointDir {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) dir: PathBuf,
}

/// What lies in the directory under the name of a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The valid ones, in the order of their epochs.
    pub(crate) valid: Vec<Candidate>,
    /// The others, each with what is wrong.
    pub(crate) invalid: Vec<(u64, Error)>,
}

impl Scan {
    /// An error if there is a file that cannot be read. A damaged file is no checkpoint; one that
    /// cannot be read may be, and must not be passed over: the latest could be another one, and a
    /// save number could be given twice.
    pub(crate) fn all_readable(mut self) -> Result<Self, Error> {
        let is_storage = |(_, error): &(u64, Error)| matches!(error, Error::Storage(_));
        match self.invalid.iter().position(is_storage) {
            Some(index) => Err(self.invalid.swap_remove(index).1),
            None => Ok(self),
        }
    }
}

impl CheckpointDir {
    /// Makes the directory where it does not exist, and makes sure that it can be written to.
    pub(crate) fn open(storage: Arc<dyn Storage>, dir: &Path) -> Result<Self, Error> {
        create_dir_all(&*storage, dir)?;
        // A link to a directory is as good as the directory.
        let resolved = storage.resolve(dir)?;
        if storage.metadata(&resolved)?.is_none_or(|found| found.kind != EntryKind::Dir) {
            return Err(Error::NotADirectory { dir: dir.into() });
        }
        // Absolute from now on: the process may change its directory.
        let opened = Self { storage, dir: resolved };
        // Somebody who holds the lock has just proved that the directory can be written to.
        drop(opened.storage.try_lock(&opened.dir.join(LOCK))?);
        Ok(opened)
    }

    /// The file of an epoch's checkpoint.
    pub(crate) fn file_of(&self, epoch: u64) -> PathBuf {
        self.dir.join(file_name(epoch))
    }

    /// Keeps every other writer out until it is dropped.
    pub(crate) fn lock(&self) -> Result<Box<dyn Lock>, Error> {
        Ok(self.storage.lock(&self.dir.join(LOCK))?)
    }

    /// Looks at every file that has the name of a checkpoint.
    pub(crate) fn scan(&self) -> Result<Scan, Error> {
        // A file that is gone was removed by another writer's retention since it was listed, and what
        // took its place may be missing in that listing: look again. Never more than a few times,
        // because a neighbour may save without pause.
        const ATTEMPTS: usize = 20;
        let (mut scan, mut all_there) = self.scan_once()?;
        for _ in 1..ATTEMPTS {
            if all_there {
                break;
            }
            (scan, all_there) = self.scan_once()?;
        }
        Ok(scan)
    }

    /// Lists once; also tells whether everything listed was still there.
    fn scan_once(&self) -> Result<(Scan, bool), Error> {
        let mut epochs: Vec<u64> = self
            .storage
            .list(&self.dir)?
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::File)
            .filter_map(|entry| epoch_of(&entry.name))
            .collect();
        epochs.sort_unstable();
        let (mut scan, mut all_there) = (Scan::default(), true);
        for epoch in epochs {
            match Sealed::open(&*self.storage, &self.file_of(epoch), epoch) {
                Ok(sealed) => scan.valid.push(Candidate::new(epoch, sealed.manifest.save_seq)),
                Err(Error::Storage(error)) if error.is_not_found() => all_there = false,
                Err(error) => scan.invalid.push((epoch, error)),
            }
        }
        Ok((scan, all_there))
    }

    /// The valid checkpoints, in the order of their epochs.
    pub(crate) fn valid(&self) -> Result<Vec<Candidate>, Error> {
        Ok(self.scan()?.all_readable()?.valid)
    }

    /// Opens the checkpoint of an epoch.
    pub(crate) fn open_epoch(&self, epoch: u64) -> Result<Sealed, Error> {
        let path = self.file_of(epoch);
        match self.storage.metadata(&path)? {
            Some(found) if found.kind == EntryKind::File => {
                match Sealed::open(&*self.storage, &path, epoch) {
                    Err(Error::Storage(error)) if error.is_not_found() => self.not_found(epoch),
                    opened => opened,
                }
            }
            _ => self.not_found(epoch),
        }
    }

    fn not_found(&self, epoch: u64) -> Result<Sealed, Error> {
        let available = self.scan()?.valid.iter().map(|saved| saved.epoch).collect();
        Err(Error::EpochNotFound { epoch, dir: self.dir.clone(), available })
    }

    /// Removes what retention does not keep; returns the epochs that are gone. The caller holds the
    /// lock, and the newest checkpoint is durable.
    pub(crate) fn retain(
        &self,
        history: &[Candidate],
        keep_last: usize,
    ) -> Result<Vec<u64>, Error> {
        let Some(newest) = history.iter().max_by_key(|saved| saved.save_seq) else {
            return Ok(Vec::new());
        };
        let mut removed = Vec::new();
        for decision in retention::plan(history, keep_last) {
            if decision.keep {
                continue;
            }
            let older = decision.epoch;
            let failed = |source| Error::Retention { epoch: newest.epoch, older, source };
            match self.storage.remove_file(&self.file_of(older)) {
                Err(error) if !error.is_not_found() => return Err(failed(error)),
                _ => removed.push(older),
            }
        }
        if let Some(older) = removed.last().copied() {
            let failed = |source| Error::Retention { epoch: newest.epoch, older, source };
            self.storage.sync_dir(&self.dir).map_err(failed)?;
        }
        removed.sort_unstable();
        Ok(removed)
    }
}

/// `epoch_0042.zarr.zip`; numbers of more than four digits are written in full.
pub(crate) fn file_name(epoch: u64) -> String {
    format!("epoch_{epoch:04}{SUFFIX}")
}

fn epoch_of(name: &OsStr) -> Option<u64> {
    let epoch = name.to_str()?.strip_prefix("epoch_")?.strip_suffix(SUFFIX)?.parse().ok()?;
    // Of `epoch_42`, `epoch_0042` and `epoch_+042` only one is ours.
    (name.to_str() == Some(&file_name(epoch))).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_read() {
        let check = |name: &str, epoch| assert_eq!(epoch_of(OsStr::new(name)), epoch, "{name}");
        check("epoch_0000.zarr.zip", Some(0));
        check("epoch_0042.zarr.zip", Some(42));
        check("epoch_123456.zarr.zip", Some(123_456));
        check("epoch_18446744073709551615.zarr.zip", Some(u64::MAX));
        for foreign in [
            "epoch_best",
            "epoch_42.zarr.zip",
            "epoch_00042.zarr.zip",
            "epoch_+042.zarr.zip",
            "epoch_0042.zarr",
            "epoch_18446744073709551616.zarr.zip",
            "Epoch_0042.zarr.zip",
        ] {
            check(foreign, None);
        }
    }
}
