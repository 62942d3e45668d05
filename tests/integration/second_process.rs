//! A second process lists, explains, follows, pins and prunes checkpoints while a writer in another process
//! saves, collects and retains; the lock of the directory orders the two.

use qstore::checkpoint::retention::{Goal, Policy};
use qstore::{
    CheckpointManager, CheckpointSettings, Checkpoints, Layout, Snapshot, StateDict, Tensor,
};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);
const DIRECTORY: &str = "QSTORE_SECOND_PROCESS_DIRECTORY";
const LAYOUT: &str = "QSTORE_SECOND_PROCESS_LAYOUT";
const KEPT: usize = 4;

fn model(step: u64) -> StateDict {
    let values: Vec<f32> = (0..500).map(|i| (step * 1_000 + i) as f32).collect();
    StateDict::from_iter([("w", Tensor::from_vec(values, [20, 25]).unwrap())])
}

/// The writer: the test's own program, started again. It saves when its parent asks, by a line with a
/// number, and answers with a line when the save is durable. Without a parent it has nothing to do.
#[test]
fn saves_for_a_second_process() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let layout = match std::env::var(LAYOUT).as_deref() {
        Ok("directory") => Layout::Directory,
        _ => Layout::SingleFile,
    };
    let settings = CheckpointSettings::default()
        .layout(layout)
        .keep_last(KEPT)
        .keep_best(1, "loss", Goal::Lowest)
        .workers(1);
    let mut manager = CheckpointManager::open(dir, settings).unwrap();
    println!("\nready");
    for line in std::io::stdin().lines() {
        let step: u64 = line.unwrap().parse().unwrap();
        let snapshot = Snapshot::new(step).model(model(step)).meta("loss", 1.0 / (step + 1) as f64);
        manager.save(snapshot).unwrap().wait(LONG).unwrap();
        println!("\ndurable {step}");
    }
    manager.close(LONG).unwrap();
}

struct Writer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Writer {
    fn start(dir: &Path, layout: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "second_process::saves_for_a_second_process", "--nocapture"])
            .env(DIRECTORY, dir)
            .env(LAYOUT, layout)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut writer = Self { child, requests, answers };
        writer.wait_for("ready");
        writer
    }

    fn request(&mut self, step: u64) {
        writeln!(self.requests, "{step}").unwrap();
    }

    fn wait_for(&mut self, answer: &str) {
        let mut line = String::new();
        while line.trim() != answer {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the writer has ended");
        }
    }

    fn save(&mut self, step: u64) {
        self.request(step);
        self.wait_for(&format!("durable {step}"));
    }

    fn finish(self) {
        let Self { mut child, requests, mut answers } = self;
        drop(requests);
        // What the test harness prints at the end is read, too: a closed pipe would fail it.
        std::io::copy(&mut answers, &mut std::io::sink()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_second_process_lists_explains_follows_pins_and_prunes_beside_a_live_writer() {
    for layout in ["file", "directory"] {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("checkpoints");
        let mut writer = Writer::start(&dir, layout);
        let checkpoints = Checkpoints::open(&dir).unwrap();
        let mut follow = checkpoints.follow();
        assert!(follow.poll().unwrap().is_empty());

        // It sees each save, and explains it by the policy of the other process.
        for step in 1..=6 {
            writer.save(step);
            let new: Vec<u64> = follow.poll().unwrap().iter().map(|save| save.number).collect();
            assert_eq!(new, [step]);
        }
        assert_eq!(checkpoints.list_checkpoints().unwrap(), [3, 4, 5, 6]);
        let policy = Policy::keep_last(KEPT).best(1, "loss", Goal::Lowest);
        assert_eq!(checkpoints.policy().unwrap(), policy);
        assert!(checkpoints.explain().unwrap().iter().all(|decision| decision.keep));

        // The writer's retention honors a pin that it did not set.
        checkpoints.pin(3).unwrap();
        writer.save(7);
        writer.save(8);
        assert_eq!(checkpoints.list_checkpoints().unwrap(), [3, 5, 6, 7, 8]);

        // A plan is carried out only as far as it is still true.
        let plan = checkpoints.explain_with(&Policy::keep_last(1)).unwrap();
        writer.save(6); // saved again since the plan was made
        checkpoints.pin(7).unwrap();
        assert_eq!(checkpoints.prune(&plan).unwrap(), [5]);
        checkpoints.unpin(3).unwrap();
        assert_eq!(checkpoints.list_checkpoints().unwrap(), [3, 6, 7, 8]);
        assert_eq!(checkpoints.prune(&plan).unwrap(), [0_u64; 0], "there is nothing left to do");

        beside_a_busy_writer(&checkpoints, &mut writer);
        writer.finish();
        for number in checkpoints.list_checkpoints().unwrap() {
            assert_eq!(checkpoints.load(number).unwrap().model(), Some(&model(number)));
        }
    }
}

/// Everything at once: the writer saves without a pause, and nothing that is listed is ever half there.
fn beside_a_busy_writer(checkpoints: &Checkpoints, writer: &mut Writer) {
    let first = 100;
    let steps = first..first + 60;
    steps.clone().for_each(|step| writer.request(step));
    let mut follow = checkpoints.follow();
    let mut seen = BTreeSet::new();
    let (mut loads, mut pruned) = (0, 0);
    let last = steps.end - 1;
    while !seen.contains(&last) {
        for save in follow.poll().unwrap() {
            seen.insert(save.number);
            // Retention may have removed it since; a half checkpoint is never loaded.
            if let Ok(loaded) = checkpoints.load(save.number) {
                assert_eq!(loaded.model(), Some(&model(save.number)));
                loads += 1;
            }
        }
        let newest = checkpoints.latest_checkpoint().unwrap().unwrap();
        checkpoints.pin(newest).unwrap();
        // While the pin waited for the lock, the writer may have saved enough to remove it.
        if !checkpoints.list_checkpoints().unwrap().contains(&newest) {
            checkpoints.unpin(newest).unwrap();
            continue;
        }
        let plan = checkpoints.explain_with(&Policy::keep_last(2)).unwrap();
        pruned += checkpoints.prune(&plan).unwrap().len();
        assert!(checkpoints.load(newest).is_ok(), "the pinned checkpoint {newest} is gone");
        checkpoints.unpin(newest).unwrap();
    }
    writer.wait_for(&format!("durable {last}"));
    println!("{loads} cases: loads beside {} saves, {pruned} pruned", steps.count());
    assert!(loads > 0);
}
