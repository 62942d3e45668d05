//! A repository whose requests fail on demand.

use super::{
    Created, Exclusion, FileDraft, FileSource, Identify, Leftovers, Listed, Repository,
    RepositoryError, Result, TreeDraft, TreeSource,
};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request has no effect, and the caller gets an error.
    Refused,
    /// The request takes effect, but the caller gets an error, as if the response had been lost.
    AnswerLost,
    /// This request and all later ones are refused, as if the process had been killed here.
    Down,
}

/// Wraps a repository, counts its requests, and makes one of them fail.
///
/// ```
/// use qstore_checkpoint::repository::{Fault, Faulty, MemoryRepository, Repository};
/// use std::sync::Arc;
///
/// let faulty = Faulty::new(Arc::new(MemoryRepository::new()));
/// faulty.fail(1, Fault::Refused); // the second request, counted from 0
/// assert!(faulty.list("").is_ok());
/// assert!(faulty.list("").is_err());
/// assert!(faulty.list("").is_ok());
/// assert_eq!(faulty.requests(), 3);
/// ```
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn Repository>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    requests: AtomicU64,
    fails_at: AtomicU64,
    fault: AtomicU64,
}

impl Faulty {
    /// Forwards every request until [`fail`](Self::fail) is called.
    #[must_use]
    pub fn new(inner: Arc<dyn Repository>) -> Self {
        let plan = Plan {
            requests: AtomicU64::new(0),
            fails_at: AtomicU64::new(u64::MAX),
            fault: AtomicU64::new(0),
        };
        Self { inner, plan: Arc::new(plan) }
    }

    /// Makes the request with this number fail, counted from 0 from the start.
    pub fn fail(&self, request: u64, fault: Fault) {
        self.plan.fault.store(fault as u64, SeqCst);
        self.plan.fails_at.store(request, SeqCst);
    }

    /// The number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.plan.requests.load(SeqCst)
    }

    /// Whether the failing request has been reached.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.requests() > self.plan.fails_at.load(SeqCst)
    }
}

impl Plan {
    fn request<T>(&self, name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let (number, fails_at) = (self.requests.fetch_add(1, SeqCst), self.fails_at.load(SeqCst));
        let fault = self.fault.load(SeqCst);
        let reason = || io::Error::other("on purpose");
        if number > fails_at && fault == Fault::Down as u64 {
            return Err(RepositoryError::other(name, reason()));
        }
        if number != fails_at {
            return run();
        }
        if fault == Fault::AnswerLost as u64 {
            drop(run()?);
            let (name, source) = (name.into(), Box::new(reason()));
            return Err(RepositoryError::Unsettled { name, source });
        }
        Err(RepositoryError::other(name, reason()))
    }
}

impl Repository for Faulty {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.plan.request(prefix, || self.inner.list(prefix))
    }

    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>> {
        let inner = self.plan.request(name, || self.inner.begin_file(name))?;
        Ok(Box::new(FaultyFile { inner, name: name.into(), plan: Arc::clone(&self.plan) }))
    }

    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>> {
        let inner = self.plan.request(name, || self.inner.open_file(name))?;
        Ok(Box::new(FaultySource { inner, name: name.into(), plan: Arc::clone(&self.plan) }))
    }

    fn begin_tree(&self, name: &str, writers: usize) -> Result<Box<dyn TreeDraft>> {
        let inner = self.plan.request(name, || self.inner.begin_tree(name, writers))?;
        Ok(Box::new(FaultyTree { inner, name: name.into(), plan: Arc::clone(&self.plan) }))
    }

    fn open_tree(&self, name: &str) -> Result<Box<dyn TreeSource>> {
        let inner = self.plan.request(name, || self.inner.open_tree(name))?;
        Ok(Box::new(FaultyTreeSource { inner, name: name.into(), plan: Arc::clone(&self.plan) }))
    }

    fn has_trees(&self) -> bool {
        self.inner.has_trees()
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created> {
        self.plan.request(name, || self.inner.create(name, bytes))
    }

    fn remove(&self, names: &[String]) -> Result<Leftovers> {
        self.plan.request(&names.join(", "), || self.inner.remove(names))
    }

    fn remove_if(&self, names: &[String], is_due: Identify<'_>) -> Result<Leftovers> {
        self.plan.request(&names.join(", "), || self.inner.remove_if(names, is_due))
    }

    fn exclude(&self) -> Result<Exclusion> {
        self.plan.request("lock", || self.inner.exclude())
    }

    fn available(&self) -> Result<Option<u64>> {
        self.plan.request("available", || self.inner.available())
    }

    fn collect_leftovers(&self, is_ours: Identify<'_>) {
        let _ = self.plan.request("leftovers", || {
            self.inner.collect_leftovers(is_ours);
            Ok(())
        });
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn FileDraft>,
    name: String,
    plan: Arc<Plan>,
}

impl FileDraft for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Self { inner, name, plan } = self;
        plan.request(name, || inner.append(bytes))
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        let Self { inner, name, plan } = *self;
        plan.request(&name, || inner.commit())
    }

    fn commit_over(self: Box<Self>, is_ours: Identify<'_>) -> Result<Leftovers> {
        let Self { inner, name, plan } = *self;
        plan.request(&name, || inner.commit_over(is_ours))
    }
}

#[derive(Debug)]
struct FaultyTree {
    inner: Box<dyn TreeDraft>,
    name: String,
    plan: Arc<Plan>,
}

impl TreeDraft for FaultyTree {
    fn put(&self, entry: &str, pieces: &[&[u8]]) -> Result<()> {
        self.plan.request(&self.name, || self.inner.put(entry, pieces))
    }

    fn link(&self, entry: &str, tree: &str) -> bool {
        self.plan.request(&self.name, || Ok(self.inner.link(entry, tree))).unwrap_or(false)
    }

    fn commit(self: Box<Self>) -> Result<Leftovers> {
        let Self { inner, name, plan } = *self;
        plan.request(&name, || inner.commit())
    }
}

#[derive(Debug)]
struct FaultySource {
    inner: Box<dyn FileSource>,
    name: String,
    plan: Arc<Plan>,
}

impl FileSource for FaultySource {
    fn len(&self) -> Result<u64> {
        self.plan.request(&self.name, || self.inner.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.plan.request(&self.name, || self.inner.read_at(offset, buffer))
    }

    fn announce(&self, ranges: &[Range<u64>]) {
        self.inner.announce(ranges);
    }

    fn is_replaced(&self) -> bool {
        self.inner.is_replaced()
    }
}

#[derive(Debug)]
struct FaultyTreeSource {
    inner: Box<dyn TreeSource>,
    name: String,
    plan: Arc<Plan>,
}

impl TreeSource for FaultyTreeSource {
    fn open(&self, entry: &str) -> Result<Box<dyn FileSource>> {
        let inner = self.plan.request(&self.name, || self.inner.open(entry))?;
        Ok(Box::new(FaultySource { inner, name: self.name.clone(), plan: Arc::clone(&self.plan) }))
    }

    fn entries(&self) -> Result<Vec<String>> {
        self.plan.request(&self.name, || self.inner.entries())
    }
}
