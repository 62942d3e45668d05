//! The checkpoints in a repository: their names, the newest for each number, and the order of saves.
//!
//! A checkpoint is a file `epoch_0042.zarr.zip` or a tree `epoch_0042` with a valid manifest. Anything else
//! in the repository (other names, files and trees without a valid manifest) is not listed and never
//! touched. Reading takes no lock; writers exclude each other during a commit, a removal, a pin or a
//! change of the description.

mod description;
mod measure;
mod ordering;
pub(crate) mod pins;
pub(crate) mod retain;

use crate::container::sealed::Sealed;
use crate::format::ZARR_JSON;
use measure::Measured;
use qstore_checkpoint::repository::{Kind, Repository, RepositoryError, Source};
use qstore_checkpoint::retention::{Candidate, Policy};
use qstore_checkpoint::{CheckpointId, Counter, Layout, LoadError, OpenError};
use std::cmp::Ordering::Greater;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A repository of checkpoints. Clones share their cached state.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    pub(crate) repository: Arc<dyn Repository>,
    /// Set once the repository defines it.
    counter: Arc<OnceLock<Counter>>,
    /// The greatest save number seen or assigned here.
    last_seq: Arc<AtomicU64>,
    /// Metrics that were read from metadata, for retention.
    measured: Arc<Measured>,
}

/// A checkpoint that exists.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) candidate: Candidate,
    pub(crate) name: String,
    pub(crate) layout: Layout,
    /// The checksum of its root document, which has its metadata.
    pub(crate) root: u32,
    /// An older checkpoint with the same number in the other layout, to be removed.
    pub(crate) stale: Option<Identity>,
}

/// What a checkpoint is known by when it is removed: something else may have its name by then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    save_seq: u64,
    root: u32,
}

impl Found {
    pub(crate) fn identity(&self) -> Identity {
        let Self { candidate, name, root, .. } = self;
        Identity { name: name.clone(), save_seq: candidate.save_seq, root: *root }
    }
}

impl Identity {
    /// Whether this is the checkpoint.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn is_of(&self, source: Source) -> Result<bool, RepositoryError> {
        match Sealed::of_source(source, &self.name) {
            Ok(Sealed { manifest, .. }) => {
                Ok(manifest.save_seq == self.save_seq && manifest.crc32c_of(ZARR_JSON) == self.root)
            }
            Err(LoadError::Repository(error)) => Err(error),
            Err(error) if error.is_exhausted() => Err(RepositoryError::other(&self.name, error)),
            Err(_) => Ok(false),
        }
    }
}

/// Everything in the repository with the name of a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The valid ones, in order of their numbers.
    pub(crate) valid: Vec<Found>,
    /// The others, each with its error.
    pub(crate) invalid: Vec<(u64, LoadError)>,
}

/// Everything with the name of a checkpoint, in order of the numbers.
type Names = BTreeSet<(u64, Layout, String)>;

/// The numbers that are pinned.
type Pinned = BTreeSet<u64>;

impl Scan {
    /// Fails if there is a file that cannot be read. A damaged file is not a checkpoint; one that
    /// cannot be read may be one, and must not be treated as missing.
    pub(crate) fn all_readable(mut self) -> Result<Self, LoadError> {
        match self.invalid.iter().position(is_unreadable) {
            Some(index) => Err(self.invalid.swap_remove(index).1),
            None => Ok(self),
        }
    }
}

fn is_unreadable((_, error): &(u64, LoadError)) -> bool {
    matches!(error, LoadError::Repository(_))
}

impl Catalog {
    /// A repository for reading only. Opening it accesses nothing.
    pub(crate) fn read_only(repository: Arc<dyn Repository>) -> Self {
        Self {
            repository,
            counter: Arc::default(),
            last_seq: Arc::default(),
            measured: Arc::default(),
        }
    }

    /// A repository for saving. Its description records what is counted and what is kept.
    pub(crate) fn writable(
        repository: Arc<dyn Repository>,
        counter: Option<Counter>,
        policy: &Policy,
    ) -> Result<Self, OpenError> {
        let catalog = Self::read_only(repository);
        let counter = description::settle(&*catalog.repository, counter, policy)?;
        Ok(Self { counter: Arc::new(OnceLock::from(counter)), ..catalog })
    }

    /// The next save gets a greater number than this.
    pub(crate) fn continue_after(&self, save_seq: u64) {
        self.last_seq.fetch_max(save_seq, Ordering::SeqCst);
    }

    /// What the repository counts. Epochs, unless something in it says otherwise.
    pub(crate) fn counter(&self) -> Result<Counter, LoadError> {
        if let Some(known) = self.counter.get() {
            return Ok(*known);
        }
        let found = description::counter_of(&*self.repository)?;
        Ok(found.map_or(Counter::default(), |found| *self.counter.get_or_init(|| found)))
    }

