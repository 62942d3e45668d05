//! Untrusted `run.json` and an untrusted metrics file of a run: read, looked at, changed, and resumed from.

use super::metrics::sealed;
use qstore::parquet::MetricsLog;
use qstore::run::{RunPlace, ThisMachine, edit_run_json_in};
use qstore::schema::{Row, StateDict};
use qstore::storage::{FileSystem, MemoryFs, create_dir_all, read_all};
use qstore::{
    CheckpointManager, CheckpointSettings, Direction, Locking, Run, RunReader, RunSettings,
    Snapshot, WriterSettings,
};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const DIR: &str = "/run";
const FILE: &str = "/run/run.json";
const METRICS: &str = "/run/metrics.parquet";
/// The ID of the run whose metrics file is untrusted.
const ID: &str = "seed";

fn place(memory: &MemoryFs) -> RunPlace {
    RunPlace::new(Arc::new(memory.clone()), Arc::new(ThisMachine))
}

fn settings() -> RunSettings {
    RunSettings::default().record_environment(false)
}

pub(super) fn read_run_json(bytes: &[u8]) {
    let memory = MemoryFs::new();
    create_dir_all(&memory, Path::new(DIR)).expect("the memory is empty");
    let file = memory.create_new(Path::new(FILE)).expect("the memory is empty");
    file.write_at(0, bytes).expect("the memory has room");
    let Ok(reader) = RunReader::open_in(place(&memory), DIR) else {
        assert!(Run::resume_in(&place(&memory), DIR, settings()).is_err());
        let kept = read_all(&memory, Path::new(FILE)).expect("it is still there");
        assert!(kept == bytes, "what cannot be read is left untouched");
        return;
    };
    let _ = reader.status().map(|status| status.reason.to_string());
    let _ = reader.current_rows();
    // What is not understood is kept.
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let changed = edit_run_json_in(&files, DIR, Locking::Required, |run| run.tags.push("x".into()));
    let changed = changed.expect("what was read can be written");
    assert_eq!(changed.other, reader.run_json().other);
    let again = RunReader::open_in(place(&memory), DIR).expect("what was written can be read");
    assert_eq!(*again.run_json(), changed);
    if let Ok((mut run, _)) = Run::resume_in(&place(&memory), DIR, settings()) {
        let _ = run.finish();
    }
}

pub(super) fn run_json_seeds() -> Vec<Vec<u8>> {
    let memory = MemoryFs::new();
    let described = settings()
        .group("g")
        .tag("t")
        .notes("n")
        .param("lr", 0.1)
        .seed(7)
        .goal("loss", Direction::Min);
    let mut run = Run::create_at_in(&place(&memory), DIR, described).expect("the memory is empty");
    run.log_step((0, 0, 0.5)).expect("it runs");
    let _ticket = run.save(0, Snapshot::new(0)).expect("it runs");
    run.finish().expect("the memory has room");
    let first = read_all(&memory, Path::new(FILE)).expect("it was written");
    let (mut run, _) =
        Run::resume_in(&place(&memory), DIR, settings().param("lr", 0.2)).expect("it has ended");
    run.fail("on purpose").expect("the memory has room");
    vec![first, read_all(&memory, Path::new(FILE)).expect("it was written")]
}

/// A run that has a checkpoint after four rows, and no metrics file.
fn without_metrics() -> MemoryFs {
    static MADE: OnceLock<MemoryFs> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let memory = MemoryFs::new();
        let mut run =
            Run::create_at_in(&place(&memory), DIR, settings()).expect("the memory is empty");
        run.finish().expect("the memory has room");
        drop(run);
        let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
        edit_run_json_in(&files, DIR, Locking::Required, |run| run.id = ID.into())
            .expect("it has ended");
        memory.remove_file(Path::new(METRICS)).expect("it is there");
        let mut manager =
            CheckpointManager::open_in(files, "/run/checkpoints", CheckpointSettings::default())
                .expect("nobody has it open");
        let mut meta = StateDict::new();
        meta.insert("run", ID);
        for (name, number) in [("attempt", 1), ("step", 3), ("rows_accepted", 4)] {
            meta.insert(name, number);
        }
        let _ticket = manager.save(Snapshot::new(0).meta("qstore", meta)).expect("it runs");
        manager.close(Duration::from_secs(60)).expect("the memory has room");
        memory
    });
    made.process_kill()
}

