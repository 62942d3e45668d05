//! Every exit code has a call that ends with it.

use super::kit::{call, package, scratch};
use qstore_cli::Exit;
use qstore_storage::{FileSystem, LocalFs};
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
    check("verify --decode damaged/epoch_0003.zarr.zip", Exit::Damaged, "");
    check(
        "diff damaged/epoch_0003.zarr.zip damaged/epoch_0003.zarr.zip",
        Exit::Damaged,
        "restore it",
    );
    check("show nothing", Exit::Missing, "nothing does not exist");
    check("tail runs/run_003 -c los", Exit::Missing, "names are case-sensitive");
    check("explain runs/run_004", Exit::Missing, "has no checkpoints");
    check("pin runs/run_003 17", Exit::Missing, "no checkpoint 17");
    check("ls runs -m accuracy:last --sort last", Exit::Done, "");
    check("plot runs/run_003 -y los", Exit::Missing, "no run has a column `los`");
    check("ls nothing", Exit::Missing, "does not exist");
    check("compare runs/run_003/checkpoints", Exit::Usage, "runs, or directories of runs");
    check("compare runs/run_003 --fail-if los>1", Exit::Missing, "no value of `los`");
    check("compare runs/run_003 --fail-if val_loss>0.1", Exit::Crossed, "is crossed by");
    check("compare runs/run_003 --fail-if val_loss>0.2", Exit::Done, "");
    check("compare runs/run_003 --fail-if val_loss", Exit::Usage, "val_loss:min>0.3");
    check("recover damaged/longer.parquet", Exit::Damaged, "");
    check("export runs/run_003 -o x", Exit::Usage, "--to csv");
    check("export runs/run_003 runs/run_004 -o x.csv", Exit::Usage, "--all");
    check("import x.csv out-of-nothing", Exit::Missing, "x.csv does not exist");
    check("tag runs/run_003/metrics.parquet +a", Exit::Usage, "is a metrics file");
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
fn a_writer_at_work_is_left_alone() {
    let copy = scratch();
    let path = copy.path().join("damaged/longer.parquet");
    let lock = copy.path().join("damaged/.longer.parquet.lock");
    let _held = LocalFs::new().try_lock(&lock).unwrap().expect("nobody else has it");
    let called = call(&["recover", &path.display().to_string(), "--write"]);
    assert_eq!(called.exit, Exit::Busy, "{}", called.err);
    assert!(called.err.contains("another writer"), "{}", called.err);
}

#[test]
fn a_damaged_file_is_rescued_once_and_set_aside() {
    let copy = scratch();
    let path = copy.path().join("damaged/longer.parquet");
    let before = fs::read(&path).unwrap();
    let line = path.display().to_string();
    let called = call(&["recover", &line, "--write"]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    assert!(called.out.contains("84 rows were rescued"), "{}", called.out);
    assert_eq!(call(&["verify", &line]).exit, Exit::Done);
    assert_eq!(call(&["recover", &line]).exit, Exit::Done);
    let aside =
        fs::read_dir(copy.path().join("damaged")).unwrap().map(|entry| entry.unwrap().path());
    let aside = aside.filter(|path| path.to_string_lossy().contains(".corrupt-"));
    assert_eq!(aside.map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [before]);
}

#[test]
fn every_code_is_promised() {
    let codes = Exit::ALL.map(|(exit, _)| exit.code());
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 130]);
    let page = fs::read_to_string(package().join("../../docs/cli.md")).unwrap();
    let (_, table) = page.split_once("| exit code | |\n|---|---|\n").unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), codes.len(), "{rows:?}");
    for (row, (exit, name)) in rows.iter().zip(Exit::ALL) {
        let row = row.replace(['*', '`'], "");
        assert!(row.starts_with(&format!("| {} | {name}", exit.code())), "{row} is not {name}");
    }
}

#[test]
fn what_verify_does_not_search_is_reported() {
    let copy = scratch();
    let dir = copy.path().join("deep");
    let deepest = dir.join("1/2/3/4/5/6/7/8");
    fs::create_dir_all(&deepest).unwrap();
    fs::copy(copy.path().join("damaged/metrics.parquet"), deepest.join("metrics.parquet")).unwrap();
    fs::copy(copy.path().join("runs/run_003/metrics.parquet"), dir.join("1/a.parquet")).unwrap();
    fs::write(dir.join("1/x.safetensors"), b"not one").unwrap();
    let called = call(&["verify", "--json", &dir.display().to_string()]);
    assert_eq!(called.exit, Exit::Damaged, "{}", called.out);
    let found: serde_json::Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!((&found["whole"], &found["unchecked"]), (&1.into(), &1.into()), "{}", called.out);
    assert!(called.out.contains("nested too deep"), "{}", called.out);
    assert!(called.out.contains("x.safetensors"), "{}", called.out);

    let run = copy.path().join("runs/run_003");
    fs::write(run.join("run.json"), b"{\"format\":\"qstore-run\",").unwrap();
    let called = call(&["verify", &run.display().to_string()]);
    assert_eq!(called.exit, Exit::Damaged, "{}", called.out);
    assert!(called.out.contains("run.json"), "{}", called.out);
    fs::write(run.join("run.json"), br#"{"format":"qstore-run","version":99}"#).unwrap();
    let called = call(&["verify", &run.display().to_string()]);
    assert_eq!(called.exit, Exit::Done, "{}", called.out);
    assert!(called.out.contains("1 unchecked"), "{}", called.out);
}

#[test]
fn what_cannot_be_read_is_not_damaged() {
    let copy = scratch();
    let run = copy.path().join("runs/run_005");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("run.json"), r#"{"format":"qstore-run","version":99}"#).unwrap();
    let called = call(&["ls", &copy.path().join("runs").display().to_string()]);
    assert_eq!(called.exit, Exit::Failed);
    assert!(called.out.contains("run_003") && called.out.contains("unreadable"), "{}", called.out);
    assert!(called.err.contains("update Q-Store"), "{}", called.err);
}
