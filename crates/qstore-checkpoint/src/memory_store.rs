//! Checkpoints in memory: for tests, and for programs that should store nothing on disk.

use crate::checkpoint::{Checkpoint, CheckpointInfo, Latest};
use crate::error::{LoadError, SaveError};
use crate::outcome::{Outcome, Saved};
use crate::path;
use crate::retention::{self, Candidate, Decision, Policy, metric_of};
use crate::select::Select;
use crate::snapshot::Snapshot;
use crate::store::CheckpointStore;
use async_trait::async_trait;
use qstore_schema::Tensor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`CheckpointStore`] in memory, which lives as long as the last of its clones. Nothing is copied:
/// tensors are shared with the snapshots.
///
/// ```
/// use qstore_checkpoint::MemoryStore;
/// use qstore_checkpoint::retention::Policy;
///
/// let store = MemoryStore::with_retention(Policy::keep_last(3));
/// let clone = store.clone(); // the same checkpoints
/// # let _ = clone;
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    policy: Policy,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    last_seq: u64,
    checkpoints: BTreeMap<u64, Checkpoint>,
}

impl MemoryStore {
    /// An empty store that keeps everything.
    #[must_use]
    pub fn new() -> Self {
        Self::with_retention(Policy::keep_last(0))
    }

    /// An empty store with this retention policy. Nothing is ever pinned.
    #[must_use]
    pub fn with_retention(policy: Policy) -> Self {
        Self { policy, shared: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn get(&self, number: u64) -> Result<&Checkpoint, LoadError> {
        self.checkpoints.get(&number).ok_or_else(|| {
            let available = self.checkpoints.keys().copied().collect();
            LoadError::NotFound { number, location: "memory".into(), available }
        })
    }

    fn newest(&self) -> Option<&Checkpoint> {
        self.checkpoints.values().max_by_key(|checkpoint| checkpoint.info.save_seq)
    }

    /// Removes what the policy does not keep. Returns the plan, the newest save first.
    fn retain(&mut self, policy: &Policy) -> Vec<Decision> {
        let candidates = self.checkpoints.values().map(|checkpoint| {
            let candidate = Candidate::new(checkpoint.number(), checkpoint.info.save_seq);
            match &policy.best {
                Some(best) => {
                    let metric = metric_of(checkpoint.metadata(), &best.metric);
                    candidate.metric(&*best.metric, metric)
                }
                None => candidate,
            }
        });
        let history: Vec<Candidate> = candidates.collect();
        let plan = retention::plan(&history, policy);
        for decision in plan.iter().filter(|decision| !decision.keep) {
            self.checkpoints.remove(&decision.number);
        }
        plan
    }
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn save(&self, snapshot: Snapshot) -> Result<Outcome, SaveError> {
        snapshot.check()?;
        let number = snapshot.number();
        let mut shared = self.lock();
        shared.last_seq += 1;
        let save_seq = shared.last_seq;
        let parts = snapshot.parts.iter();
        let info = CheckpointInfo {
            timestamp: snapshot.timestamp,
            parts: parts.map(|(name, state)| (name.into(), state.tensor_bytes())).collect(),
            attempt: snapshot.attempt,
            metadata: snapshot.metadata,
            ..CheckpointInfo::new(number, save_seq)
        };
        shared.checkpoints.insert(number, Checkpoint::new(snapshot.parts, info));
        let plan = shared.retain(&self.policy);
        let mut saved = Saved::new(number, save_seq);
        saved.removed = plan.iter().filter(|found| !found.keep).map(|found| found.number).collect();
        saved.removed.sort_unstable();
        saved.unranked = plan.into_iter().next().and_then(|newest| newest.unranked);
        Ok(Outcome::Saved(saved))
    }

    async fn load(&self, number: u64) -> Result<Checkpoint, LoadError> {
        self.lock().get(number).cloned()
    }

    async fn load_tensors(
        &self,
        number: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, LoadError> {
        let tensors = path::tensors(&self.lock().get(number)?.parts);
        let available: Vec<String> = tensors.iter().map(|(path, _)| path.clone()).collect();
        let found: Vec<_> = tensors.into_iter().filter(|(path, _)| select.matches(path)).collect();
        if found.is_empty() && *select != Select::All {
            return Err(LoadError::TensorNotFound {
                number,
                wanted: select.to_string(),
                available,
            });
        }
        Ok(found)
    }

    async fn load_latest(&self) -> Result<Option<Latest>, LoadError> {
        let newest = self.lock().newest().cloned();
        Ok(newest.map(|checkpoint| Latest { checkpoint, skipped: Vec::new() }))
    }

    async fn list_checkpoints(&self) -> Result<Vec<u64>, LoadError> {
        Ok(self.lock().checkpoints.keys().copied().collect())
    }

    async fn latest_checkpoint(&self) -> Result<Option<u64>, LoadError> {
        Ok(self.lock().newest().map(Checkpoint::number))
    }

    async fn get_checkpoint_info(&self, number: u64) -> Result<CheckpointInfo, LoadError> {
        Ok(self.lock().get(number)?.info.clone())
    }

    async fn verify(&self, number: u64) -> Result<CheckpointInfo, LoadError> {
        self.get_checkpoint_info(number).await
    }
}
