//! Every exit code has a call that ends with it.

use super::kit::{call, scratch};
use qstore_cli::Exit;
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::Row;
use std::fs;

fn check(line: &str, exit: Exit, says: &str) {
    let called = call(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(called.exit, exit, "{line}: {}", called.err);
    assert!(called.err.contains(says), "{line} says {}", called.err);
}

#[test]
fn a_failure_has_a_code_and_says_what_to_do() {
    let checkpoint = "runs/run_003/checkpoints/epoch_0003.zarr.zip";
    check("verify runs", Exit::Done, "");
    check("show damaged/metrics.parquet", Exit::Done, "");
    check("verify damaged/epoch_0003.zarr.zip", Exit::Damaged, "");
    check(
        "diff damaged/epoch_0003.zarr.zip damaged/epoch_0003.zarr.zip",
        Exit::Damaged,
        "restore it",
    );
    check("show nothing", Exit::Missing, "nothing does not exist");
    check("tail runs/run_003 -c los", Exit::Missing, "names are case-sensitive");
    check("explain runs/run_004", Exit::Missing, "has no checkpoints");
    check("pin runs/run_003 17", Exit::Missing, "no checkpoint 17");
    check("shw runs", Exit::Usage, "'show'");
    check("show --jsn", Exit::Usage, "--json");
    check("explain runs", Exit::Usage, "a run or a directory of checkpoints");
    check(&format!("tail {checkpoint}"), Exit::Usage, "is a checkpoint");
    check("tail runs/run_003 -f --json", Exit::Usage, "--jsonl");
    check("explain runs/run_003 --keep-last 0", Exit::Usage, "0 is not in 1");
    check("explain runs/run_003 --keep-best val_loss", Exit::Usage, "N:METRIC:min");
    check(
        "prune runs/run_003 --keep-best 1:val_los:min --apply",
        Exit::Usage,
        "nothing was removed",
    );
}

#[test]
fn what_cannot_be_read_is_a_failure_and_not_damage() {
    let copy = scratch();
    let dir = copy.path().join("runs/run_003/checkpoints/epoch_0002.zarr.zip");
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    let called = call(&["show", &dir.display().to_string()]);
    assert_eq!(called.exit, Exit::Usage, "{}", called.err);
    drop(MetricsLog::<Row>::open(copy.path().join("x.parquet"), WriterSettings::default()));
}
