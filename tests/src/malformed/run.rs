//! Untrusted `run.json`: read, looked at, changed, and resumed from.

use qstore::run::{RunPlace, ThisMachine, edit_run_json_in};
use qstore::storage::{FileSystem, MemoryFs, create_dir_all, read_all};
use qstore::{Direction, Locking, Run, RunReader, RunSettings, Snapshot};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/run";
const FILE: &str = "/run/run.json";

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
