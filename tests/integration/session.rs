//! The session of the README: somebody trains twice, looks at the runs, kills the third one, resumes it, and sees one
//! clean curve.

use qstore::MetricsFile;
use qstore_tests::program::binary;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The commands of the session that print something to look at, as they are in the README.
const LOOKS: &[&str] = &[
    "qstore ls runs",
    "qstore compare runs/run_001 runs/run_002 -m val_loss:min,val_accuracy:max",
    "qstore plot runs/run_001 -y train_loss --width 60 --height 8",
];

/// What a program printed; it must succeed.
fn said(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary(program)).args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn look(dir: &Path, line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    said(dir, "qstore", &words[1..])
}

/// What `qstore ls` knows of the run with that name.
fn listed(dir: &Path, name: &str) -> Option<Value> {
    let document: Value =
        serde_json::from_str(&said(dir, "qstore", &["ls", "runs", "--json"])).unwrap();
    let runs = document["runs"].as_array().unwrap();
    let path = format!("runs/{name}");
    runs.iter().find(|run| run["path"] == *path).cloned()
}

fn status(dir: &Path, name: &str) -> String {
    listed(dir, name).unwrap()["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_newcomer_sees_what_became_of_each_run_and_one_clean_curve() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    said(dir, "qstore-demo", &["--runs", "runs"]);
    let last = said(dir, "qstore-demo", &["--runs", "runs", "--seed", "8"]);
    assert!(last.contains("\n  qstore ls runs\n  qstore plot runs/run_002\n"), "{last}");

    let mut third = Command::new(binary("qstore-demo"))
        .args(["--runs", "runs", "--epochs", "1000000"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    let has_saved = |run: &Value| run["checkpoints"]["count"].as_u64().unwrap_or_default() > 0;
    while !listed(dir, "run_003").is_some_and(|run| has_saved(&run)) {
        assert!(Instant::now() < until, "the third run has saved nothing");
    }
    assert_eq!(status(dir, "run_003"), "running");
    third.kill().unwrap();
    third.wait().unwrap();
    let statuses = ["run_001", "run_002", "run_003"].map(|name| status(dir, name));
    assert_eq!(statuses, ["finished", "finished", "crashed"]);
    for line in LOOKS {
        check_readme(line, &look(dir, line));
    }

    let latest = listed(dir, "run_003").unwrap()["checkpoints"]["latest"].as_u64().unwrap();
    let epochs = (latest + 7).to_string();
    said(dir, "qstore-demo", &["--runs", "runs", "--resume", "--epochs", &epochs]);
    assert_eq!(status(dir, "run_003"), "finished");

    // Each step is there once, in order, although the file has the rows of before the kill as well.
    said(dir, "qstore", &["export", "runs/run_003", "-o", "rows.csv", "-c", "step"]);
    let rows = std::fs::read_to_string(dir.join("rows.csv")).unwrap();
    let steps: Vec<i64> = rows.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    let steps: Vec<i64> = steps.into_iter().filter(|step| *step >= 0).collect();
    assert!(steps.iter().copied().eq(0..(latest as i64 + 7) * 7), "{steps:?}");
    let file = MetricsFile::open(dir.join("runs/run_003/metrics.parquet")).unwrap();
    assert!(file.rows() >= (latest + 7) * 8, "every row stays in the file");
}

/// The README shows this command, and below it the same words in the same order: only numbers, times and curves
/// differ from session to session.
fn check_readme(line: &str, printed: &str) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, after) = readme
        .split_once(&format!("$ {line}\n"))
        .unwrap_or_else(|| panic!("the README does not show `{line}`"));
    // Up to the next command, or to the end of the block.
    let ends = ["\n$ ", "\n```"].into_iter().filter_map(|end| after.find(end));
    let shown = &after[..ends.min().unwrap_or(after.len())];
    assert_eq!(words(shown), words(printed), "`{line}` prints\n{printed}");
}

/// The words of a text that are the same in every session.
fn words(text: &str) -> BTreeSet<String> {
    const UNITS: &[&str] = &["s", "min", "h", "ago", "B", "kB", "MB"];
    text.split_whitespace()
        .filter(|word| word.chars().all(|c| c.is_ascii_alphabetic() || c == '_' || c == '.'))
        .filter(|word| word.chars().any(|c| c.is_ascii_alphabetic()) && !UNITS.contains(word))
        .map(str::to_owned)
        .collect()
}
