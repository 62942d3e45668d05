//! The seam: whatever checkpoints can be saved into and loaded from.
//!
//! Object-safe and asynchronous, for programs that want to choose where checkpoints go when they run.
//! [`CheckpointManager`] implements it with Zarr on a file system, [`MemoryStore`](crate::MemoryStore)
//! with nothing but memory; [`conformance`](crate::conformance) checks an implementation of your own.

use crate::blocking::off_thread;
use crate::load::{Checkpoint, CheckpointInfo, Latest};
use crate::reader::Select;
use crate::{CheckpointManager, Error, Saved};
use async_trait::async_trait;
use qstore_schema::{StateDict, Tensor};
use std::fmt;

/// A place for checkpoints. No method blocks the thread that polls it.
///
/// ```
/// use qstore_schema::{StateDict, Tensor};
/// use qstore_zarr::{CheckpointStore, MemoryStore, Select};
///
/// async fn train(store: &dyn CheckpointStore) -> Result<(), qstore_zarr::Error> {
///     let model = StateDict::from_iter([("w", Tensor::scalar(1.0_f32))]);
///     let saved = store.save(0, model.clone(), None, None).await?; // durable now
///     assert_eq!(store.load(saved.epoch).await?.model_state, model);
///     assert_eq!(store.load_tensors(0, &Select::Name("model/w".into())).await?.len(), 1);
///     Ok(())
/// }
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let store = MemoryStore::new();
/// # let mut training = pin!(train(&store));
/// # while let Poll::Pending = training.as_mut().poll(&mut Context::from_waker(Waker::noop())) {}
/// ```
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync {
    /// Saves a state; it is the state at the call that is saved, whatever the caller does afterwards.
    /// After `Ok` it is as durable as the store can make it, and an earlier checkpoint of the epoch
    /// is replaced as a whole.
    ///
    /// # Errors
    /// After an error the epoch's earlier checkpoint is as it was, or replaced as a whole.
    async fn save(
        &self,
        epoch: u64,
        model_state: StateDict,
        optimizer_state: Option<StateDict>,
        metadata: Option<StateDict>,
    ) -> Result<Saved, Error>;

    /// Loads a checkpoint, bit for bit.
    ///
    /// # Errors
    /// [`Error::EpochNotFound`]; never other values than those that were saved.
    async fn load(&self, epoch: u64) -> Result<Checkpoint, Error>;

    /// Loads some of a checkpoint's tensors, in the order of the state.
    ///
    /// # Errors
    /// [`Error::TensorNotFound`] when none is meant; as [`load`](Self::load).
    async fn load_tensors(
        &self,
        epoch: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, Error>;

    /// Loads the newest checkpoint that can be loaded, and says which ones were skipped.
    ///
    /// # Errors
    /// [`Error::NoneValid`] when there are some, none of which can be loaded.
    async fn load_latest(&self) -> Result<Option<Latest>, Error>;

    /// The epochs of the checkpoints, sorted.
    ///
    /// # Errors
    /// When they cannot be found out.
    async fn list_checkpoints(&self) -> Result<Vec<u64>, Error>;

    /// The epoch that was saved last, whatever its number.
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn latest_checkpoint(&self) -> Result<Option<u64>, Error>;

    /// What is known about a checkpoint without reading its tensors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn get_checkpoint_info(&self, epoch: u64) -> Result<CheckpointInfo, Error>;

    /// Checks everything that [`load`](Self::load) would, and keeps nothing.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn verify(&self, epoch: u64) -> Result<CheckpointInfo, Error>;
}

/// Saves are queued at the first poll and go on if the future is dropped. While one save runs and
/// another waits, [`Busy::Wait`](crate::Busy::Wait) would block: here a thread of its own waits.
#[async_trait]
impl CheckpointStore for CheckpointManager {
    async fn save(
        &self,
        epoch: u64,
        model_state: StateDict,
        optimizer_state: Option<StateDict>,
        metadata: Option<StateDict>,
    ) -> Result<Saved, Error> {
        let snapshot = Self::snapshot(epoch, model_state, optimizer_state, metadata)?;
        let queue = self.queue();
        let ticket = match queue.try_push(snapshot)? {
            Ok(ticket) => ticket,
            Err(snapshot) => off_thread(move || queue.push(snapshot)).await?,
        };
        ticket.await
    }

    async fn load(&self, epoch: u64) -> Result<Checkpoint, Error> {
        let checkpoints = self.checkpoints().clone();
        off_thread(move || checkpoints.load(epoch)).await
    }

    async fn load_tensors(
        &self,
        epoch: u64,
        select: &Select,
    ) -> Result<Vec<(String, Tensor)>, Error> {
        let (checkpoints, select) = (self.checkpoints().clone(), select.clone());
        off_thread(move || checkpoints.load_tensors(epoch, &select)).await
    }

    async fn load_latest(&self) -> Result<Option<Latest>, Error> {
        let checkpoints = self.checkpoints().clone();
        off_thread(move || checkpoints.load_latest()).await
    }

    async fn list_checkpoints(&self) -> Result<Vec<u64>, Error> {
        let checkpoints = self.checkpoints().clone();
        off_thread(move || checkpoints.list_checkpoints()).await
    }

    async fn latest_checkpoint(&self) -> Result<Option<u64>, Error> {
        let checkpoints = self.checkpoints().clone();
        off_thread(move || checkpoints.latest_checkpoint()).await
    }

    async fn get_checkpoint_info(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        let checkpoints = self.checkpoints().clone();
        off_thread(move || checkpoints.get_checkpoint_info(epoch)).await
    }

    async fn verify(&self, epoch: u64) -> Result<CheckpointInfo, Error> {
        let checkpoints = self.checkpoints().clone();
        off_thread(move || checkpoints.verify(epoch)).await
    }
}
