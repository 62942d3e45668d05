//! The directory that holds the checkpoints: names, what is there, and locks.
//!
//! A checkpoint is a plain file `epoch_0042.zarr.zip` or a directory `epoch_0042`, with a valid
//! manifest. Whatever else lies in the directory (other names, links, archives and directories
//! without a valid manifest) is not listed and never touched. Reading takes no lock; writers exclude
//! each other for the moment of the commit through `.qstore.lock`.

use crate::manifest::{MANIFEST, Sealed};
use crate::retention::Candidate;
use crate::{Error, Layout};
use qstore_storage::{EntryKind, FileSystem, Lock, create_dir_all};
use std::cmp::Ordering::Greater;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const LOCK: &str = ".qstore.lock";
/// Where things lie that have no public name, or none any more.
pub(crate) const STAGING: &str = ".staging";
const ARCHIVE_SUFFIX: &str = ".zarr.zip";
const PIN_SUFFIX: &str = ".pin";
const TOMBSTONE_PREFIX: &str = "tombstone-";

/// A directory of checkpoints. Clones share what they know about it.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointDir {
    pub(crate) storage: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    /// The greatest save number that was seen or given here.
    last_seq: Arc<AtomicU64>,
}

/// A checkpoint that is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) candidate: Candidate,
    pub(crate) place: Place,
    /// An older checkpoint of the same epoch in the other layout, which is due to go.
    pub(crate) stale: Option<Place>,
}

/// Where a checkpoint lies, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
}

/// Places in the order of their epochs.
type Places = Vec<(u64, Place)>;

/// What lies in the directory under the name of a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The valid ones, in the order of their epochs.
    pub(crate) valid: Vec<Found>,
    /// The others, each with what is wrong.
    pub(crate) invalid: Vec<(u64, Error)>,
}

impl Scan {
    /// An error if there is a file that cannot be read. A damaged file is no checkpoint; one that
    /// cannot be read may be, and must not be taken for one that is not there.
    pub(crate) fn all_readable(mut self) -> Result<Self, Error> {
        match self.invalid.iter().position(is_unreadable) {
            Some(index) => Err(self.invalid.swap_remove(index).1),
            None => Ok(self),
        }
    }
}

fn is_unreadable((_, error): &(u64, Error)) -> bool {
    matches!(error, Error::Storage(_))
}

impl CheckpointDir {
    /// Makes the directory where it does not exist, and makes sure that it can be written to.
    pub(crate) fn open(storage: Arc<dyn FileSystem>, dir: &Path) -> Result<Self, Error> {
        create_dir_all(&*storage, dir)?;
        let opened = Self::open_read_only(storage, dir)?;
        // Somebody who holds the lock has just proved that the directory can be written to.
        drop(opened.storage.try_lock(&opened.dir.join(LOCK))?);
        Ok(opened)
    }

    /// Opens a directory that exists, without writing to it.
    pub(crate) fn open_read_only(storage: Arc<dyn FileSystem>, dir: &Path) -> Result<Self, Error> {
        // A link to a directory is as good as the directory.
        let resolved = storage.resolve(dir)?;
        if storage.metadata(&resolved)?.is_none_or(|found| found.kind != EntryKind::Dir) {
            return Err(Error::NotADirectory { dir: dir.into() });
        }
        // Absolute from now on: the process may change its directory.
        Ok(Self { storage, dir: resolved, last_seq: Arc::default() })
    }

    /// Where an epoch's checkpoint has its public name.
    pub(crate) fn path_of(&self, epoch: u64, layout: Layout) -> PathBuf {
        self.dir.join(name_of(epoch, layout))
    }

    /// Where an epoch's directory steps aside when two names cannot be exchanged.
    pub(crate) fn tombstone_of(&self, epoch: u64) -> PathBuf {
        self.dir.join(STAGING).join(format!("{TOMBSTONE_PREFIX}{epoch}"))
    }

    /// The file that says that an epoch is pinned.
    pub(crate) fn pin_of(&self, epoch: u64) -> PathBuf {
        self.dir.join(name_of(epoch, Layout::Directory) + PIN_SUFFIX)
    }

    /// Keeps every other writer out until it is dropped.
    pub(crate) fn lock(&self) -> Result<Box<dyn Lock>, Error> {
        Ok(self.storage.lock(&self.dir.join(LOCK))?)
    }

