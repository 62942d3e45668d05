//! `kill -9` in the middle of the demo, again and again, each time continuing with `--resume`.
//!
//! Regression: in the original Python program the file was unreadable after 20 of 20 such kills, and half-written
//! checkpoints loaded without an error.

use crate::recorded::{self, Expected};
use qstore_tests::demo::Demo;
use serde_json::Value;
use std::thread;
use std::time::Duration;

const KILLS: usize = 10;

#[test]
fn ten_random_kills_lose_no_flushed_row_and_no_checkpoint() {
    let seed = std::env::var("QSTORE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let demo = Demo::new();
    let expected = Expected::from_now();
    let (mut rows, mut saving, mut durable) = (Vec::new(), Vec::new(), 0);
    for session in 0..KILLS {
        let wanted = random.usize(1..90);
        kill_after(&demo, session, wanted);
        let journal = demo.journal(session);

        // Beyond the earlier sessions, the file has a prefix of what this one logged, and at least what this one
        // knew to be published.
        let in_file = rows_in(&demo);
        let new = in_file - rows.len();
        assert!(new >= journal.written as usize, "{new} of {} rows", journal.written);
        rows.extend(expected.rows(&journal.rows[..new]));
        if demo.metrics().exists() {
            recorded::check_rows(&demo, &rows);
        }

        saving.extend(journal.saving);
        durable = journal.durable.iter().copied().fold(durable, u64::max);
        let listed = recorded::check_checkpoints(&demo, &saving);
        let latest = listed.last().copied().unwrap_or(0);
        assert!(latest >= durable, "epoch {latest} is the latest, but {durable} was durable");
        println!(
            "killed after {} rows: {new} in the file, checkpoints {listed:?}",
            journal.rows.len()
        );
    }

    println!("{KILLS} cases");

    // The run can be continued to its end.
    let done = saving.last().map_or(0, |saved: &Value| saved["epoch"].as_u64().unwrap());
    demo.run(KILLS, &["--resume", "--epochs", &(done + 2).to_string()]);
    let journal = demo.journal(KILLS);
    rows.extend(expected.rows(&journal.rows));
    saving.extend(journal.saving);
    recorded::check_rows(&demo, &rows);
    let listed = recorded::check_checkpoints(&demo, &saving);
    assert_eq!(listed.last(), Some(&(done + 1)));
}

/// Starts a session, waits until it has logged that number of rows, and kills it.
fn kill_after(demo: &Demo, session: usize, rows: usize) {
    let mut arguments = vec!["--epochs", "1000"];
    if session > 0 {
        arguments.push("--resume");
    }
    let mut child = demo.spawn(session, &arguments);
    while demo.journal(session).rows.len() < rows {
        assert!(child.try_wait().unwrap().is_none(), "the demo ended by itself");
        // sleep: paces the polling; nothing depends on its duration
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn rows_in(demo: &Demo) -> usize {
    if !demo.metrics().exists() {
        return 0;
    }
    qstore_tests::parquet::integers(&std::fs::read(demo.metrics()).unwrap(), "step").len()
}
