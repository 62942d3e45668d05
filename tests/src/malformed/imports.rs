//! Untrusted files of other trackers, as `qstore import` takes them: a run with all rows, or none and an error.

use qstore::MetricsFile;
use qstore::run::RunPlace;
use qstore_cli::console::{Screen, Waiting, World};
use qstore_cli::{Exit, run};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Never waits, and is never interrupted.
struct Patient;

impl Waiting for Patient {
    fn handle_interrupts(&mut self) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn wait(&mut self, _: Duration) {}
}

fn call(arguments: &[&str]) -> Exit {
    let (mut out, mut err) = (io::sink(), io::sink());
    let world = World {
        out: &mut out,
        err: &mut err,
        screen: Screen::default(),
        place: RunPlace::default(),
        dir: ".".into(),
        waiting: &mut Patient,
    };
    run(["qstore"].iter().chain(arguments), world)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary names are text")
}

fn import(format: &str, bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let (file, made) = (dir.path().join("file"), dir.path().join("run"));
    std::fs::write(&file, bytes).expect("it can be written");
    let exit = call(&["import", "--from", format, text(&file), text(&made)]);
    let metrics = made.join("metrics.parquet");
    assert_eq!(metrics.exists(), exit == Exit::Done, "{exit:?}");
    if exit == Exit::Done {
        let file = MetricsFile::open(&metrics).expect("what was imported can be read");
        assert!(file.validate().expect("it can be read").is_whole());
    }
}

pub(super) fn read_csv(bytes: &[u8]) {
    import("csv", bytes);
}

pub(super) fn read_json_lines(bytes: &[u8]) {
    import("jsonl", bytes);
}

/// Also as one record with matching checksums, so that the code behind them is reached.
pub(super) fn read_events(bytes: &[u8]) {
    import("tfevents", bytes);
    import("tfevents", &record(bytes));
}

fn record(message: &[u8]) -> Vec<u8> {
    let masked = |bytes: &[u8]| {
        crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
    };
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), message, &masked(message)].concat()
}

pub(super) fn csv_seeds() -> Vec<Vec<u8>> {
    vec![
        b"step,loss,note,flag\n0,0.5,\"a \"\"b\"\",\nc\",true\n1,NaN,,false\n".to_vec(),
        b"step,timestamp\r\n-1,2026-11-30T08:00:00Z\r\n99999999999999999999,1e400\r\n".to_vec(),
    ]
}

pub(super) fn json_lines_seeds() -> Vec<Vec<u8>> {
    vec![
        b"{\"step\":0,\"a\":{\"b\":[1,2.5],\"c\":\"NaN\"},\"d\":null}\n\n{\"step\":1,\"a\":true}\n"
            .to_vec(),
        b"{\"step\":18446744073709551615,\"list\":[\"x\",{}],\"\":\"\\u0000\"}\n".to_vec(),
    ]
}

/// Messages, and a file of two records.
pub(super) fn event_seeds() -> Vec<Vec<u8>> {
    let version = [&[9, 0, 0, 0, 0, 0, 0, 0, 64, 26, 13][..], b"brain.Event:2"].concat();
    // A time, a step, and a summary of one value: a tag and a float.
    let value = [&[10, 4][..], b"loss", &[21, 0, 0, 0, 63]].concat();
    let summary = [&[10, value.len() as u8][..], &value].concat();
    let scalar = [&[9, 0, 0, 0, 0, 0, 0, 0, 64, 16, 7, 42, summary.len() as u8][..], &summary];
    let scalar = scalar.concat();
    let file = [record(&version), record(&scalar)].concat();
    vec![version, scalar, file]
}
