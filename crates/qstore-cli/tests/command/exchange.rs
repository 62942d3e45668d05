//! What is exported is read back equal, and files of other programs become runs.

use super::kit::{call, enter, package, scratch};
use qstore_checkpoint::{Counter, Snapshot};
use qstore_cli::Exit;
use qstore_parquet::{MetricsFile, MetricsLog, Table, Values, WriterSettings};
use qstore_schema::{DataType, Row, StateDict, Tensor, Timestamp, Value};
use qstore_zarr::{
    CheckpointManager, CheckpointReader, CheckpointSettings, Checkpoints, import_safetensors,
};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

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
    let tfevents = b"\x08\0\0\0\0\0\0\0xxxx........";
    for (name, bytes, exit, says) in [
        ("a.csv", &b"a,b\n1\n"[..], Exit::Failed, "line 2 has 1 fields, not 2"),
        ("b.jsonl", b"{\"a\":1}\n[1]\n", Exit::Failed, "line 2: it is not an object"),
        ("c.jsonl", b"{\"a\":", Exit::Failed, "line 1: "),
        ("d.jsonl", b"{}\n{}\n", Exit::Usage, "none of 2 rows has a value"),
        ("tfevents", tfevents, Exit::Damaged, "does not match its checksum"),
        ("e.safetensors", b"xxxxxxxxxxxx", Exit::Damaged, ""),
    ] {
        let file = dir.path().join(name);
        fs::write(&file, bytes).unwrap();
        let run = dir.path().join("run").display().to_string();
        let called = call(&["import", &file.display().to_string(), &run]);
        assert_eq!(called.exit, exit, "{name}: {}", called.err);
        assert!(called.err.contains(says), "{name}: {}", called.err);
        assert!(!Path::new(&run).exists(), "{name}");
    }
    // A directory that was there before stays.
    let (file, run) = (dir.path().join("a.csv"), dir.path().join("mine"));
    fs::create_dir(&run).unwrap();
    call(&["import", &file.display().to_string(), &run.display().to_string()]);
    assert!(run.exists());
}

#[test]
fn rows_and_columns_without_values_are_kept() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let (run, file) = (at("runs/run_003"), at("x.parquet"));
    // Its first twenty rows are null.
    let called = call(&["export", &run, "-c", "val_loss", "-o", &file]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    assert!(called.out.contains("84 rows"), "{}", called.out);
    assert_eq!(read(file.as_ref()).rows, 84);
    assert_eq!(facts(&read(file.as_ref())).len(), 1);

    // The only column is null in each row; and no row at all.
    let empty = copy.path().join("empty.parquet");
    for rows in [3, 0] {
        let settings = WriterSettings::default().column("never", DataType::Int64);
        let mut log = MetricsLog::<Row>::open(&empty, settings).unwrap();
        for _ in 0..rows {
            log.append(&Row::new(), Instant::now());
        }
        log.close().unwrap();
        for (out, command) in [("back.parquet", "export"), ("again", "import")] {
            if command == "export" {
                let empty = empty.display().to_string();
                let called = call(&["export", &empty, "-o", &at(out), "--force"]);
                assert_eq!(called.exit, Exit::Done, "{}", called.err);
            } else {
                let run = at(&format!("{out}{rows}"));
                let called = call(&["import", &empty.display().to_string(), &run]);
                assert_eq!(called.exit, Exit::Done, "{}", called.err);
                let metrics = Path::new(&run).join("metrics.parquet");
                fs::copy(metrics, at(out)).unwrap();
            }
            let file = MetricsFile::open(at(out)).unwrap();
            assert_eq!((file.rows(), file.fields().len()), (rows, 1), "{command}");
            assert_eq!(file.fields()[0].data_type, DataType::Int64);
        }
        fs::remove_file(&empty).unwrap();
    }

    fs::write(at("x.jsonl"), "{}\n{\"loss\":null}\n{\"loss\":0.5}\n{}\n").unwrap();
    let called = call(&["import", &at("x.jsonl"), &at("new")]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let table = read(Path::new(&at("new")).join("metrics.parquet").as_ref());
    let loss = Values::Float(vec![None, None, Some(0.5), None]);
    assert_eq!(table.column("loss"), Some(&loss));
}

#[test]
fn lists_and_times_come_back_as_the_manual_says() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path).display().to_string();
    let mut log = MetricsLog::<Row>::open(at("a.parquet"), WriterSettings::default()).unwrap();
    let mut row = Row::from([("grad", Value::List(vec![0.1, f64::NAN].into()))]);
    row.set("at", Timestamp::millis(1_500)).set("note", "NaN");
    log.append(&row, Instant::now());
    log.close().unwrap();
    let value = |extension: &str, name: &str| {
        let (file, run) = (at(&format!("x.{extension}")), at(extension));
        let called = call(&["export", &at("a.parquet"), "-o", &file]);
        assert_eq!(called.exit, Exit::Done, "{}", called.err);
        let called = call(&["import", &file, &run]);
        assert_eq!(called.exit, Exit::Done, "{}", called.err);
        let table = read(&Path::new(&run).join("metrics.parquet"));
        fs::remove_dir_all(&run).unwrap();
        fs::remove_file(&file).unwrap();
        format!("{:?}", table.column(name).unwrap())
    };
    let time = "Text([Some(\"1970-01-01T00:00:01.500Z\")])";
    assert_eq!(value("csv", "grad"), "Text([Some(\"[0.1,\\\"NaN\\\"]\")])");
    assert_eq!(value("csv", "at"), time);
    assert_eq!(value("csv", "note"), "Text([Some(\"NaN\")])");
    assert_eq!(value("jsonl", "grad"), "List([Some([0.1, NaN])])");
    assert_eq!(value("jsonl", "at"), time);
    assert_eq!(value("jsonl", "note"), "Float([Some(NaN)])");
    assert_eq!(value("parquet", "grad"), "List([Some([0.1, NaN])])");
    assert_eq!(value("parquet", "at"), "Int([Some(1500)])");
    // A CSV of one column has a blank line for a row without a value.
    fs::write(at("one.csv"), "loss\n0.5\n\n0.25\n").unwrap();
    assert_eq!(call(&["import", &at("one.csv"), &at("one")]).exit, Exit::Done);
    assert_eq!(read(&dir.path().join("one/metrics.parquet")).rows, 2);
}

