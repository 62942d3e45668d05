//! The three checkpointers, and when they save.

use crate::error::{BurnError, OnError};
use crate::joint::{Joint, Part};
use crate::record;
use burn::train::checkpoint::{
    Checkpoint, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn::train::metric::store::EventStoreClient;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Saves one part of each checkpoint: the model, the optimizer or the scheduler. The last of the three saves all of them
/// as one.
///
/// `delete` does nothing, because the retention of the run removes checkpoints, whole. `restore` returns what was loaded
/// and verified when the run was opened, or loads the checkpoint of another epoch.
pub struct PartCheckpointer {
    pub(crate) joint: Arc<Joint>,
    pub(crate) part: Part,
}

impl PartCheckpointer {
    fn try_save<R: Checkpoint>(&self, epoch: u64, record: R) -> Result<(), BurnError> {
        let failed = |reason| BurnError::Record { part: self.part.name(), epoch, reason };
        let bytes = record.checkpoint_into_bytes().map_err(|error| failed(error.to_string()))?;
        let state = record::state(bytes).map_err(failed)?;
        self.joint.deposit(self.part, epoch, state)
    }

    fn try_restore<R: Checkpoint>(&self, epoch: u64) -> Result<R, BurnError> {
        let failed = |reason| BurnError::Record { part: self.part.name(), epoch, reason };
        let state = self.joint.restore(self.part, epoch)?;
        let bytes = record::bytes(&state).map_err(failed)?;
        R::checkpoint_from_bytes(bytes).map_err(|error| failed(error.to_string()))
    }

    /// A panic would end the thread that burn has for this part, and then the training, by another panic.
    fn guarded<T>(
        &self,
        epoch: u64,
        act: impl FnOnce() -> Result<T, BurnError>,
    ) -> Result<T, BurnError> {
        catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
            let reason = format!("it panicked: {}", message(&*panic));
            Err(BurnError::Record { part: self.part.name(), epoch, reason })
        })
    }
}

impl<R: Checkpoint> Checkpointer<R> for PartCheckpointer {
    fn save(&self, epoch: usize, record: R) -> Result<(), CheckpointerError> {
        let epoch = epoch as u64;
        match self.guarded(epoch, || self.try_save(epoch, record)) {
            Ok(()) => Ok(()),
            Err(error) if self.joint.on_error == OnError::Warn => {
                self.joint.note(|| error.to_string());
                Ok(())
            }
            Err(error) => Err(CheckpointerError::Unknown(error.to_string())),
        }
    }

    fn delete(&self, _: usize) -> Result<(), CheckpointerError> {
        Ok(())
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        let epoch = epoch as u64;
        let restored = self.guarded(epoch, || self.try_restore(epoch));
        restored.map_err(|error| CheckpointerError::Unknown(error.to_string()))
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Saves after each epoch, and leaves removing to the retention of the run.
pub struct SaveEachEpoch {
    pub(crate) joint: Arc<Joint>,
}

impl CheckpointingStrategy for SaveEachEpoch {
    fn checkpointing(&mut self, _: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        self.joint.begin_of_handover();
        vec![CheckpointingAction::Save]
    }
}
