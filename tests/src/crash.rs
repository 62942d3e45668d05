//! A storage whose power can be cut at any moment: before each change somebody may look at what a cut
//! would leave there.
//!
//! A cut is named by a [`PowerCut`]; [`cuts`] lists those worth trying at a moment, from a seed. Each of
//! them is replayed by its name and by the number of the moment.
//!
//! ```
//! use qstore::storage::{MemoryFs, StagedFile, FileSystem, read_all};
//! use qstore_tests::crash::{CrashFs, cuts};
//! use std::{path::Path, sync::Arc};
//!
//! let memory = MemoryFs::new();
//! let storage = CrashFs::new(&memory, |moment| {
//!     for cut in cuts(7, moment.number, 2) {
//!         let left = moment.memory.power_cut_by(cut);
//!         let report = read_all(&left, Path::new("/report"));
//!         // Nothing, or all of it.
//!         assert!(report.is_err() || report.unwrap() == b"all rows are safe", "{moment}, {cut}");
//!     }
//! })
//! .shared();
//! let mut staged = StagedFile::create(&storage, Path::new("/.report.tmp"))?;
//! staged.append(b"all rows are safe")?;
//! staged.commit(Path::new("/report"))?;
//! # Ok::<(), qstore::storage::Error>(())
//! ```

use crate::watched::{Step, Verdict, WatchedFs, Watcher};
use qstore::storage::{MemoryFs, Operation, PowerCut, UnsyncedBytes, UnsyncedNames};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A moment between two changes.
#[derive(Debug)]
pub struct Moment<'a> {
    /// How many changes came before.
    pub number: usize,
    /// The change that comes next.
    pub operation: Operation,
    /// On what.
    pub path: &'a Path,
    /// The disk as it is now.
    pub memory: &'a MemoryFs,
}

impl fmt::Display for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, operation, path, .. } = self;
        write!(f, "before change {number}: {operation} {}", path.display())
    }
}

/// A storage in memory that is looked at before each change.
pub type CrashFs = WatchedFs<Crashes>;

/// Who looks.
pub struct Crashes {
    memory: MemoryFs,
    count: AtomicUsize,
    look: Box<dyn Fn(&Moment<'_>) + Send + Sync>,
}

impl fmt::Debug for Crashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crashes").field("count", &self.count).finish_non_exhaustive()
    }
}

impl CrashFs {
    /// Lets `look` see `memory` before each change to it. What it panics about reaches the thread that
    /// wanted the change.
    pub fn new(memory: &MemoryFs, look: impl Fn(&Moment<'_>) + Send + Sync + 'static) -> Self {
        let (count, look) = (AtomicUsize::new(0), Box::new(look));
        Self::over(Arc::new(memory.clone()), Crashes { memory: memory.clone(), count, look })
    }

    /// How many changes there were.
    pub fn changes(&self) -> usize {
        self.watcher().count.load(SeqCst)
    }
}

impl Watcher for Crashes {
    fn before(&self, step: &Step<'_>) -> Verdict {
        if step.is_change {
            let number = self.count.fetch_add(1, SeqCst);
            let Step { operation, path, .. } = *step;
            (self.look)(&Moment { number, operation, path, memory: &self.memory });
        }
        Verdict::Proceed
    }
}

/// The cuts to try at the moment with that number: the four corners, torn blocks of both sizes, bytes
/// without names, and `random` of either block size.
pub fn cuts(seed: u64, number: usize, random: usize) -> Vec<PowerCut> {
    let torn = |block| UnsyncedBytes::Torn { block };
    let mut cuts = vec![PowerCut::STRICT, PowerCut::KIND];
    cuts.extend(
        [
            (UnsyncedBytes::Lost, UnsyncedNames::Kept),
            (UnsyncedBytes::Kept, UnsyncedNames::Lost),
            (torn(512), UnsyncedNames::Lost),
            (torn(512), UnsyncedNames::Kept),
            (torn(4096), UnsyncedNames::Lost),
            (torn(4096), UnsyncedNames::Kept),
        ]
        .map(|(bytes, names)| PowerCut { bytes, names }),
    );
    let mut seeds = fastrand::Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x9e37_79b9));
    for block in [512, 4096] {
        for _ in 0..random {
            let bytes = UnsyncedBytes::Random { block, seed: seeds.u64(..1 << 32) };
            let names = UnsyncedNames::Random { seed: seeds.u64(..1 << 32) };
            cuts.push(PowerCut { bytes, names });
        }
    }
    cuts
}
