//! T3: a child process is killed with `kill -9` before every change it makes to the file system.
//!
//! What it left is first read independently, by pandas or by our reader without a writer, and then compared with
//! what the child had been promised. Kills at random moments are in the integration tests.

use crate::child;
use crate::trial::Trial;
use qstore_tests::promises::Promises;
use qstore_tests::{metrics_run, readers};
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The quick form kills before every sixth change; the seed decides where it starts.
const STEP: usize = 6;

pub(crate) fn run(trial: &Arc<Trial>) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let benches: Vec<_> =
        (0..2).map(|bench| Mutex::new(Bench::new(&dir.path().join(bench.to_string())))).collect();
    let mut kills = Vec::new();
    for scenario in child::scenarios() {
        if !trial.wants(&format!("{scenario}/")) {
            continue;
        }
        let changes = {
            let home = benches[0].lock().expect("no thread has used it yet").clean();
            child::changes(&scenario, &home)
        };
        let (from, step) = if trial.full { (0, 1) } else { (trial.seed as usize % STEP, STEP) };
        kills.extend((0..changes).map(|at| (scenario.clone(), at)).skip(from).step_by(step));
        if trial.is_replay() {
            kills = (0..changes).map(|at| (scenario.clone(), at)).collect();
        }
    }
    trial.plan(kills.len());
    trial.side_by_side(&kills, |(scenario, at)| {
        trial.case(&format!("{scenario}/{at}"), || {
            // Any free bench; there may be more threads than benches.
            let bench = benches.iter().find_map(|bench| bench.try_lock().ok());
            match bench {
                Some(mut bench) => bench.kill(scenario, *at),
                None => {
                    benches[0].lock().unwrap_or_else(PoisonError::into_inner).kill(scenario, *at);
                }
            }
        });
    });
}

/// A directory in which children are killed one after the other, and a pandas process that reads what is left.
struct Bench {
    dir: PathBuf,
    pandas: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Bench {
    fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("a temporary directory can be written to");
        let file = metrics_run::file(&child::work(dir));
        let mut pandas = readers::spawn("each.py", &[&file]);
        let stdout = pandas.stdout.take().expect("its output is piped");
        let mut said = BufReader::new(stdout).lines();
        assert_eq!(said.next().and_then(Result::ok).as_deref(), Some("ready"));
        Self { dir: dir.to_path_buf(), pandas, said }
    }

    /// The directory, emptied except for the child's working directory.
    fn clean(&mut self) -> PathBuf {
        fs::remove_dir_all(&self.dir).expect("a temporary directory can be written to");
        fs::create_dir_all(child::work(&self.dir))
            .expect("a temporary directory can be written to");
        self.dir.clone()
    }

    fn kill(&mut self, scenario: &str, at: usize) {
        let dir = self.clean();
        let status = child::command(scenario, &dir, Some(at)).stdout(Stdio::null()).status();
        let status = status.expect("a child can be started");
        assert_eq!(status.signal(), Some(9), "the child was not killed but ended with {status}");
        let acknowledged = Promises::last_logged(&child::promised(&dir));
        if metrics_run::file(&child::work(&dir)).exists() {
            let rows = self.read();
            assert!(rows >= acknowledged, "pandas finds {rows} of {acknowledged} rows");
        } else {
            let is_metrics = scenario.starts_with("metrics");
            assert!(
                !is_metrics || acknowledged == 0,
                "the file is gone, with {acknowledged} acknowledged rows"
            );
        }
        child::check(scenario, &dir, acknowledged);
    }

    /// The number of rows that pandas finds; it also compares their values.
    fn read(&mut self) -> i64 {
        let stdin = self.pandas.stdin.as_mut().expect("its input is piped");
        writeln!(stdin, "read").expect("pandas is still running");
        let said = self.said.next().and_then(Result::ok).unwrap_or_default();
        said.parse().unwrap_or_else(|_| panic!("pandas cannot read the file: {said}"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.pandas.kill();
        let _ = self.pandas.wait();
    }
}
