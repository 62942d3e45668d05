//! The demo as a user runs it: everything it logged and saved is in its files, value by value.

use crate::recorded::{self, Expected};
use qstore::schema::TrainingMetrics;
use qstore_tests::demo::Demo;
use qstore_tests::{plain, readers};
use serde_json::Value;

#[test]
fn the_demo_learns_and_every_reader_reads_what_it_recorded() {
    let demo = Demo::new();
    let expected = Expected::from_now();
    let said = demo.run(0, &[]);
    let journal = demo.journal(0);
    let rows = expected.rows(&journal.rows);
    // 105 flowers in batches of 15, for 25 epochs, and a row per epoch.
    assert_eq!(rows.len(), 25 * (7 + 1));
    assert_eq!(journal.written, rows.len() as u64);
    assert_eq!(journal.durable, [4, 9, 14, 19, 24]);
    recorded::check_rows(&demo, &rows);
    assert_eq!(recorded::check_checkpoints(&demo, &journal.saving), [14, 19, 24]);

    let accuracy = rows.last().map(|row| recorded::number(&row["val_accuracy"])).unwrap();
    assert!(accuracy >= 0.9, "test accuracy {accuracy}\n{said}");
    for line in ["200 accepted, 200 written, 0 dropped", "checkpoints kept   epochs 14, 19, 24"] {
        assert!(said.contains(line), "{said}");
    }
}

/// No column of a step is still unknown.
#[test]
fn every_column_has_a_value_of_the_run() {
    let demo = Demo::new();
    demo.run(0, &["--epochs", "1"]);
    let step = &demo.journal(0).rows[3]["row"];
    let default = plain::row(&TrainingMetrics::default());
    // The first epoch is number 0, the logger adds the time later, and a single step has no validation.
    let as_by_default = ["epoch", "timestamp", "val_loss"];
    for (column, value) in default.as_object().unwrap() {
        let is_as_by_default = as_by_default.contains(&column.as_str());
        assert_eq!(&step[column] == value, is_as_by_default, "{column}");
    }
}

#[test]
fn the_same_seed_gives_the_same_losses_even_if_the_run_is_resumed() {
    let (straight, again, resumed) = (Demo::new(), Demo::new(), Demo::new());
    straight.run(0, &["--epochs", "4", "--seed", "3"]);
    again.run(0, &["--epochs", "2", "--seed", "3"]);
    resumed.run(0, &["--epochs", "2", "--seed", "3"]);
    let said = resumed.run(1, &["--epochs", "4", "--resume"]);
    assert!(
        said.contains("resuming after epoch 1") && said.contains("rows in the file   32"),
        "{said}"
    );

    let straight = straight.journal(0).rows;
    assert_eq!(losses(&again.journal(0).rows), losses(&straight[..16]));
    let both = [resumed.journal(0).rows, resumed.journal(1).rows].concat();
    assert_eq!(losses(&both), losses(&straight));
}

fn losses(rows: &[Value]) -> Vec<Value> {
    rows.iter().map(|row| row["row"]["train_loss"].clone()).collect()
}

#[test]
fn two_runs_are_never_mixed_in_one_directory() {
    let demo = Demo::new();
    demo.run(0, &["--epochs", "1"]);
    let output = demo.spawn(1, &["--epochs", "1"]).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("already holds a run: add --resume"),
        "{said}"
    );
    let output =
        demo.spawn(1, &["--epochs", "2", "--resume", "--seed", "1"]).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("the run has seed 7"), "{said}");
    let rows = Expected::from_now().rows(&demo.journal(0).rows);
    let path = demo.metrics();
    let columns = recorded::columns();
    let expected = serde_json::json!({ "columns": columns, "rows": rows.len() });
    let expected = readers::expect(&demo.out(), &expected);
    readers::run("shape.py", &[&path, &expected]);
}
