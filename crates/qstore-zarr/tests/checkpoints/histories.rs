//! Random sequences of saving, loading, listing, pinning, damaging and reopening, in both layouts,
//! checked against a model that keeps the states in a map.

use crate::states::Durable;
use crate::states::{assert_same, model};
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_storage::{FileSystem, MemoryFs};
use qstore_zarr::retention::{Candidate, Goal, Policy, plan};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, LoadError, Snapshot};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Step {
    Save {
        epoch: u64,
        loss: Option<f64>,
    },
    Pin(u64),
    Unpin(u64),
    /// The manifest of this epoch's checkpoint is truncated.
    Damage(u64),
    /// Another process opens the directory, with the same layout or the other one.
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let loss = prop::option::of(prop::sample::select(vec![0.5, 1.0, 1.0, f64::NAN, -0.0]));
    prop_oneof![
        8 => (0_u64..6, loss).prop_map(|(epoch, loss)| Step::Save { epoch, loss }),
        1 => (0_u64..6).prop_map(Step::Pin),
        1 => (0_u64..6).prop_map(Step::Unpin),
        1 => (0_u64..6).prop_map(Step::Damage),
        2 => any::<bool>().prop_map(Step::Reopen),
    ]
}

/// What the directory should contain.
#[derive(Debug, Default)]
struct Believed {
    saved: BTreeMap<u64, (u64, Option<f64>)>,
    damaged: Vec<u64>,
    pinned: Vec<u64>,
    seed: u64,
}

impl Believed {
    fn retain(&mut self, policy: &Policy) -> Vec<u64> {
        let candidate = |(epoch, (seed, loss)): (&u64, &(u64, Option<f64>))| {
            let found = Candidate::new(*epoch, *seed).pinned(self.pinned.contains(epoch));
            loss.map_or(found.clone(), |loss| found.metric("loss", loss))
        };
        let history: Vec<Candidate> = self.saved.iter().map(candidate).collect();
        let gone = plan(&history, policy).into_iter().filter(|decision| !decision.keep);
        let mut gone: Vec<u64> = gone.map(|decision| decision.number).collect();
        gone.sort_unstable();
        self.saved.retain(|epoch, _| !gone.contains(epoch));
        gone
    }
}

fn open(memory: &MemoryFs, policy: &Policy, layout: Layout, dedup: bool) -> CheckpointManager {
    let mut settings = CheckpointSettings::default().layout(layout).workers(1).chunk_bytes(64);
    settings = settings.deduplicate(dedup && layout == Layout::Directory);
    settings.retention = policy.clone();
    CheckpointManager::open_in(Arc::new(memory.clone()), Path::new("/c"), settings).unwrap()
}

/// Cuts the checkpoint's file, or its manifest, in half.
fn damage(memory: &MemoryFs, epoch: u64, layout: Layout) -> bool {
    let path = match layout {
        Layout::SingleFile => format!("/c/epoch_{epoch:04}.zarr.zip"),
        Layout::Directory => format!("/c/epoch_{epoch:04}/manifest.json"),
    };
    let Ok(file) = memory.open(Path::new(&path)) else { return false };
    file.set_len(file.len().unwrap() / 2).unwrap();
    true
}

/// Says how many histories there are: `PROPTEST_CASES` sets more than the default run has time for.
fn config() -> ProptestConfig {
    let config = contextualize_config(ProptestConfig::with_cases(64));
    println!("{} cases: histories of a manager", config.cases);
    config
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn after_any_history_the_directory_matches_the_model(
        steps in prop::collection::vec(step(), 1..25),
        keep_last in 0_usize..4,
        best in 0_usize..3,
        every in prop::option::of(1_u64..4),
        starts_with_a_directory in any::<bool>(),
        dedup in any::<bool>(),
    ) {
        let mut policy = Policy::keep_last(keep_last).best(best, "loss", Goal::Lowest);
        policy.every = every;
        let memory = MemoryFs::new();
        let layout_of = |is_directory| {
            if is_directory { Layout::Directory } else { Layout::SingleFile }
        };
        let mut layout = layout_of(starts_with_a_directory);
        let mut manager = open(&memory, &policy, layout, dedup);
        let mut believed = Believed::default();
        for step in steps {
            match step {
                Step::Save { epoch, loss } => {
                    believed.seed += 1;
                    let seed = believed.seed;
                    let mut snapshot = Snapshot::new(epoch).model(model(seed));
                    if let Some(loss) = loss {
                        snapshot = snapshot.meta("loss", loss);
                    }
                    let saved = manager.save(snapshot).unwrap().durable();
                    believed.damaged.retain(|damaged| *damaged != epoch);
                    believed.saved.insert(epoch, (seed, loss));
                    prop_assert_eq!(saved.removed, believed.retain(&policy));
                }
                Step::Pin(epoch) => {
                    manager.pin(epoch).unwrap();
                    believed.pinned.push(epoch);
                }
                Step::Unpin(epoch) => {
                    manager.unpin(epoch).unwrap();
                    believed.pinned.retain(|pinned| *pinned != epoch);
                }
                Step::Damage(epoch) => {
                    // In the layout of the next save, which then replaces it.
                    if believed.saved.contains_key(&epoch) && damage(&memory, epoch, layout) {
                        believed.saved.remove(&epoch);
                        believed.damaged.push(epoch);
                    }
                }
                Step::Reopen(is_directory) => {
                    // A damaged epoch saved again in the other layout leaves both behind. That is
                    // correct, but more than this model tracks.
                    if believed.damaged.is_empty() {
                        layout = layout_of(is_directory);
                    }
                    manager = open(&memory, &policy, layout, dedup);
                }
            }
            let listed: Vec<u64> = believed.saved.keys().copied().collect();
            prop_assert_eq!(manager.list_checkpoints().unwrap(), listed);
            let newest = believed.saved.iter().max_by_key(|(_, (seed, _))| *seed);
            let newest = newest.map(|(epoch, _)| *epoch);
            prop_assert_eq!(manager.latest_checkpoint().unwrap(), newest);
            for (epoch, (seed, _)) in &believed.saved {
                assert_same(manager.load(*epoch).unwrap().model().unwrap(), &model(*seed));
                manager.verify(*epoch).unwrap();
            }
            for epoch in &believed.damaged {
                prop_assert!(manager.load(*epoch).unwrap_err().damage().is_some());
            }
            match manager.load_latest() {
                Ok(latest) => {
                    let skipped = latest.as_ref().map_or(0, |latest| latest.skipped.len());
                    let found = latest.map(|latest| latest.checkpoint.number());
                    prop_assert_eq!(found, newest);
                    prop_assert_eq!(skipped, believed.damaged.len());
                }
                Err(LoadError::NoneValid { skipped, .. }) => {
                    prop_assert!(believed.saved.is_empty());
                    prop_assert_eq!(skipped.len(), believed.damaged.len());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