pub(super) fn read_metrics(bytes: &[u8]) {
    let resealed = [true, false].into_iter().filter_map(|is_ours| sealed(bytes, is_ours));
    for bytes in std::iter::once(bytes.to_vec()).chain(resealed) {
        let memory = without_metrics();
        let file = memory.create_new(Path::new(METRICS)).expect("there is none");
        file.write_at(0, &bytes).expect("the memory has room");
        let reader = RunReader::open_in(place(&memory), DIR).expect("its record is whole");
        let _ = reader.losses();
        if let (Ok(current), Ok(superseded)) = (reader.current_rows(), reader.superseded()) {
            let rows =
                reader.metrics().expect("it was opened").map_or(0, qstore::MetricsFile::rows);
            let current = current.into_iter().map(|current| current.rows);
            let all = current.chain(superseded);
            assert_eq!(all.map(|rows| rows.end - rows.start).sum::<u64>(), rows);
        }
        if let Ok((mut run, resumed)) = Run::resume_in(&place(&memory), DIR, settings()) {
            assert!(resumed.is_some_and(|resumed| resumed.rows_missing <= 4));
            let _ = run.finish();
        }
    }
}

/// A file of two attempts, and the same with accounts that cannot be true.
pub(super) fn metrics_seeds() -> Vec<Vec<u8>> {
    let memory = MemoryFs::new();
    create_dir_all(&memory, Path::new(DIR)).expect("the memory is empty");
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    for (attempt, cut_row, steps) in [(1, None, 0..8_i64), (2, Some(6), 6..9)] {
        let mut writer = WriterSettings::default().run_id(ID).attempt(attempt);
        writer.cut_row = cut_row;
        let mut log = MetricsLog::<Row>::open_in(Arc::clone(&storage), METRICS, writer)
            .expect("a file can be created");
        for step in steps {
            log.append(&Row::from([("epoch", 0), ("step", step)]), Instant::now());
        }
        log.close().expect("the memory has room");
    }
    let seed = read_all(&memory, Path::new(METRICS)).expect("it was written");
    let odd = |change: fn(&mut Value)| {
        let changed = with_accounts(&seed, change);
        sealed(&changed, true).expect("its footer is whole")
    };
    let huge = odd(|session| {
        for name in ["first_row", "written", "cut_row", "rejected", "omitted_values"] {
            session[name] = u64::MAX.into();
        }
        for name in ["full", "closed", "evicted", "cleared"] {
            session["dropped"][name] = u64::MAX.into();
        }
    });
    let far = odd(|session| session["first_row"] = (u64::MAX - 1).into());
    let long = odd(|session| session["written"] = u64::MAX.into());
    let lossy = odd(|session| {
        session["first_row"] = (u64::MAX - 1).into();
        session["rejected"] = 1.into();
    });
    vec![seed, huge, far, long, lossy]
}

/// The file with other accounts of its sessions in the footer, which is not sealed.
fn with_accounts(file: &[u8], change: fn(&mut Value)) -> Vec<u8> {
    const KEY: &[u8] = b"qstore.segments";
    let key = file.windows(KEY.len()).rposition(|window| window == KEY).expect("it has some");
    let list = file[key..].iter().position(|byte| *byte == b'[').expect("they are a list");
    let at = key + list;
    let mut texts = serde_json::Deserializer::from_slice(&file[at..]).into_iter::<Value>();
    let mut sessions = texts.next().expect("one begins here").expect("they are JSON");
    let len = texts.byte_offset();
    sessions.as_array_mut().expect("it is a list").iter_mut().for_each(change);
    let text = sessions.to_string();
    // A text has its length before it, in groups of seven bits.
    let varint = |mut number: usize| {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push(number as u8 & 0x7f | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let before = at - varint(len).len();
    assert_eq!(file[before..at], varint(len));
    let mut changed = file[..before].to_vec();
    changed.extend(varint(text.len()));
    changed.extend(text.as_bytes());
    let tail = file.len() - 8;
    changed.extend(&file[at + len..tail]);
    let footer: [u8; 4] = file[tail..tail + 4].try_into().expect("four bytes");
    let footer = u32::from_le_bytes(footer) as usize + changed.len() - tail;
    changed.extend((footer as u32).to_le_bytes());
    changed.extend(&file[tail + 4..]);
    changed
}
