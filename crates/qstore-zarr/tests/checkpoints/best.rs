//! Retention never removes the best, whatever the metadata look like and whichever policy was there
//! before; and a rule that finds nothing to rank by is reported.

use crate::states::{Durable, model};
use crate::watched::Watched;
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_storage::{FileSystem, MemoryFs, Operation, read_all};
use qstore_zarr::retention::{Cause, Goal, Policy, Reason};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, Snapshot, State, StateDict};
use std::io;
use std::path::Path;
use std::sync::Arc;

const LAYOUTS: [Layout; 2] = [Layout::SingleFile, Layout::Directory];

fn open(fs: &MemoryFs, settings: &CheckpointSettings) -> CheckpointManager {
    CheckpointManager::open_in(Arc::new(fs.clone()), Path::new("/c"), settings.clone()).unwrap()
}

fn settings(layout: Layout) -> CheckpointSettings {
    CheckpointSettings::default().layout(layout).workers(1)
}

fn numbers(prefix: &str, count: usize) -> StateDict {
    (0..count).map(|n| (format!("{prefix}_{n:03}"), n as f64)).collect()
}

/// Metadata with `before` and `after` other numbers around the metric, at each level of its path.
fn metadata(path: &[String], value: impl Into<State>, before: usize, after: usize) -> StateDict {
    let (key, rest) = path.split_first().unwrap();
    let node =
        if rest.is_empty() { value.into() } else { metadata(rest, value, before, after).into() };
    let mut dict = numbers("before", before);
    dict.insert(key.as_str(), node);
    for (key, node) in numbers("after", after) {
        dict.insert(key, node);
    }
    dict
}

fn path() -> impl Strategy<Value = Vec<String>> {
    let key =
        prop::sample::select(vec!["val_loss", "metrics", "a/b", "val.loss", "0", "~", "ü ö", "/"]);
    prop::collection::vec(key.prop_map(ToOwned::to_owned), 1..4)
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(48)))]
    #[test]
    fn the_best_stays_whatever_the_metadata_and_the_earlier_policy(
        path in path(),
        losses in prop::collection::vec(prop::sample::select(vec![0.5, 0.1, -3.0, 1e300, f64::INFINITY]), 3..6),
        before in prop::sample::select(vec![0_usize, 1, 63, 64, 200]),
        after in prop::sample::select(vec![0_usize, 5, 70]),
        policy_comes_late in any::<bool>(),
        reopens in any::<bool>(),
        layout in prop::sample::select(LAYOUTS.to_vec()),
    ) {
        let memory = MemoryFs::new();
        let settings = settings(layout);
        let ranking = settings.clone().keep_last(1).keep_best(1, path.join("/"), Goal::Lowest);
        let first = if policy_comes_late { settings.keep_last(0) } else { ranking.clone() };
        let mut manager = open(&memory, &first);
        for (epoch, loss) in (0..).zip(&losses) {
            if reopens && epoch == 2 {
                manager = open(&memory, &ranking);
            }
            let metadata = metadata(&path, *loss, before, after);
            let saved = manager.save(Snapshot::new(epoch).metadata(metadata)).unwrap().durable();
            prop_assert_eq!(saved.unranked, None);
        }
        let manager = open(&memory, &ranking);
        let worst = metadata(&path, f64::INFINITY, before, after);
        let newest = losses.len() as u64;
        manager.save(Snapshot::new(newest).metadata(worst)).unwrap().durable();
        // Of equal values, the newer save wins.
        let all = losses.iter().copied().chain([f64::INFINITY]);
        let best = (0_u64..).zip(all).reduce(|one, other| if other.1 <= one.1 { other } else { one });
        let mut expected = vec![best.unwrap().0, newest];
        expected.dedup();
        prop_assert_eq!(manager.list_checkpoints().unwrap(), expected);
    }
}

