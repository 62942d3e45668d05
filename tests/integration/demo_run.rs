//! The demo from outside: everything it logged and saved is in its files, value by value.

use crate::recorded::{self, Expected};
use qstore::schema::TrainingMetrics;
use qstore_tests::demo::Demo;
use qstore_tests::{plain, readers};
use serde_json::Value;

#[test]
fn it_learns_and_everybody_reads_what_it_recorded() {
    let demo = Demo::new();
    let expected = Expected::from_now();
    let said = demo.run(0, &[]);
    let journal = demo.journal(0);
    let rows = expected.rows(&journal.rows);
    // 105 flowers in batches of 15, 25 times, and a row for each epoch.
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

/// No column of a step is a default that nobody filled in.
#[test]
fn every_column_has_a_value_of_the_run() {
    let demo = Demo::new();
    demo.run(0, &["--epochs", "1"]);
    let step = &demo.journal(0).rows[3]["row"];
    let default = plain::row(&TrainingMetrics::default());
    // The first epoch is number 0, the logger stamps the time later, 1 024 shots are what the demo
    // takes, and a single step has no validation.
    let as_by_default = ["epoch", "timestamp", "shots_per_circuit", "val_loss"];
    for (column, value) in default.as_object().unwrap() {
        let is_as_by_default = as_by_default.contains(&column.as_str());
        assert_eq!(&step[column] == value, is_as_by_default, "{column}");
    }
}

#[test]
fn the_same_seed_gives_the_same_losses_and_a_resumed_run_goes_on_like_one_never_stopped() {
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
fn a_directory_with_a_run_in_it_is_not_mixed_with_another() {
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
