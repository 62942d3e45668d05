//! A file system whose power can be cut at any moment.
//!
//! A cut is named by a [`PowerCut`]; [`cuts`] lists those worth trying at a moment. Each can be replayed from
//! its name and the number of the moment.

use super::watched::{Step, Verdict, WatchedFs, Watcher};
use crate::error::Operation;
use crate::memory::{MemoryFs, PowerCut, UnsyncedBytes, UnsyncedNames};
use crate::random::Random;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A moment between two changes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Moment<'a> {
    /// The number of changes before it.
    pub number: usize,
    /// The change that comes next.
    pub operation: Operation,
    /// The path of that change.
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

/// A [`MemoryFs`] that calls a closure before each change, with the disk as it is at that moment.
///
/// ```
/// use qstore_storage::testing::{CrashFs, cuts};
/// use qstore_storage::{MemoryFs, StagedFile, read_all};
/// use std::path::Path;
///
/// let memory = MemoryFs::new();
/// let files = CrashFs::new(&memory, |moment| {
///     for cut in cuts(7, moment.number, 2) {
///         let left = moment.memory.power_cut_by(cut);
///         // No report, or all of it.
///         let report = read_all(&left, Path::new("/report"));
///         assert!(report.is_err() || report.unwrap() == b"all rows are safe", "{moment}, {cut}");
///     }
/// });
/// let mut staged = StagedFile::create(&files.shared(), Path::new("/.report.tmp"))?;
/// staged.append(b"all rows are safe")?;
/// staged.commit(Path::new("/report"))?;
/// assert_eq!(files.changes(), 5); // create, write, sync, rename, sync the name
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub type CrashFs = WatchedFs<Crashes>;

/// The [`Watcher`] behind [`CrashFs`].
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
    /// Calls `look` before each change to `memory`, on the thread that makes the change, which therefore
    /// also receives its panics.
    pub fn new(memory: &MemoryFs, look: impl Fn(&Moment<'_>) + Send + Sync + 'static) -> Self {
        let (count, look) = (AtomicUsize::new(0), Box::new(look));
        Self::over(Arc::new(memory.clone()), Crashes { memory: memory.clone(), count, look })
    }

    /// The number of changes so far.
    #[must_use]
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

/// The power cuts to try at the moment with that number: the four combinations of nothing and everything,
/// torn blocks of 512 and 4 096 bytes with and without names, and for each of the two block sizes `random`
/// cuts that `seed` and `number` decide.
#[must_use]
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
    let mut seeds = Random::of(seed ^ (number as u64).wrapping_mul(0x9e37_79b9));
    for block in [512, 4096] {
        for _ in 0..random {
            // Short seeds: they are printed, and typed in again to replay a cut.
            let bytes = UnsyncedBytes::Random { block, seed: seeds.number() >> 32 };
            let names = UnsyncedNames::Random { seed: seeds.number() >> 32 };
            cuts.push(PowerCut { bytes, names });
        }
    }
    cuts
}
