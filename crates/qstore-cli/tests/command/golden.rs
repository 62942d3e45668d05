//! What each verb prints is in `tests/golden`: NAME.txt, the same call with `--json` in NAME.json, and what it
//! says on the error stream in NAME.err. `QSTORE_CLI_GOLDEN=make` writes them again; look at the difference.

use super::kit::{call, copy_tree, enter, package};
use qstore_cli::{Exit, command};
use std::fs;

/// A name, a call, and how it ends.
const CALLS: &[(&str, &str, Exit)] = &[
    ("compare", "compare runs/run_003 runs/run_004 -m val_loss:min,train_loss:last", Exit::Done),
    ("compare-all", "compare runs --all --sort val_loss:min", Exit::Done),
    ("compare-csv", "compare runs/run_003 runs/run_004 --csv", Exit::Done),
    ("compare-markdown", "compare runs/run_003 runs/run_004 --md --drop train_loss", Exit::Done),
    (
        "compare-fail-if",
        "compare runs/run_003 runs/run_004 --fail-if val_loss:min>0.15",
        Exit::Crossed,
    ),
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
    ("export", "export runs/run_003 -o out/rows.csv", Exit::Done),
    ("export-all", "export runs --all -o out/runs.csv", Exit::Done),
    ("export-checkpoint", "export runs/run_003 --epoch 2 -o out/model.safetensors", Exit::Done),
    ("import", "import runs/run_003/metrics.parquet out/new", Exit::Done),
    ("ls", "ls runs", Exit::Done),
    ("ls-metric", "ls runs -m train_loss:max --sort best", Exit::Done),
    ("note", "note out/run", Exit::Done),
    ("note-append", "note out/run --append more", Exit::Done),
    ("pin", "pin out/run 1", Exit::Done),
    ("plot", "plot runs/run_003 -y train_loss --width 60 --height 10", Exit::Done),
    ("plot-epochs", "plot runs/run_003 --width 60 --height 8", Exit::Done),
    (
        "plot-two",
        "plot runs/run_003 runs/run_004 -y val_loss -x epoch --width 60 --height 8",
        Exit::Done,
    ),
    ("prune", "prune runs/run_003 --keep-last 2", Exit::Done),
    ("prune-apply", "prune out/run --keep-last 2 --apply", Exit::Done),
    ("recover", "recover damaged/longer.parquet", Exit::Damaged),
    ("report", "report runs/run_003 runs/run_004 -o out/report.html", Exit::Done),
    ("show-checkpoint", "show runs/run_003/checkpoints/epoch_0003.zarr.zip --stats", Exit::Done),
    ("show-checkpoints", "show runs/run_003/checkpoints", Exit::Done),
    ("show-metrics", "show runs/run_003/metrics.parquet", Exit::Done),
    ("show-run", "show runs/run_003", Exit::Done),
    ("tag", "tag out/run +best -baseline", Exit::Done),
    ("tail", "tail runs/run_003 -n 5", Exit::Done),
    ("tail-epochs", "tail runs/run_003 --epochs -n 3 -c epoch,val_loss,note", Exit::Done),
    ("unpin", "unpin out/run 1", Exit::Done),
    ("verify", "verify runs", Exit::Done),
    ("verify-damaged", "verify damaged", Exit::Damaged),
    ("verify-quick", "verify --quick runs/run_003", Exit::Done),
    ("verify-decode", "verify --decode runs/run_003/checkpoints", Exit::Done),
];

fn compare(file: &str, found: &str) {
    let path = package().join("tests/golden").join(file);
    if std::env::var_os("QSTORE_CLI_GOLDEN").is_some_and(|what| what == "make") {
        fs::write(&path, found).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == found, "{file} is\n{found}\nand should be\n{golden}");
}

/// `out` is where verbs write to, and `out/run` a copy of a run.
fn prepare() {
    enter();
    if fs::exists("out").unwrap() {
        fs::remove_dir_all("out").unwrap();
    }
    fs::create_dir_all("out/run").unwrap();
    copy_tree("runs/run_003".as_ref(), "out/run".as_ref());
}

#[test]
fn every_verb_has_golden_files() {
    // `serve` prints a random token, and `watch` takes a terminal; `serving.rs` and `watching.rs` have what they do.
    let without = ["completions", "man", "serve", "watch"];
    for verb in command().get_subcommands().map(clap_name) {
        let has = CALLS.iter().any(|(_, line, _)| line.split(' ').next() == Some(&verb));
        assert!(has || without.contains(&&*verb), "{verb} has no golden file");
    }
}

fn clap_name(command: &clap::Command) -> String {
    command.get_name().to_owned()
}

#[test]
fn every_verb_prints_what_its_golden_files_have() {
    for (name, line, exit) in CALLS {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        prepare();
        let called = call(&arguments);
        assert_eq!(called.exit, *exit, "{line}: {}", called.err);
        compare(&format!("{name}.txt"), &format!("$ qstore {line}\n{}{}", called.out, called.err));
        let verb = arguments[0];
        arguments.insert(1, "--json");
        prepare();
        let called = call(&arguments);
        assert_eq!(called.exit, *exit, "{line} --json: {}", called.err);
        compare(&format!("{name}.json"), &called.out);
        let document: serde_json::Value = serde_json::from_str(&called.out).unwrap();
        assert_eq!(document["schema"], format!("qstore.{verb}/1"), "{line}");
        assert!(called.out.starts_with("{\"schema\":") && called.out.ends_with("}\n"), "{line}");
    }
}

#[test]
fn no_golden_file_is_left_over() {
    for entry in fs::read_dir(package().join("tests/golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Screens are those of `watching.rs`.
        let (stem, kind) = name.split_once('.').unwrap();
        let is_known = CALLS.iter().any(|(known, _, _)| *known == stem);
        assert!(is_known || kind == "screen", "{name} belongs to no call");
    }
}
