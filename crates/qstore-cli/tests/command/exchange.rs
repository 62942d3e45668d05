//! What is exported is read back equal, and files of other programs become runs.

use super::kit::{call, enter, package, scratch};
use qstore_cli::Exit;
use qstore_parquet::{MetricsFile, MetricsLog, Table, Values, WriterSettings};
use qstore_schema::{Row, Value};
use qstore_zarr::{CheckpointReader, import_safetensors};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn read(path: &Path) -> Table {
    MetricsFile::open(path).unwrap().read(&[], 0..u64::MAX).unwrap()
}

/// Names and values, floats by their bits; columns without a value are left out.
fn facts(table: &Table) -> Vec<(String, String)> {
    let columns = table.columns.iter().map(|column| {
        let values = match &column.values {
            Values::Float(values) => {
                let bits = values.iter().map(|value| value.map(f64::to_bits));
                format!("{:x?}", bits.collect::<Vec<_>>())
            }
            values => format!("{values:?}"),
        };
        (column.field.name.to_string(), values)
    });
    let has_value = |(_, values): &(String, String)| values.contains("Some");
    let mut facts: Vec<_> = columns.filter(has_value).collect();
    facts.sort();
    facts
}

/// Rows with everything that is hard to write: names, texts, NaN, the largest numbers.
fn write_hard_rows(path: &Path) {
    let mut log = MetricsLog::<Row>::open(path, WriterSettings::default()).unwrap();
    let floats = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, 5e-324, f64::MAX];
    let texts = ["", "a,b", "\"quoted\"", "two\nlines", "1.5", "true", " padded ", "NaN", "量子"];
    for step in 0..20_i64 {
        let mut row = Row::from([("step", Value::from(step))]);
        row.set("loss, train", floats[step as usize % floats.len()]);
        row.set("note \"x\"", texts[step as usize % texts.len()]);
        row.set("count", if step % 2 == 0 { i64::MAX } else { i64::MIN });
        if step % 3 == 0 {
            row.set("flag", step % 2 == 0);
        }
        log.append(&row, Instant::now());
    }
    log.close().unwrap();
}

#[test]
fn rows_come_back_bit_for_bit_from_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("metrics.parquet");
    write_hard_rows(&original);
    let expected = facts(&read(&original));
    for extension in ["csv", "jsonl", "parquet"] {
        let file = dir.path().join(format!("rows.{extension}")).display().to_string();
        let called = call(&["export", &original.display().to_string(), "-o", &file]);
        assert_eq!(called.exit, Exit::Done, "{}", called.err);
        let run = dir.path().join(extension).display().to_string();
        let called = call(&["import", &file, &run]);
        assert_eq!(called.exit, Exit::Done, "{}", called.err);
        let found = facts(&read(&Path::new(&run).join("metrics.parquet")));
        // JSON has texts for what is not a number there, so the text `NaN` is taken for one.
        let is_text = |(name, _): &&(String, String)| name.starts_with("note");
        if extension == "jsonl" {
            let without = |facts: &[(String, String)]| -> Vec<_> {
                facts.iter().filter(|fact| !is_text(fact)).cloned().collect()
            };
            assert_eq!(without(&found), without(&expected), "{extension}");
        } else {
            assert_eq!(found, expected, "{extension}");
        }
    }
}

#[test]
fn events_come_back_as_floats_of_32_bits() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let called = call(&["export", &at("runs/run_003"), "--to", "tensorboard", "-o", &at("tb")]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let names: Vec<_> =
        fs::read_dir(at("tb")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].to_str().unwrap().contains("/events.out.tfevents.1796025600."));
    let called = call(&["import", names[0].to_str().unwrap(), &at("back")]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let (before, after) = (
        read(at("runs/run_003/metrics.parquet").as_ref()),
        read(at("back/metrics.parquet").as_ref()),
    );
    let numbers = |table: &Table, name: &str| -> Vec<u32> {
        let Some(Values::Float(values)) = table.column(name) else { panic!("no column {name}") };
        values.iter().flatten().map(|value| (*value as f32).to_bits()).collect()
    };
    for name in ["train_loss", "val_loss"] {
        assert_eq!(numbers(&after, name), numbers(&before, name), "{name}");
    }
    let Some(Values::Int(steps)) = after.column("step") else { panic!("no steps") };
    // A row that sums up an epoch has the step of the row before it.
    assert_eq!(steps[18..22], [Some(18), Some(19), Some(19), Some(20)]);
}

#[test]
fn a_checkpoint_becomes_safetensors_and_a_checkpoint_again() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let file = at("model.safetensors");
    let called = call(&["export", &at("runs/run_003"), "--epoch", "2", "-o", &file]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let checkpoint =
        CheckpointReader::open(at("runs/run_003/checkpoints/epoch_0002.zarr.zip")).unwrap();
    let checkpoint = checkpoint.checkpoint().unwrap();
    let exported = import_safetensors(&file).unwrap();
    assert_eq!(format!("{exported:?}"), format!("{:?}", checkpoint.model().unwrap()));
    assert_eq!(call(&["import", &file, &at("new"), "--epoch", "5"]).exit, Exit::Done);
    let again = CheckpointReader::open(at("new/checkpoints/epoch_0005.zarr.zip")).unwrap();
    assert_eq!(
        format!("{:?}", again.checkpoint().unwrap().model().unwrap()),
        format!("{exported:?}")
    );
}

