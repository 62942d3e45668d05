//! Checks a repository of our own with the conformance kit, under faults and power cuts, and saves checkpoints
//! into it.

mod repository;

use qstore_checkpoint::repository::conformance::{self, TestBed};
use qstore_checkpoint::repository::{Fault, Faulty, Repository};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot, StateDict, Tensor};
use repository::MapRepository;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

impl TestBed for MapRepository {
    fn repository(&self) -> Arc<dyn Repository> {
        Arc::new(self.clone())
    }

    fn power_cuts(&self) -> Vec<Arc<dyn Repository>> {
        vec![Arc::new(self.copy())]
    }
}

fn model(number: u64) -> Result<StateDict, Box<dyn Error>> {
    let values: Vec<f32> = (0..1_000).map(|at| (number * 1_000 + at) as f32).collect();
    Ok(StateDict::from_iter([("w", Tensor::from_vec(values, [10, 100])?)]))
}

fn manager(repository: Arc<dyn Repository>) -> Result<CheckpointManager, Box<dyn Error>> {
    let settings = CheckpointSettings::default().keep_last(2).workers(1);
    Ok(CheckpointManager::over(repository, settings)?)
}

/// Saves three checkpoints while one request fails; what was acknowledged must be there afterwards, in the
/// map as it is and as a power cut would leave it. Returns whether the request was reached.
fn save_under_a_fault(request: u64, fault: Fault) -> Result<bool, Box<dyn Error>> {
    let map = MapRepository::default();
    let faulty = Faulty::new(Arc::new(map.clone()));
    faulty.fail(request, fault);
    let mut acknowledged = 0;
    if let Ok(mut manager) = manager(Arc::new(faulty.clone())) {
        for number in 1..=3 {
            let saved = manager
                .save(Snapshot::new(number).model(model(number)?))
                .and_then(|ticket| ticket.wait(PATIENCE));
            if saved.is_ok() {
                acknowledged = number;
            }
        }
        let _ = manager.close(PATIENCE);
    }
    for left in [map.clone(), map.copy()] {
        let manager = manager(Arc::new(left))?;
        for number in manager.list_checkpoints()? {
            assert_eq!(manager.load(number)?.model(), Some(&model(number)?), "{fault:?} {request}");
        }
        let latest = manager.latest_checkpoint()?.unwrap_or(0);
        assert!(latest >= acknowledged, "{fault:?} {request}: {acknowledged} was acknowledged");
        manager.save(Snapshot::new(9).model(model(9)?))?.wait(PATIENCE)?;
        assert_eq!(manager.latest_checkpoint()?, Some(9));
    }
    Ok(faulty.has_failed())
}

fn main() -> Result<(), Box<dyn Error>> {
    conformance::check(&MapRepository::default());
    let bed = || -> Box<dyn TestBed> { Box::new(MapRepository::default()) };
    let mut cases = conformance::check_faults(bed) + conformance::check_power_cuts(bed);
    for fault in [Fault::Refused, Fault::AnswerLost, Fault::Down] {
        for request in 0.. {
            cases += 1;
            if !save_under_a_fault(request, fault)? {
                break;
            }
        }
    }
    println!("a map of names conforms, in {cases} cases of faults and power cuts");
    Ok(())
}
