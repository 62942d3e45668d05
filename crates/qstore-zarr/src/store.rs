//! The checkpoint manager as a [`CheckpointStore`]: the same saves and loads, without blocking.

use crate::manager::{CheckpointManager, Queue};
use crate::save::intake::Pushed;
use crate::workers::off_thread::{NoResult, off_thread};
use async_trait::async_trait;
use qstore_checkpoint::{
    Checkpoint, CheckpointInfo, CheckpointStore, Latest, LoadError, Outcome, SaveError, Select,
    Snapshot,
};
use qstore_schema::Tensor;
use std::sync::Arc;

/// A save is queued at the first poll and continues if the future is dropped. While one save is running and
/// another is waiting, [`Busy::Wait`](crate::Busy::Wait) would block; here a separate thread waits instead.
#[async_trait]
impl CheckpointStore for CheckpointManager {
    async fn save(&self, snapshot: Snapshot) -> Result<Outcome, SaveError> {
        let queue = self.queue();
        let ticket = match queue.try_push(snapshot)? {
            Pushed::Taken(ticket) => ticket,
            Pushed::Closed => return Err(Queue::closed()),
            Pushed::Full(snapshot) => match off_thread(move || queue.push(*snapshot)).await {
                Ok(pushed) => pushed?,
                Err(NoResult::Spawn(error)) => {
                    return Err(SaveError::Spawn { source: Arc::new(error) });
                }
                Err(NoResult::Panicked(reason)) => return Err(SaveError::Closed { reason }),
            },
        };
        ticket.await
    }

    async fn load(&self, number: u64) -> Result<Checkpoint, LoadError> {
        let checkpoints = self.checkpoints().clone();
        load_off_thread(move || checkpoints.load(number)).await
    }

    async fn load_tensors(
        &self,
        number: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, LoadError> {
        let (checkpoints, select) = (self.checkpoints().clone(), select.clone());
        load_off_thread(move || checkpoints.load_tensors(number, &select)).await
    }

    async fn load_latest(&self) -> Result<Option<Latest>, LoadError> {
        let checkpoints = self.checkpoints().clone();
        load_off_thread(move || checkpoints.load_latest()).await
    }

    async fn list_checkpoints(&self) -> Result<Vec<u64>, LoadError> {
        let checkpoints = self.checkpoints().clone();
        load_off_thread(move || checkpoints.list_checkpoints()).await
    }

    async fn latest_checkpoint(&self) -> Result<Option<u64>, LoadError> {
        let checkpoints = self.checkpoints().clone();
        load_off_thread(move || checkpoints.latest_checkpoint()).await
    }

    async fn get_checkpoint_info(&self, number: u64) -> Result<CheckpointInfo, LoadError> {
        let checkpoints = self.checkpoints().clone();
        load_off_thread(move || checkpoints.get_checkpoint_info(number)).await
    }

    async fn verify(&self, number: u64) -> Result<CheckpointInfo, LoadError> {
        let checkpoints = self.checkpoints().clone();
        load_off_thread(move || checkpoints.verify(number)).await
    }
}

async fn load_off_thread<T: Send + 'static>(
    load: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    match off_thread(load).await {
        Ok(loaded) => loaded,
        Err(NoResult::Spawn(error)) => Err(LoadError::Spawn { source: Arc::new(error) }),
        Err(NoResult::Panicked(reason)) => Err(LoadError::Panicked { reason }),
    }
}