#[test]
fn nothing_that_exists_is_replaced_without_force() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let run = at("runs/run_003");
    for name in ["x.csv", "x.jsonl", "x.parquet", "x.safetensors"] {
        fs::write(at(name), b"kept").unwrap();
        let called = call(&["export", &run, "-o", &at(name)]);
        assert_eq!(called.exit, Exit::Failed, "{name}");
        assert!(called.err.contains("--force"), "{}", called.err);
        assert_eq!(fs::read(at(name)).unwrap(), b"kept");
        assert_eq!(call(&["export", &run, "-o", &at(name), "--force"]).exit, Exit::Done, "{name}");
        assert_ne!(fs::read(at(name)).unwrap(), b"kept");
    }
    assert_eq!(call(&["import", &at("x.csv"), &run]).exit, Exit::Failed);
    let left: Vec<_> = fs::read_dir(copy.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn rows_and_tables_go_to_the_output_as_well() {
    enter();
    let called = call(&["export", "runs/run_003", "-o", "-", "--to", "csv", "-c", "step,val_loss"]);
    let lines: Vec<_> = called.out.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1]), (85, "step,val_loss", "0,"));
    let called = call(&["export", "runs", "--all", "-o", "-", "--to", "jsonl"]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    assert_eq!(called.out.lines().count(), 4);
    let row: serde_json::Value = serde_json::from_str(called.out.lines().nth(2).unwrap()).unwrap();
    assert_eq!((&row["run"], &row["params.lr"]), (&"run_003".into(), &0.01.into()));
}

#[test]
fn a_table_of_several_runs_is_taken_apart() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("trackio.csv");
    let text = "id,timestamp,run_name,step,loss\n\
                1,2026-11-30T08:00:00Z,a,0,0.5\n2,2026-11-30T08:00:01Z,b,0,0.7\n3,2026-11-30T08:00:02.5Z,a,1,0.4\n";
    fs::write(&table, text).unwrap();
    let run = dir.path().join("run").display().to_string();
    let called = call(&["import", &table.display().to_string(), &run, "--run-name", "a"]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let rows = read(&Path::new(&run).join("metrics.parquet"));
    assert_eq!(rows.rows, 2);
    let times = Values::Float(vec![Some(1_796_025_600.0), Some(1_796_025_602.5)]);
    assert_eq!(rows.column("timestamp"), Some(&times));
    assert_eq!(rows.column("run_name"), None);
}

#[test]
fn what_is_malformed_is_reported_with_its_line_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes, says) in [
        ("a.csv", &b"a,b\n1\n"[..], "line 2 has 1 fields, not 2"),
        ("b.jsonl", b"{\"a\":1}\n[1]\n", "line 2: it is not an object"),
        ("c.jsonl", b"{\"a\":", "line 1: "),
        ("tfevents", b"\x08\0\0\0\0\0\0\0xxxx........", "does not match its checksum"),
    ] {
        let file = dir.path().join(name);
        fs::write(&file, bytes).unwrap();
        let run = dir.path().join("run").display().to_string();
        let called = call(&["import", &file.display().to_string(), &run]);
        assert_eq!(called.exit, Exit::Failed, "{name}");
        assert!(called.err.contains(says), "{name}: {}", called.err);
        assert!(!Path::new(&run).join("metrics.parquet").exists(), "{name}");
    }
}

/// `QSTORE_PYTHON` names a Python that has TensorBoard; without one the test is skipped by name.
#[test]
fn tensorboard_reads_what_was_exported() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let called = call(&["export", &at("runs/run_003"), "--to", "tensorboard", "-o", &at("tb")]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let python = std::env::var_os("QSTORE_PYTHON").unwrap_or_else(|| "python3".into());
    let script = package().join("tests/command/event_accumulator.py");
    let printed = Command::new(python).arg(script).arg(at("tb")).output();
    let Ok(printed) = printed else {
        println!("skipped: TensorBoard's EventAccumulator: there is no Python");
        return;
    };
    if printed.status.code() == Some(77) {
        println!("skipped: TensorBoard's EventAccumulator: it is not installed");
        return;
    }
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let found = String::from_utf8(printed.stdout).unwrap();
    let table = read(at("runs/run_003/metrics.parquet").as_ref());
    let (Some(Values::Int(steps)), Some(Values::Float(times))) =
        (table.column("step"), table.column("timestamp"))
    else {
        panic!("the fixture has steps and times")
    };
    let mut expected = String::new();
    for name in ["train_loss", "val_loss"] {
        let Some(Values::Float(values)) = table.column(name) else { panic!("no column {name}") };
        let mut last = 0;
        for (at, value) in values.iter().enumerate() {
            let step = steps[at].filter(|step| *step >= 0).unwrap_or(last);
            last = step;
            if let Some(value) = value {
                let (time, bits) = (times[at].unwrap(), (*value as f32).to_bits());
                writeln!(expected, "{name} {step} {time:?} {bits:08x}").unwrap();
            }
        }
    }
    // The bits of a NaN may change on the way through Python; that it is one does not.
    let is_nan = |line: &str| line.ends_with("7fc00000") || line.ends_with("ffc00000");
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| if is_nan(line) { line[..line.len() - 8].into() } else { line.into() })
            .collect()
    };
    assert_eq!(lines(&found), lines(&expected));
}
