//! The expected contents of the files of a demo, derived from its journal.

use qstore::CheckpointManager;
use qstore::schema::{Record, TrainingMetrics};
use qstore::zarr::CheckpointSettings;
use qstore_tests::demo::Demo;
use qstore_tests::{plain, readers};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Rows logged since a certain moment.
pub(crate) struct Expected {
    from: f64,
}

impl Expected {
    pub(crate) fn from_now() -> Self {
        Self { from: seconds_since_1970() }
    }

    /// The rows of the file that correspond to these of the journal; the logger added their times since then.
    pub(crate) fn rows(&self, journal: &[Value]) -> Vec<Value> {
        let stamp = json!({ "between": [self.from, seconds_since_1970()] });
        let stamped = |line: &Value| {
            let mut row = if line["row"].is_object() { line["row"].clone() } else { epoch(line) };
            row["timestamp"] = stamp.clone();
            row
        };
        journal.iter().map(stamped).collect()
    }
}

/// The row that `log_epoch` must derive from the metrics of an epoch.
fn epoch(line: &Value) -> Value {
    let mut row = plain::row(&TrainingMetrics::default());
    row["epoch"] = line["epoch"].clone();
    row["step"] = json!(-1);
    for (name, value) in line["train"].as_object().unwrap() {
        let column = match name.as_str() {
            "loss" => "train_loss",
            "circuit_time_ms" => "circuit_execution_time_ms",
            name => name,
        };
        row[column] = value.clone();
    }
    for (name, value) in line["val"].as_object().unwrap() {
        row[format!("val_{name}")] = value.clone();
    }
    row
}

pub(crate) fn columns() -> Vec<&'static str> {
    let fixed = TrainingMetrics::DECLARED.iter().map(|field| field.name.as_str());
    fixed.chain(["accuracy", "val_accuracy"]).collect()
}

/// Checks with all readers that the metrics file has exactly these rows.
pub(crate) fn check_rows(demo: &Demo, rows: &[Value]) {
    // A run that was killed early has no summary of an epoch yet.
    let has_epochs = rows.iter().any(|row| row["step"] == -1);
    let columns = if has_epochs { columns() } else { columns()[..18].to_vec() };
    let expected = readers::expect(&demo.out(), &json!({ "columns": columns, "rows": rows }));
    readers::run("metrics.py", &[&demo.metrics(), &expected]);
}

/// Checks that every listed checkpoint holds what was last saved under its epoch. Returns the list.
pub(crate) fn check_checkpoints(demo: &Demo, saving: &[Value]) -> Vec<u64> {
    let manager =
        CheckpointManager::open(demo.checkpoints(), CheckpointSettings::default()).unwrap();
    let epochs = manager.list_checkpoints().unwrap();
    let checkpoint = |epoch: &u64| {
        manager.verify(*epoch).unwrap();
        let saved = saving.iter().rfind(|saved| saved["epoch"] == *epoch).unwrap();
        let path = demo.checkpoints().join(format!("epoch_{epoch:04}.zarr.zip"));
        let array = |name: &str, shape: &[usize]| {
            let numbers = saved[name].as_array().unwrap();
            let hex = numbers.iter().map(little_endian).collect::<String>();
            json!({ "dtype": "float64", "shape": shape, "hex": hex })
        };
        let count = saved["angles"].as_array().unwrap().len();
        json!({
            "path": path,
            "attributes": { "epoch": epoch },
            "arrays": {
                "model/angles": array("angles", &[count / 8, 4, 2]),
                "optimizer/state/0/exp_avg": array("exp_avg", &[count]),
                "optimizer/state/0/exp_avg_sq": array("exp_avg_sq", &[count]),
            },
        })
    };
    let expected: Vec<_> = epochs.iter().map(checkpoint).collect();
    let expected = readers::expect(&demo.out(), &json!(expected));
    readers::run("checkpoint.py", &[&expected]);
    epochs
}

/// A float from the journal.
pub(crate) fn number(value: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(value["bits"].as_str().unwrap(), 16).unwrap())
}

fn little_endian(value: &Value) -> String {
    format!("{:016x}", u64::from_be_bytes(number(value).to_le_bytes()))
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
