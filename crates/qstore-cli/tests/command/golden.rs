//! What each verb prints is in `tests/golden`: NAME.txt, the same call with `--json` in NAME.json, and what it
//! says on the error stream in NAME.err. `QSTORE_CLI_GOLDEN=make` writes them again; look at the difference.

use super::kit::{call, package};
use qstore_cli::Exit;
use std::fs;

/// A name, a call, and how it ends.
const CALLS: &[(&str, &str, Exit)] = &[
    (
        "diff",
        "diff runs/run_003/checkpoints/epoch_0002.zarr.zip runs/run_003/checkpoints/epoch_0003.zarr.zip",
        Exit::Done,
    ),
    ("explain", "explain runs/run_003 --keep-last 2 --keep-best 1:val_loss:min", Exit::Done),
    ("explain-stored", "explain runs/run_003", Exit::Done),
    ("explain-idle", "explain runs/run_003 --keep-best 1:val_los:min", Exit::Done),
    ("jobs", "jobs jobs", Exit::Done),
    ("jobs-open", "jobs jobs/jobs.parquet --open", Exit::Done),
    ("prune", "prune runs/run_003 --keep-last 2", Exit::Done),
    ("show-checkpoint", "show runs/run_003/checkpoints/epoch_0003.zarr.zip --stats", Exit::Done),
    ("show-checkpoints", "show runs/run_003/checkpoints", Exit::Done),
    ("show-metrics", "show runs/run_003/metrics.parquet", Exit::Done),
    ("tail", "tail runs/run_003 -n 5", Exit::Done),
    ("tail-epochs", "tail runs/run_003 --epochs -n 3 -c epoch,val_loss,note", Exit::Done),
    ("verify", "verify runs", Exit::Done),
    ("verify-damaged", "verify damaged", Exit::Damaged),
    ("verify-quick", "verify --quick runs/run_003", Exit::Done),
];

fn compare(file: &str, found: &str) {
    let path = package().join("tests/golden").join(file);
    if std::env::var_os("QSTORE_CLI_GOLDEN").is_some_and(|what| what == "make") {
        fs::write(&path, found).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == found, "{file} is\n{found}\nand should be\n{golden}");
}

#[test]
fn every_verb_prints_what_its_golden_files_have() {
    for (name, line, exit) in CALLS {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        let called = call(&arguments);
        assert_eq!(called.exit, *exit, "{line}: {}", called.err);
        compare(&format!("{name}.txt"), &format!("$ qstore {line}\n{}{}", called.out, called.err));
        arguments.push("--json");
        let called = call(&arguments);
        assert_eq!(called.exit, *exit, "{line} --json: {}", called.err);
        compare(&format!("{name}.json"), &called.out);
        let document: serde_json::Value = serde_json::from_str(&called.out).unwrap();
        let verb = arguments[0];
        assert_eq!(document["schema"], format!("qstore.{verb}/1"), "{line}");
        assert!(called.out.starts_with("{\"schema\":") && called.out.ends_with("}\n"), "{line}");
    }
}

#[test]
fn no_golden_file_is_left_over() {
    for entry in fs::read_dir(package().join("tests/golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.split('.').next().unwrap();
        assert!(CALLS.iter().any(|(known, _, _)| *known == stem), "{name} belongs to no call");
    }
}