    /// Looks at everything that has the name of a checkpoint.
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
        let newest = scan.valid.iter().map(|found| found.candidate.save_seq).max();
        self.last_seq.fetch_max(newest.unwrap_or(0), Ordering::SeqCst);
        Ok(scan)
    }

    /// Lists once; also tells whether everything listed was still there.
    fn scan_once(&self) -> Result<(Scan, bool), Error> {
        let (places, pinned) = self.places()?;
        let (mut scan, mut all_there) = (Scan::default(), true);
        let mut valid: BTreeMap<u64, Found> = BTreeMap::new();
        for (epoch, place) in places {
            match Sealed::open(&self.storage, &place.path, place.layout, epoch) {
                Ok(sealed) => {
                    let candidate = sealed.manifest.candidate(pinned.contains(&epoch));
                    let found = Found { candidate, place, stale: None };
                    let newest = match valid.remove(&epoch) {
                        None => found,
                        Some(other) => newer(other, found),
                    };
                    valid.insert(epoch, newest);
                }
                Err(Error::Storage(error)) if error.is_not_found() => all_there = false,
                Err(error) => scan.invalid.push((epoch, error)),
            }
        }
        scan.valid = valid.into_values().collect();
        Ok((scan, all_there))
    }

    /// Everything that has the name of a checkpoint, in the order of the epochs, and the epochs that
    /// are pinned.
    fn places(&self) -> Result<(Places, BTreeSet<u64>), Error> {
        let (mut places, mut pinned) = (BTreeMap::new(), BTreeSet::new());
        let mut list = || -> Result<bool, Error> {
            let mut is_staging = false;
            for entry in self.storage.list(&self.dir)? {
                is_staging |= entry.name == STAGING;
                if let Some((epoch, layout)) = checkpoint_of(&entry.name, entry.kind) {
                    let path = self.dir.join(&entry.name);
                    places.insert((epoch, layout), Place { path, layout });
                }
                pinned.extend(pin_of(&entry.name));
            }
            Ok(is_staging)
        };
        if list()? {
            let staging = self.dir.join(STAGING);
            let tombs = match self.storage.list(&staging) {
                Err(error) if error.is_not_found() => Vec::new(),
                listed => listed?,
            };
            let tombs: Vec<u64> =
                tombs.iter().filter_map(|entry| tombstone_of(&entry.name)).collect();
            if !tombs.is_empty() {
                // What a tombstone stood for may have its public name back since the first look.
                list()?;
            }
            for epoch in tombs {
                let layout = Layout::Directory;
                let place = Place { path: self.tombstone_of(epoch), layout };
                places.entry((epoch, layout)).or_insert(place);
            }
        }
        let places = places.into_iter().map(|((epoch, _), place)| (epoch, place)).collect();
        Ok((places, pinned))
    }

    /// The number of the next save, greater than that of every save so far. The caller holds the
    /// lock and has just made the scan.
    pub(crate) fn next_seq(&self, scan: &Scan) -> Result<u64, Error> {
        // A checkpoint that cannot be read has a number that is not known. It was given by counting
        // on from one that could be read, so it is less than one era ahead.
        const ERA: u64 = 1 << 32;
        let last = self.last_seq.load(Ordering::SeqCst);
        let next = if scan.invalid.iter().any(is_unreadable) {
            (last / ERA + 1).checked_mul(ERA)
        } else {
            last.checked_add(1)
        };
        let next = next.ok_or_else(|| Error::TooManySaves { dir: self.dir.clone() })?;
        self.last_seq.fetch_max(next, Ordering::SeqCst);
        Ok(next)
    }

    /// The valid checkpoints, in the order of their epochs.
    pub(crate) fn valid(&self) -> Result<Vec<Found>, Error> {
        Ok(self.scan()?.all_readable()?.valid)
    }

    /// Opens the checkpoint of an epoch: the newer one, where there is one in each layout.
    pub(crate) fn open_epoch(&self, epoch: u64) -> Result<Sealed, Error> {
        let places = [
            (self.path_of(epoch, Layout::SingleFile), Layout::SingleFile, EntryKind::File),
            (self.path_of(epoch, Layout::Directory), Layout::Directory, EntryKind::Dir),
            (self.tombstone_of(epoch), Layout::Directory, EntryKind::Dir),
        ];
        let mut newest: Option<Sealed> = None;
        let mut refused = None;
        for (path, layout, kind) in places {
            // A tombstone counts only as long as there is nothing else.
            if path.parent() != Some(&self.dir) && (newest.is_some() || refused.is_some()) {
                break;
            }
            if self.storage.metadata(&path)?.is_none_or(|found| found.kind != kind) {
                continue;
            }
            match Sealed::open(&self.storage, &path, layout, epoch) {
                Ok(sealed) => {
                    let seq = |sealed: &Sealed| sealed.manifest.save_seq;
                    if newest.as_ref().is_none_or(|newest| seq(newest) < seq(&sealed)) {
                        newest = Some(sealed);
                    }
                }
                Err(Error::Storage(error)) if error.is_not_found() => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match (newest, refused) {
            (Some(sealed), _) => Ok(sealed),
            (None, Some(error)) => Err(error),
            (None, None) => {
                let available =
                    self.scan()?.valid.iter().map(|found| found.candidate.epoch).collect();
                Err(Error::EpochNotFound { epoch, dir: self.dir.clone(), available })
            }
        }
    }

    /// Refuses an epoch whose directory would take the place of something that is not ours.
    pub(crate) fn refuse_foreign(&self, epoch: u64) -> Result<(), Error> {
        let path = self.path_of(epoch, Layout::Directory);
        match self.storage.metadata(&path)? {
            None => Ok(()),
            Some(found)
                if found.kind == EntryKind::Dir
                    && self.storage.metadata(&path.join(MANIFEST))?.is_some() =>
            {
                Ok(())
            }
            Some(_) => Err(Error::Foreign { path }),
        }
    }
}

/// The checkpoint that was saved later; it notes where the other one lies.
fn newer(one: Found, other: Found) -> Found {
    let (newest, stale) = match one.candidate.save_seq.cmp(&other.candidate.save_seq) {
        Greater => (one, other),
        _ => (other, one),
    };
    Found { stale: Some(stale.place), ..newest }
}

/// `epoch_0042.zarr.zip` or `epoch_0042`; numbers of more than four digits are written in full.
fn name_of(epoch: u64, layout: Layout) -> String {
    match layout {
        Layout::SingleFile => format!("epoch_{epoch:04}{ARCHIVE_SUFFIX}"),
        Layout::Directory => format!("epoch_{epoch:04}"),
    }
}

/// The checkpoint that something of that name and kind would be.
fn checkpoint_of(name: &OsStr, kind: EntryKind) -> Option<(u64, Layout)> {
    let layout = match kind {
        EntryKind::File => Layout::SingleFile,
        EntryKind::Dir => Layout::Directory,
        EntryKind::Other => return None,
    };
    let name = name.to_str()?;
    let number = name.strip_prefix("epoch_")?;
    let number = match layout {
        Layout::SingleFile => number.strip_suffix(ARCHIVE_SUFFIX)?,
        Layout::Directory => number,
    };
    let epoch = number.parse().ok()?;
    // Of `epoch_42`, `epoch_0042` and `epoch_+042` only one is ours.
    (name == name_of(epoch, layout)).then_some((epoch, layout))
}

fn pin_of(name: &OsStr) -> Option<u64> {
    let name = OsStr::new(name.to_str()?.strip_suffix(PIN_SUFFIX)?);
    checkpoint_of(name, EntryKind::Dir).map(|(epoch, _)| epoch)
}

/// The epoch of a directory that has stepped aside.
pub(crate) fn tombstone_of(name: &OsStr) -> Option<u64> {
    name.to_str()?.strip_prefix(TOMBSTONE_PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_read() {
        let check = |name: &str, epoch: Option<u64>| {
            let found = checkpoint_of(OsStr::new(name), EntryKind::File);
            assert_eq!(found, epoch.map(|epoch| (epoch, Layout::SingleFile)), "{name}");
            let name = name.trim_end_matches(ARCHIVE_SUFFIX);
            let found = checkpoint_of(OsStr::new(name), EntryKind::Dir);
            assert_eq!(found, epoch.map(|epoch| (epoch, Layout::Directory)), "{name}");
            let found = pin_of(OsStr::new(&format!("{name}.pin")));
            assert_eq!(found, epoch, "{name}");
            assert_eq!(checkpoint_of(OsStr::new(name), EntryKind::Other), None);
        };
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
