//! Saves into a bucket and reads one tensor of it back. The bucket is in memory here.

use qstore_bucket::{BucketSettings, ObjectRepository};
use qstore_objects::{Limits, MemoryObjects, Store};
use qstore_zarr::{
    CheckpointManager, CheckpointSettings, Checkpoints, Select, Snapshot, StateDict, Tensor,
};
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(Arc::new(MemoryObjects::new()), Limits::default())?;
    let bucket = ObjectRepository::new(store, "run_001/checkpoints", BucketSettings::default())?;
    let settings = CheckpointSettings::default().keep_last(2);
    let mut manager = CheckpointManager::over(Arc::new(bucket.clone()), settings)?;
    for epoch in 0..4 {
        let model = StateDict::from_iter([("w", Tensor::scalar(epoch as f32))]);
        let _ticket = manager.save(Snapshot::new(epoch).model(model))?;
    }
    manager.close(Duration::from_secs(60))?;
    let checkpoints = Checkpoints::of(Arc::new(bucket));
    println!("kept: {:?}", checkpoints.list_checkpoints()?);
    let some = checkpoints.load_tensors(3, &Select::Name("model/w".into()))?;
    println!("model/w = {:?}", some[0].1.as_slice::<f32>()?);
    Ok(())
}
