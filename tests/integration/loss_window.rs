//! The loss window that the pages promise, computed from the settings it depends on.
//!
//! The pages once gave three different times for the ring, none of which was the logger's.

use qstore::buffer::RING_LINGER;
use qstore::{LoggerSettings, WriterSettings};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A page with single blanks instead of line breaks.
fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join(path)).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check(path: &str, sentence: &str) {
    assert!(page(path).contains(sentence), "{path} does not say: {sentence}");
}

/// Rows that are not flushed at the worst moment, with the default settings.
fn unflushed(rows_per_second: usize) -> usize {
    let (logger, writer) = (LoggerSettings::default(), WriterSettings::default());
    let rows = |time: Duration| rows_per_second * time.as_millis() as usize / 1_000;
    let waiting = writer.flush_interval.min(rows(writer.flush_after));
    let in_the_ring = rows(RING_LINGER).min(logger.buffer_size / 2);
    waiting + rows(writer.publish_pause_min) + in_the_ring
}

#[test]
fn every_page_gives_the_time_that_a_row_waits_in_the_ring() {
    let linger = RING_LINGER.as_millis();
    check(
        "docs/shutdown.md",
        &format!("the ring (in memory, at most {linger} ms while the writer keeps up)"),
    );
    check(
        "docs/shutdown.md",
        &format!("plus those of the last {linger} ms, which are in the ring"),
    );
    check("docs/architecture.md", &format!("when the ring is half full, or after {linger} ms,"));
    check("README.md", &format!("or `flush_after`, plus {linger} ms in the ring"));
}

#[test]
fn no_page_gives_another_time_for_the_ring() {
    let linger = format!("{} ms", RING_LINGER.as_millis());
    let mut cases = 0;
    for path in ["README.md", "docs/shutdown.md", "docs/architecture.md", "docs/reliability.md"] {
        for sentence in page(path).split(['.', '|']) {
            if sentence.contains(" ring") && sentence.contains(" ms") {
                assert!(sentence.contains(&linger), "{path}: {sentence}");
                cases += 1;
            }
        }
    }
    assert!(cases >= 4, "{cases} sentences");
}

#[test]
fn the_loss_window_is_computed_from_the_default_settings() {
    let writer = WriterSettings::default();
    let (slow, fast) = (unflushed(10), unflushed(10_000));
    let (rows, seconds) = (writer.flush_interval, writer.flush_after.as_secs());
    // A fast run reaches the row limit first, a slow one both at the same time.
    assert_eq!(slow / 10, seconds as usize);
    let share = fast as f64 / 10_000.0;
    let thousands = format!("{} {:03}", fast / 1_000, fast % 1_000);
    check(
        "docs/shutdown.md",
        &format!(
            "At 10 rows a second and the default settings that is {rows} rows or {seconds} s; at \
             10 000 rows a second {thousands} rows, {share} s."
        ),
    );
    check(
        "docs/shutdown.md",
        &format!("one pause between flushes ({} ms", writer.publish_pause_min.as_millis()),
    );
}