#[test]
fn a_rule_that_finds_no_number_is_reported_by_the_ticket_and_the_plan() {
    let cases: [(&str, State, &str); 6] = [
        (
            "val_acc",
            0.5.into(),
            "its metadata have no number `val_acc`; did you mean `val_accuracy`?",
        ),
        ("metrics/val_accuracy", 0.5.into(), "did you mean `val_accuracy`?"),
        ("perplexity", 0.5.into(), "its metadata have no number `perplexity`"),
        ("val_accuracy", f64::NAN.into(), "its `val_accuracy` is NaN"),
        ("val_accuracy", "0.5".into(), "its `val_accuracy` is a text, which is not a number"),
        ("val_accuracy", State::Null, "its `val_accuracy` is null, which is not a number"),
    ];
    for (metric, node, message) in cases {
        for layout in LAYOUTS {
            let memory = MemoryFs::new();
            let settings = settings(layout).keep_last(2).keep_best(1, metric, Goal::Highest);
            let manager = open(&memory, &settings);
            for epoch in 0..4 {
                let metadata = StateDict::from([("val_accuracy", node.clone())]);
                let snapshot = Snapshot::new(epoch).metadata(metadata);
                let saved = manager.save(snapshot).unwrap().durable();
                let said = saved.unranked.expect("it cannot be ranked").to_string();
                assert!(said.contains(message), "{said}");
                assert_eq!(saved.retention, None, "the save itself has succeeded");
            }
            assert!(manager.health().is_ok());
            // Another process, which has only the files.
            let plan = open(&memory, &settings).explain().unwrap();
            assert_eq!(plan.len(), 2);
            for decision in plan {
                assert!(decision.keep && decision.to_string().contains(message), "{decision}");
            }
        }
    }
}

#[test]
fn a_rule_that_keeps_none_or_does_not_exist_reports_nothing() {
    for policy in [Policy::keep_last(1), Policy::keep_last(1).best(0, "loss", Goal::Lowest)] {
        let memory = MemoryFs::new();
        let manager = open(&memory, &settings(LAYOUTS[0]).retention(policy));
        assert_eq!(manager.save(Snapshot::new(1)).unwrap().durable().unranked, None);
        assert_eq!(manager.explain().unwrap()[0].unranked, None);
    }
}

/// Regression: a manifest notes floats, in which neighboring large integers are equal.
#[test]
fn large_integers_are_ranked_exactly_after_reopening() {
    let memory = MemoryFs::new();
    let settings = settings(LAYOUTS[0]).keep_last(1).keep_best(1, "tokens", Goal::Highest);
    let base = (1_i64 << 60) + 1;
    for (epoch, tokens) in [(1, base + 2), (2, base + 1), (3, base), (4, base - 1)] {
        let manager = open(&memory, &settings);
        manager.save(Snapshot::new(epoch).meta("tokens", tokens)).unwrap().durable();
    }
    assert_eq!(open(&memory, &settings).list_checkpoints().unwrap(), [1, 4]);
}

