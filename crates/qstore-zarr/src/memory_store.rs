//! Checkpoints in memory: for tests, and for programs that are told to keep nothing.

use crate::load::{Checkpoint, CheckpointInfo, Latest};
use crate::reader::Select;
use crate::retention::{self, Candidate, Policy, metrics_of};
use crate::save::Snapshot;
use crate::structure::Nodes;
use crate::{CheckpointManager, CheckpointStore, Error, Saved};
use async_trait::async_trait;
use qstore_schema::{StateDict, Tensor};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`CheckpointStore`] that lives as long as the last of its clones. Nothing is copied: tensors are
/// shared with whoever saved them.
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

    /// An empty store that keeps what the policy says. Nothing is ever pinned.
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
    fn get(&self, epoch: u64) -> Result<&Checkpoint, Error> {
        self.checkpoints.get(&epoch).ok_or_else(|| {
            let available = self.checkpoints.keys().copied().collect();
            Error::EpochNotFound { epoch, dir: PathBuf::from("memory"), available }
        })
    }

    fn newest(&self) -> Option<&Checkpoint> {
        self.checkpoints.values().max_by_key(|checkpoint| checkpoint.info.save_seq)
    }

    fn retain(&mut self, policy: &Policy) -> Vec<u64> {
        let candidate = |checkpoint: &Checkpoint| {
            let candidate = Candidate::new(checkpoint.epoch, checkpoint.info.save_seq);
            let metrics = metrics_of(&checkpoint.metadata);
            metrics.into_iter().fold(candidate, |found, (name, value)| found.metric(name, value))
        };
        let history: Vec<Candidate> = self.checkpoints.values().map(candidate).collect();
        let gone = retention::plan(&history, policy).into_iter().filter(|found| !found.keep);
        let mut removed: Vec<u64> = gone.map(|found| found.epoch).collect();
        removed.sort_unstable();
        self.checkpoints.retain(|epoch, _| !removed.contains(epoch));
        removed
    }
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn save(
        &self,
        epoch: u64,
        model_state: StateDict,
        optimizer_state: Option<StateDict>,
        metadata: Option<StateDict>,
    ) -> Result<Saved, Error> {
        let snapshot = CheckpointManager::snapshot(epoch, model_state, optimizer_state, metadata)?;
        let Snapshot { timestamp, model, optimizer, metadata, .. } = snapshot;
        let mut shared = self.lock();
        shared.last_seq += 1;
        let save_seq = shared.last_seq;
        let optimizer_bytes = optimizer.as_ref().map_or(0, StateDict::tensor_bytes);
        let tensor_bytes = model.tensor_bytes() + optimizer_bytes;
        let info = CheckpointInfo {
            timestamp,
            model_size_mb: model.tensor_bytes() as f64 / 1e6,
            tensor_bytes,
            metadata: metadata.clone(),
            ..CheckpointInfo::new(epoch, save_seq)
        };
        let checkpoint = Checkpoint::new(model, optimizer, info);
        shared.checkpoints.insert(epoch, checkpoint);
        let removed = shared.retain(&self.policy);
        Ok(Saved { removed, ..Saved::new(epoch, save_seq) })
    }

    async fn load(&self, epoch: u64) -> Result<Checkpoint, Error> {
        self.lock().get(epoch).cloned()
    }

    async fn load_tensors(
        &self,
        epoch: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, Error> {
        let mut nodes = Nodes::default();
        let shared = self.lock();
        let checkpoint = shared.get(epoch)?;
        nodes.tree("model", &checkpoint.model_state);
        if let Some(optimizer) = &checkpoint.optimizer_state {
            nodes.tree("optimizer", optimizer);
        }
        let available: Vec<String> = nodes.arrays.iter().map(|(path, _)| path.clone()).collect();
        let meant = nodes.arrays.into_iter().filter(|(path, _)| select.matches(path));
        let meant: Vec<_> = meant.collect();
        if meant.is_empty() && *select != Select::All {
            return Err(Error::TensorNotFound { epoch, wanted: select.to_string(), available });
        }
        Ok(meant)
    }

    async fn load_latest(&self) -> Result<Option<Latest>, Error> {
        let newest = self.lock().newest().cloned();
        Ok(newest.map(|checkpoint| Latest { checkpoint, skipped: Vec::new() }))
    }

    async fn list_checkpoints(&self) -> Result<Vec<u64>, Error> {
        Ok(self.lock().checkpoints.keys().copied().collect())
    }

    async fn latest_checkpoint(&self) -> Result<Option<u64>, Error> {
        Ok(self.lock().newest().map(|checkpoint| checkpoint.epoch))
    }

    async fn get_checkpoint_info(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        Ok(self.lock().get(epoch)?.info.clone())
    }

    async fn verify(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        self.get_checkpoint_info(epoch).await
    }
}
