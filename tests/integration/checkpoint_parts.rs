//! The state of a training run beyond model and optimizer: a scheduler, random number generators as bytes, the
//! position of a data loader, a gradient scaler. Each is a part of its own, comes back exactly, and is read by
//! zarr-python.

use qstore::{
    CheckpointManager, CheckpointSettings, Counter, Layout, Snapshot, State, StateDict, Tensor,
};
use qstore_tests::readers;
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 37 + 255) as u8).collect()
}

fn parts() -> Vec<(&'static str, StateDict)> {
    let mut scheduler = StateDict::from_iter([
        ("last_epoch", State::from(41_i64)),
        ("base_lrs", vec![State::from(1e-3), State::from(3e-4)].into()),
        ("verbose", false.into()),
    ]);
    scheduler.insert("warmup", StateDict::from_iter([("steps", 1_000_i64)]));
    let cpu = Tensor::from_vec(bytes(5_056), [5_056]).unwrap();
    let numpy = StateDict::from_iter([
        ("name", State::from("MT19937")),
        ("keys", Tensor::from_vec((0..624_u32).collect(), [624]).unwrap().into()),
        ("position", State::from(i64::MAX)),
    ]);
    let mut rng = StateDict::from_iter([("torch", cpu)]);
    rng.insert("numpy", numpy);
    let order = Tensor::from_vec((0..1_000_i64).rev().collect(), [1_000]).unwrap();
    let mut loader = StateDict::from_iter([("order", order)]);
    loader.insert("position", 321_i64);
    let scaler = StateDict::from_iter([
        ("scale", State::from(65_536.0)),
        ("growth_tracker", State::from(17_i64)),
        ("nothing", State::Null),
    ]);
    vec![("scheduler", scheduler), ("rng", rng), ("data_loader", loader), ("scaler", scaler)]
}

#[test]
fn every_part_comes_back_and_is_read_by_zarr_python() {
    let dir = tempfile::tempdir().unwrap();
    let model =
        StateDict::from_iter([("w", Tensor::from_vec(vec![0.5_f32; 600], [20, 30]).unwrap())]);
    let mut paths = Vec::new();
    for (layout, counter) in
        [(Layout::SingleFile, Counter::Epoch), (Layout::Directory, Counter::Step)]
    {
        let home = dir.path().join(counter.name());
        let settings = CheckpointSettings::default().layout(layout).counter(counter);
        let mut manager = CheckpointManager::open(&home, settings).unwrap();
        let mut snapshot = Snapshot::new(12_000).model(model.clone()).meta("val_loss", 0.25);
        for (name, state) in parts() {
            snapshot = snapshot.part(name, state);
        }
        manager.save(snapshot).unwrap().wait(LONG).unwrap();
        manager.verify(12_000).unwrap();
        let loaded = manager.load(12_000).unwrap();
        let names: Vec<_> = loaded.parts.names().collect();
        assert_eq!(names, ["model", "scheduler", "rng", "data_loader", "scaler"]);
        assert_eq!(loaded.model(), Some(&model));
        for (name, state) in parts() {
            assert_eq!(loaded.part(name), Some(&state), "{name}");
        }
        manager.close(LONG).unwrap();
        let name = match counter {
            Counter::Step => "step_00012000",
            _ => "epoch_12000.zarr.zip",
        };
        paths.push(home.join(name));
    }
    let order: Vec<i64> = (0..1_000).rev().collect();
    let expected = json!({
        "paths": paths,
        "number": 12_000,
        "metadata": { "val_loss": 0.25 },
        "attributes": {
            "model": {},
            "scheduler": { "last_epoch": 41, "base_lrs": [1e-3, 3e-4], "verbose": false,
                "warmup": { "steps": 1_000 } },
            "rng": { "numpy": { "name": "MT19937", "position": i64::MAX } },
            "data_loader": { "position": 321 },
            "scaler": { "scale": 65_536.0, "growth_tracker": 17, "nothing": null },
        },
        "arrays": { "rng/torch": bytes(5_056), "data_loader/order": order },
    });
    let file = readers::expect(dir.path(), &expected);
    assert_eq!(readers::run("parts.py", &[&file]).trim(), "5 parts equal in 2 checkpoints");
}