/// A metric that the manifest does not note has to be read; while that fails, its checkpoint may be the
/// best.
#[test]
fn a_checkpoint_whose_metric_cannot_be_read_is_kept() {
    let watched = Watched::new(&MemoryFs::new());
    let open = |settings: CheckpointSettings| {
        CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap()
    };
    let manager = open(settings(LAYOUTS[1]).keep_last(0));
    let save = |manager: &CheckpointManager, epoch: u64, loss: f64| {
        let metadata = StateDict::from([("val", StateDict::from([("loss", loss)]))]);
        manager.save(Snapshot::new(epoch).model(model(epoch)).metadata(metadata)).unwrap().durable()
    };
    for (epoch, loss) in [(1, 0.3), (2, 0.1), (3, 0.2)] {
        save(&manager, epoch, loss);
    }
    watched.set(|_, operation, path| {
        let is_lost = operation == Operation::Open
            && (path.ends_with("epoch_0001/zarr.json") || path.ends_with("epoch_0002/zarr.json"));
        if is_lost { Err(io::Error::other("the disk is worn out here")) } else { Ok(()) }
    });
    let policy = settings(LAYOUTS[1]).keep_last(1).keep_best(1, "val/loss", Goal::Lowest);
    let manager = open(policy.clone());
    let plan = manager.explain().unwrap();
    let reasons: Vec<_> = plan.iter().map(|decision| decision.reason.clone()).collect();
    assert_eq!(reasons, [Reason::Newest, Reason::MayBeBest, Reason::MayBeBest]);
    let unranked = plan[1].unranked.as_ref().unwrap();
    assert!(matches!(&unranked.cause, Cause::Unread { reason } if reason.contains("worn out")));
    assert_eq!(save(&manager, 4, 0.4).removed, [0; 0], "3 is the best of those that can be read");
    // Once they can be read again, they are ranked.
    watched.set(|_, _, _| Ok(()));
    assert_eq!(save(&manager, 5, 0.5).removed, [1, 3, 4]);
    assert_eq!(manager.list_checkpoints().unwrap(), [2, 5]);
}

/// Metadata are read once per process, not at every save, and not at all while everything is kept.
#[test]
fn metadata_are_read_only_if_a_removal_depends_on_them() {
    let watched = Watched::new(&MemoryFs::new());
    let open = |settings: CheckpointSettings| {
        CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap()
    };
    let reads = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let reset = || {
        let counted = Arc::clone(&reads);
        counted.store(0, std::sync::atomic::Ordering::SeqCst);
        watched.set(move |_, operation, path| {
            if operation == Operation::Open && path.parent().is_some_and(|p| p != Path::new("/c")) {
                let is_root = path.ends_with("zarr.json");
                counted.fetch_add(usize::from(is_root), std::sync::atomic::Ordering::SeqCst);
            }
            Ok(())
        });
    };
    let save = |manager: &CheckpointManager, epoch: u64| {
        let val = StateDict::from([("loss", epoch as f64)]);
        let metadata = StateDict::from([("val", val)]);
        manager.save(Snapshot::new(epoch).metadata(metadata)).unwrap().durable();
        reads.load(std::sync::atomic::Ordering::SeqCst)
    };
    let all = settings(LAYOUTS[1]).keep_last(0);
    let manager = open(all.clone());
    for epoch in 1..=4 {
        save(&manager, epoch);
    }
    reset();
    let ranking = all.clone().keep_best(1, "val/loss", Goal::Lowest);
    assert_eq!(save(&open(ranking.clone()), 5), 0, "everything is kept");
    let manager = open(ranking.keep_last(3));
    // 1 to 4 were saved under another policy; 5 and 6 are noted.
    assert_eq!(save(&manager, 6), 4);
    assert_eq!(save(&manager, 7), 4, "1 is the best, and is known by now");
    assert_eq!(manager.list_checkpoints().unwrap(), [1, 5, 6, 7]);
}

/// What an older version, and a reader of the format, find in the manifest.
#[test]
fn the_manifest_notes_the_ranked_metric_first_and_few_others() {
    let memory = MemoryFs::new();
    let settings = settings(LAYOUTS[1]).keep_best(1, "val/loss", Goal::Lowest);
    let manager = open(&memory, &settings);
    let path = ["val".to_owned(), "loss".to_owned()];
    let snapshot = Snapshot::new(1).metadata(metadata(&path, 0.25, 100, 0));
    manager.save(snapshot).unwrap().durable();
    let manifest = read_all(&memory, Path::new("/c/epoch_0001/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let metrics = manifest["metrics"].as_array().unwrap();
    assert_eq!(metrics[0], serde_json::json!(["val/loss", 0.25_f64.to_bits()]));
    assert_eq!(metrics[1][0], "before_000");
    assert_eq!((manifest["version"].as_u64(), metrics.len()), (Some(2), 64));
    assert!(memory.metadata(Path::new("/c/epoch_0001")).unwrap().is_some());
}