    /// The retention policy stored with the checkpoints.
    pub(crate) fn policy(&self) -> Result<Policy, LoadError> {
        let stored = description::read(&*self.repository)?;
        stored
            .map(|stored| stored.retention)
            .ok_or_else(|| LoadError::NoPolicy { location: self.repository.location() })
    }

    /// The name of a checkpoint with this number in this layout.
    pub(crate) fn name_of(&self, number: u64, layout: Layout) -> Result<String, LoadError> {
        Ok(self.counter()?.name_of(&CheckpointId::new(number), layout))
    }

    /// Reads the manifest of everything with the name of a checkpoint.
    pub(crate) fn scan(&self) -> Result<Scan, LoadError> {
        // A missing file was removed by another writer's retention after it was listed, and its successor
        // may be missing from that listing: scan again. Only a few times, because another writer may save
        // continuously.
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

    /// Scans once. Also returns whether everything that was listed still existed.
    fn scan_once(&self) -> Result<(Scan, bool), LoadError> {
        let (names, pinned) = self.names()?;
        let (mut scan, mut all_there) = (Scan::default(), true);
        let mut valid: BTreeMap<u64, Found> = BTreeMap::new();
        for (number, layout, name) in names {
            match Sealed::open(&*self.repository, &name, layout, number) {
                Ok(sealed) => {
                    let candidate = sealed.manifest.candidate(pinned.contains(&number));
                    let root = sealed.manifest.crc32c_of(ZARR_JSON);
                    let found = Found { candidate, name, layout, root, stale: None };
                    let newest = match valid.remove(&number) {
                        None => found,
                        Some(other) => newer(other, found),
                    };
                    valid.insert(number, newest);
                }
                Err(LoadError::Repository(error))
                    if error.is_not_found() || error.is_replaced_while_read() =>
                {
                    all_there = false;
                }
                Err(error) => scan.invalid.push((number, error)),
            }
        }
        scan.valid = valid.into_values().collect();
        Ok((scan, all_there))
    }

    /// Everything with the name of a checkpoint, and the pinned numbers.
    fn names(&self) -> Result<(Names, Pinned), LoadError> {
        let counter = self.counter()?;
        let (mut names, mut pinned) = (BTreeSet::new(), BTreeSet::new());
        for listed in self.repository.list("")? {
            let layout = match listed.kind {
                Kind::File => Layout::SingleFile,
                Kind::Tree => Layout::Directory,
            };
            if let Some(number) = counter.checkpoint_named(&listed.name, layout) {
                names.insert((number, layout, listed.name));
            } else if listed.kind == Kind::File {
                pinned.extend(counter.pinned_by(&listed.name));
            }
        }
        Ok((names, pinned))
    }

    /// The valid checkpoints, in order of their numbers.
    pub(crate) fn valid(&self) -> Result<Vec<Found>, LoadError> {
        Ok(self.scan()?.all_readable()?.valid)
    }

    /// Opens the checkpoint with this number: the newer one if there is one in each layout.
    pub(crate) fn open(&self, number: u64) -> Result<Sealed, LoadError> {
        // In a bucket, a file that is replaced while its directory is read must be opened again.
        const ATTEMPTS: usize = 20;
        let is_again = |error: &LoadError| matches!(error, LoadError::Repository(error) if error.is_replaced_while_read());
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            match self.open_once(number) {
                Err(error) if attempts > 0 && is_again(&error) => {}
                opened => return opened,
            }
        }
    }

    fn open_once(&self, number: u64) -> Result<Sealed, LoadError> {
        let mut newest: Option<Sealed> = None;
        let mut refused = None;
        for layout in [Layout::SingleFile, Layout::Directory] {
            let name = self.name_of(number, layout)?;
            match Sealed::open(&*self.repository, &name, layout, number) {
                Ok(sealed) => {
                    let seq = |sealed: &Sealed| sealed.manifest.save_seq;
                    if newest.as_ref().is_none_or(|newest| seq(newest) < seq(&sealed)) {
                        newest = Some(sealed);
                    }
                }
                Err(LoadError::Repository(error)) if error.is_not_found() => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match (newest, refused) {
            (Some(sealed), _) => Ok(sealed),
            (None, Some(error)) => Err(error),
            (None, None) => {
                let available =
                    self.scan()?.valid.iter().map(|found| found.candidate.number).collect();
                Err(LoadError::NotFound { number, location: self.repository.location(), available })
            }
        }
    }
}

/// The checkpoint that was saved later, with the name of the other one recorded as stale.
fn newer(one: Found, other: Found) -> Found {
    let (newest, stale) = match one.candidate.save_seq.cmp(&other.candidate.save_seq) {
        Greater => (one, other),
        _ => (other, one),
    };
    Found { stale: Some(stale.identity()), ..newest }
}