#[test]
fn a_column_that_cannot_be_read_is_reported() {
    let copy = scratch();
    let nested = package().join("../../tests/golden/foreign/pyarrow_nested.parquet");
    let (nested, file) = (nested.display().to_string(), copy.path().join("x.csv"));
    let file = file.display().to_string();
    let unreadable: Vec<_> = {
        let file = MetricsFile::open(&nested).unwrap();
        file.unreadable().map(|(name, _)| name.to_owned()).collect()
    };
    assert!(!unreadable.is_empty());
    let called = call(&["export", "--json", &nested, "-o", &file]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let document: serde_json::Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!(document["unreadable"].as_array().unwrap().len(), unreadable.len());
    for name in &unreadable {
        assert!(called.err.contains(&format!("column `{name}` cannot be read")), "{}", called.err);
        let called = call(&["export", &nested, "-o", &file, "--force", "-c", name]);
        assert_eq!(called.exit, Exit::Failed, "{}", called.err);
        assert!(called.err.contains("cannot be read"), "{}", called.err);
    }
}

#[test]
fn a_checkpoint_is_added_to_a_run_without_changing_its_rules() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let (run, file) = (at("runs/run_003"), at("model.safetensors"));
    assert_eq!(call(&["export", &run, "--epoch", "2", "-o", &file]).exit, Exit::Done);
    let steps = copy.path().join("runs/steps/checkpoints");
    let settings =
        CheckpointSettings::default().counter(Counter::Step).keep_last(2).keep_every(100);
    let mut manager = CheckpointManager::open(&steps, settings).unwrap();
    for step in [10, 20] {
        let model = StateDict::from([("w", Tensor::scalar(step as f32))]);
        let _ticket = manager.save(Snapshot::new(step).model(model)).unwrap();
    }
    manager.close(Duration::from_secs(60)).unwrap();
    let checkpoints = Checkpoints::open(&steps).unwrap();
    let policy = checkpoints.policy().unwrap();
    let import = |more: &[&str]| {
        let steps = at("runs/steps");
        call(&["import", &file, &steps].iter().chain(more).copied().collect::<Vec<_>>())
    };
    let called = import(&["--epoch", "20"]);
    assert_eq!(called.exit, Exit::Failed);
    assert!(called.err.contains("step_00000020.zarr.zip exists"), "{}", called.err);
    assert!(called.err.contains("--epoch"), "{}", called.err);
    let called = import(&["--epoch", "30"]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    assert_eq!(checkpoints.list_checkpoints().unwrap(), [10, 20, 30]);
    assert_eq!(checkpoints.policy().unwrap(), policy);
    let called = import(&["--epoch", "20", "--force"]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    assert_eq!(checkpoints.list_checkpoints().unwrap(), [10, 20, 30]);
    let model = checkpoints.load(20).unwrap();
    assert!(model.model().unwrap().tensors().count() > 1, "it was not replaced");
    assert_eq!(checkpoints.policy().unwrap(), policy);
}

/// A record of an event file with one scalar.
fn event(step: u8, tag: &str, value: f32) -> Vec<u8> {
    let masked = |bytes: &[u8]| {
        crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
    };
    let bytes = |field: u8, value: &[u8]| [&[field << 3 | 2, value.len() as u8], value].concat();
    let scalar = [bytes(1, tag.as_bytes()), vec![2 << 3 | 5], value.to_le_bytes().into()].concat();
    let message = [vec![2 << 3, step], bytes(5, &bytes(1, &scalar))].concat();
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), &message, &masked(&message)].concat()
}

