//! The program itself: a closed pipe, Ctrl-C, colors, and the environment.

use super::kit::scratch;
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::{Row, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

fn qstore(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qstore"));
    command.current_dir(dir).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "QSTORE_DIR", "CI"] {
        command.env_remove(name);
    }
    command
}

fn write_rows(path: &Path, rows: i64, is_closed: bool) -> MetricsLog<Row> {
    let mut log = MetricsLog::<Row>::open(path, WriterSettings::default()).unwrap();
    for step in 0..rows {
        let row = Row::from([("step", Value::from(step)), ("loss", Value::from(0.5))]);
        log.append(&row, Instant::now());
    }
    log.flush().unwrap();
    if is_closed {
        log.close().unwrap();
    }
    log
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("metrics.parquet"), 20_000, true);
    for arguments in [
        &["tail", "metrics.parquet", "-n", "20000"][..],
        &["tail", "metrics.parquet", "-n", "20000", "--jsonl"],
        &["tail", "metrics.parquet", "-n", "20000", "--json"],
        &["export", "metrics.parquet", "-o", "-", "--to", "csv"],
    ] {
        let mut command = qstore(dir.path());
        let command = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut first = [0; 10];
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut first).unwrap();
        drop(out);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}");
        assert!(ended.stderr.is_empty(), "{arguments:?}: {:?}", String::from_utf8(ended.stderr));
    }
}

#[test]
fn ctrl_c_ends_it_quietly_with_130() {
    let dir = tempfile::tempdir().unwrap();
    let _log = write_rows(&dir.path().join("metrics.parquet"), 5, false);
    let mut command = qstore(dir.path());
    command.args(["tail", "metrics.parquet", "-f"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its first line is printed after the signals are handled.
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(ended.stderr.is_empty(), "{:?}", String::from_utf8(ended.stderr));
}

fn interrupt(id: u32) {
    let killed = Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap();
    assert!(killed.success());
}

#[test]
fn an_export_that_is_interrupted_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("metrics.parquet"), 20_000, true);
    let mut command = qstore(dir.path());
    command.args(["export", "metrics.parquet", "-o", "-", "--to", "csv"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // More than a pipe holds: it waits for this reader, with its signals handled.
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 10]).unwrap();
    interrupt(child.id());
    out.read_to_end(&mut Vec::new()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(ended.stderr.is_empty(), "{:?}", String::from_utf8(ended.stderr));
}

#[test]
fn an_import_that_is_interrupted_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    assert!(Command::new("mkfifo").arg(&rows).status().unwrap().success());
    let mut command = qstore(dir.path());
    command.args(["import", "rows.jsonl", "run"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It opens the file after the signals are handled.
    let mut writer = File::options().write(true).open(&rows).unwrap();
    writer.write_all(b"{\"loss\":0.5}\n").unwrap();
    interrupt(child.id());
    let more = b"{\"loss\":0.5}\n".repeat(1_000);
    let is_over = (0..10_000).any(|_| writer.write_all(&more).is_err());
    assert!(is_over, "ten million rows were read");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{:?}", String::from_utf8(ended.stderr));
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn colors_are_for_terminals_and_for_those_who_ask() {
    let copy = scratch();
    let has_color = |set: &[(&str, &str)], arguments: &[&str]| {
        let mut command = qstore(copy.path());
        let out = command.envs(set.iter().copied()).args(arguments).output().unwrap();
        String::from_utf8(out.stdout).unwrap().contains('\x1b')
    };
    let verify = ["verify", "runs"];
    assert!(!has_color(&[], &verify));
    assert!(has_color(&[("CLICOLOR_FORCE", "1")], &verify));
    assert!(has_color(&[], &["verify", "runs", "--color", "always"]));
    assert!(!has_color(&[("CLICOLOR_FORCE", "1")], &["verify", "runs", "--color", "never"]));
    assert!(!has_color(&[("NO_COLOR", "1")], &verify));
}

#[test]
fn the_default_path_is_the_current_directory_or_that_of_the_environment() {
    let copy = scratch();
    let run = |dir: &str, set: Option<&str>| {
        let mut command = qstore(&copy.path().join(dir));
        if let Some(set) = set {
            command.env("QSTORE_DIR", set);
        }
        let out = command.args(["verify"]).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, out) = run("runs/run_003", None);
    assert_eq!(code, Some(0));
    assert!(out.contains("./metrics.parquet"), "{out}");
    let set = copy.path().join("damaged");
    let (code, out) = run("runs", Some(set.to_str().unwrap()));
    assert_eq!(code, Some(3), "{out}");
}
