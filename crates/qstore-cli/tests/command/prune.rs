//! `prune` at a power cut, and what it refuses.

use super::kit::{call, scratch};
use qstore_checkpoint::Snapshot;
use qstore_cli::rules::Rules;
use qstore_cli::verbs::explain::apply;
use qstore_cli::{Exit, Failure};
use qstore_schema::{StateDict, Tensor};
use qstore_storage::testing::{CrashFs, cuts};
use qstore_storage::{FileSystem, MemoryFs};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Checkpoints};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const DIR: &str = "/checkpoints";

fn save(files: Arc<dyn FileSystem>) {
    let settings = CheckpointSettings::default().keep_last(0);
    let mut manager = CheckpointManager::open_in(files, DIR, settings).unwrap();
    for epoch in 0..6_u64 {
        let model = StateDict::from([("w", Tensor::scalar(epoch as f32))]);
        let loss = [0.5, 0.1, 0.4, 0.3, 0.6, 0.7][epoch as usize];
        let _ticket = manager.save(Snapshot::new(epoch).model(model).meta("loss", loss)).unwrap();
    }
    manager.close(Duration::from_secs(60)).unwrap();
}

#[derive(clap::Parser)]
struct OnlyRules {
    #[command(flatten)]
    rules: Rules,
}

fn rules(arguments: &[&str]) -> Rules {
    use clap::Parser;
    OnlyRules::parse_from(["rules"].iter().chain(arguments)).rules
}

#[test]
fn no_keeper_is_lost_whenever_the_power_is_cut() {
    let memory = MemoryFs::new();
    save(Arc::new(memory.clone()));
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let files = CrashFs::new(&memory, move |moment| {
        for cut in cuts(11, moment.number, 1) {
            let left: Arc<dyn FileSystem> = Arc::new(moment.memory.power_cut_by(cut));
            let checkpoints = Checkpoints::open_in(left, Path::new(DIR)).unwrap();
            for keeper in [1, 4, 5] {
                checkpoints.verify(keeper).unwrap_or_else(|error| {
                    panic!("{moment}, {cut}: {keeper} is lost: {error}");
                });
            }
            counted.fetch_add(1, SeqCst);
        }
    });
    let checkpoints = Checkpoints::open_in(files.shared(), DIR).unwrap();
    let rules = rules(&["--keep-last", "2", "--keep-best", "1:loss:min"]);
    let plan = rules.plan(&checkpoints).unwrap();
    let mut removed = Vec::new();
    apply(&checkpoints, &plan, &mut removed, &mut |_, _| Ok(())).unwrap();
    removed.sort_unstable();
    assert_eq!(removed, [0, 2, 3]);
    assert_eq!(checkpoints.list_checkpoints().unwrap(), [1, 4, 5]);
    assert!(looks.load(SeqCst) > 20, "the power was hardly ever cut");

    // The second time there is nothing to do.
    let before = files.changes();
    let plan = rules.plan(&checkpoints).unwrap();
    let mut removed = Vec::new();
    apply(&checkpoints, &plan, &mut removed, &mut |_, _| Ok(())).unwrap();
    assert_eq!((removed.len(), files.changes()), (0, before));
}

#[test]
fn an_interrupted_removal_stops_between_two_batches() {
    let memory = MemoryFs::new();
    save(Arc::new(memory.clone()));
    let checkpoints = Checkpoints::open_in(Arc::new(memory), DIR).unwrap();
    let plan = rules(&["--keep-last", "1"]).plan(&checkpoints).unwrap();
    let mut removed = Vec::new();
    let stop = &mut |_, _| Err(Failure::Interrupted);
    let stopped = apply(&checkpoints, &plan, &mut removed, stop);
    assert_eq!(stopped.unwrap_err().exit(), Exit::Interrupted);
    assert!(!removed.is_empty() && checkpoints.verify(5).is_ok());
}

#[test]
fn nothing_goes_without_apply_and_nothing_by_a_rule_that_keeps_nothing() {
    let copy = scratch();
    let run = copy.path().join("runs/run_003").display().to_string();
    let count =
        || Checkpoints::open(format!("{run}/checkpoints")).unwrap().list_checkpoints().unwrap();
    let check = |arguments: &[&str], exit: Exit, left: &[u64]| {
        let all: Vec<_> = ["prune", &run].iter().chain(arguments).copied().collect();
        let called = call(&all);
        assert_eq!(called.exit, exit, "{arguments:?}: {}", called.err);
        assert_eq!(count(), left, "{arguments:?}");
        called
    };
    check(&["--keep-last", "1"], Exit::Done, &[0, 1, 2, 3]);
    let refused = check(&["--keep-best", "1:val_los:min", "--apply"], Exit::Usage, &[0, 1, 2, 3]);
    assert!(refused.err.contains("val_loss"), "no similar name: {}", refused.err);
    check(&["--keep-every", "100", "--apply"], Exit::Done, &[0, 3]);
    assert_eq!(call(&["pin", &run, "0"]).exit, Exit::Done);
    check(&["--keep-last", "1", "--apply"], Exit::Done, &[0, 3]);
    assert_eq!(call(&["unpin", &run, "0"]).exit, Exit::Done);
    check(&["--keep-every", "7", "--keep-last", "1", "--apply"], Exit::Done, &[0, 3]);
    check(&["--keep-last", "1", "--apply"], Exit::Done, &[3]);
    check(&["--keep-every", "7", "--apply"], Exit::Usage, &[3]);
}