#[test]
fn a_tag_that_is_called_step_is_kept_beside_the_step() {
    let dir = tempfile::tempdir().unwrap();
    let (file, run) = (dir.path().join("x.tfevents"), dir.path().join("run"));
    let tags = [(1, "step", 7.0), (1, "loss", 0.5), (2, "timestamp", 9.0), (2, "loss", 0.25)];
    let events: Vec<_> = tags.map(|(step, tag, value)| event(step, tag, value)).concat();
    fs::write(&file, events).unwrap();
    let called = call(&["import", &file.display().to_string(), &run.display().to_string()]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    for name in ["step", "timestamp"] {
        let says = format!("the tag `{name}` is the column `scalar.{name}`");
        assert_eq!(called.err.matches(&says).count(), 1, "{}", called.err);
    }
    let rows = read(&run.join("metrics.parquet"));
    assert_eq!(rows.column("step"), Some(&Values::Int(vec![Some(1), Some(2)])));
    assert_eq!(rows.column("scalar.step"), Some(&Values::Float(vec![Some(7.0), None])));
    assert_eq!(rows.column("scalar.timestamp"), Some(&Values::Float(vec![None, Some(9.0)])));
    assert_eq!(rows.column("loss"), Some(&Values::Float(vec![Some(0.5), Some(0.25)])));
}

#[test]
fn a_file_that_is_being_written_is_not_replaced() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let live = copy.path().join("live.parquet");
    let mut log = MetricsLog::<Row>::open(&live, WriterSettings::default()).unwrap();
    log.append(&Row::from([("loss", 0.5)]), Instant::now());
    log.flush().unwrap();
    let (run, live) = (at("runs/run_003"), at("live.parquet"));
    for format in ["parquet", "csv", "jsonl", "safetensors"] {
        let called = call(&["export", &run, "-o", &live, "--to", format, "--force"]);
        assert_eq!(called.exit, Exit::Busy, "{format}: {}", called.err);
        assert!(called.err.contains("is being written"), "{}", called.err);
    }
    log.append(&Row::from([("loss", 0.25)]), Instant::now());
    log.close().unwrap();
    drop(log);
    assert_eq!(read(live.as_ref()).rows, 2);
    assert_eq!(call(&["export", &run, "-o", &live, "--force"]).exit, Exit::Done);
    assert_eq!(read(live.as_ref()).rows, 84);
}

/// `QSTORE_READERS` names a Python that has DuckDB; without one the test is skipped by name.
#[test]
fn the_query_of_the_manual_can_be_asked() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let called = call(&["export", &at("runs"), "--all", "-o", &at("runs.parquet")]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let page = fs::read_to_string(package().join("../../docs/cli.md")).unwrap();
    let (_, query) = page.split_once("```sql\n").expect("the manual has a query");
    let (query, _) = query.split_once("```").unwrap();
    let python = std::env::var_os("QSTORE_READERS").unwrap_or_else(|| "python3".into());
    let script = package().join("tests/command/query.py");
    let asked = Command::new(python).arg(script).arg(query).current_dir(copy.path()).output();
    let Ok(asked) = asked else {
        println!("skipped: the query of DuckDB: there is no Python");
        return;
    };
    if asked.status.code() == Some(77) {
        println!("skipped: the query of DuckDB: it is not installed");
        return;
    }
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    assert_eq!(String::from_utf8(asked.stdout).unwrap(), "('ring', 1, 0.150390625)\n");
}

/// `QSTORE_READERS` names a Python that has TensorBoard; without one the test is skipped by name.
#[test]
fn tensorboard_reads_what_was_exported() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let called = call(&["export", &at("runs/run_003"), "--to", "tensorboard", "-o", &at("tb")]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let python = std::env::var_os("QSTORE_READERS").unwrap_or_else(|| "python3".into());
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
