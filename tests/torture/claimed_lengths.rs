//! T16: a file claims lengths far beyond what it has, and whatever reads it goes on.
//!
//! An allocation that fails ends a process, which no test in the same process can see, and a system that promises
//! any amount of memory hides it. So the files are read by a child that has little address space. It prints the
//! number of each input before it reads it: when it is killed by a signal, the last number is the culprit, and
//! another child goes on behind it.
//!
//! The inputs are everything in `malformed`: metrics files with their footers, pages, dictionaries and texts,
//! of ours and of other programs; checkpoints, manifests and Zarr documents, chunks and archives; safetensors.
//! A checkpoint has the time of its save in it, so a place behind that may be a few bytes off in another run.

use crate::trial::Trial;
use qstore_tests::malformed::claims::{Claim, claims};
use qstore_tests::malformed::{Limits, TARGETS, judge, target};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// In kilobytes, as `ulimit -v` counts. Programs and their threads take some hundred megabytes of it.
const ADDRESS_SPACE: u64 = 1 << 20;
/// How many inputs of each target are tried, spread evenly over all of them; the seed decides where they start.
const QUICK: usize = 2_000;
const FULL: usize = 60_000;
/// How many inputs a child is asked for.
const SHARD: usize = 500;
/// The names and texts that all decode to something are not lengths.
const NOT_LENGTHS: &str = "names";
/// How often a child may end early before the rest of its inputs is given up.
const ENDS_MAX: usize = 20;

pub(crate) fn run(trial: &Arc<Trial>) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let mut shards = Vec::new();
    let mut planned = 0;
    for target in TARGETS.into_iter().filter(|target| target.name != NOT_LENGTHS) {
        if !trial.wants(&format!("{}/", target.name)) {
            continue;
        }
        // For every process the same.
        let seeds = Seeds { name: target.name, dir: dir.path().join(target.name) };
        seeds.write(&(target.seeds)());
        let numbers = selection(trial, claims(&seeds.read()).len());
        planned += numbers.len();
        shards.extend(numbers.chunks(SHARD).map(|shard| (seeds.clone(), shard.to_vec())));
    }
    trial.plan(planned);
    trial.side_by_side(&shards, |(seeds, numbers)| read_all(trial, seeds, numbers));
}

/// The valid inputs of a target, a file for each.
#[derive(Debug, Clone)]
struct Seeds {
    name: &'static str,
    dir: PathBuf,
}

impl Seeds {
    fn write(&self, seeds: &[Vec<u8>]) {
        fs::create_dir(&self.dir).expect("the directory is new");
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(self.dir.join(number.to_string()), seed).expect("it can be written");
        }
    }

    fn read(&self) -> Vec<Vec<u8>> {
        read_seeds(&self.dir)
    }
}

fn read_seeds(dir: &Path) -> Vec<Vec<u8>> {
    (0..).map_while(|number: usize| fs::read(dir.join(number.to_string())).ok()).collect()
}

/// Which inputs are tried.
fn selection(trial: &Trial, count: usize) -> Vec<usize> {
    if trial.is_replay() {
        return (0..count).collect();
    }
    let most = if trial.full { FULL } else { QUICK };
    let step = count.div_ceil(most).max(1);
    (trial.seed as usize % step..count).step_by(step).collect()
}

/// Reads these inputs of a target, and reports each as a case.
fn read_all(trial: &Trial, seeds: &Seeds, numbers: &[usize]) {
    let (name, all) = (seeds.name, claims(&seeds.read()));
    let case = |number: usize| format!("{name}/{}", all[number]);
    let mut numbers: Vec<_> =
        numbers.iter().copied().filter(|number| trial.wants(&case(*number))).collect();
    let mut verdicts: BTreeMap<usize, Result<(), String>> = BTreeMap::new();
    for _ in 0..ENDS_MAX {
        let Some(first) = numbers.first().copied() else { break };
        let mut child = Reader::start(seeds, &numbers);
        let end = child.listen(&mut verdicts);
        let Err(reason) = end else { break };
        let culprit = verdicts.last_key_value().map_or(first, |(number, _)| *number);
        verdicts.insert(culprit, Err(reason));
        numbers.retain(|number| *number > culprit);
    }
    for (number, verdict) in verdicts {
        trial.case(&case(number), || {
            if let Err(reason) = verdict {
                panic!("{reason}");
            }
        });
    }
}

/// A child that reads.
struct Reader {
    child: Child,
}

impl Reader {
    fn start(Seeds { name, dir }: &Seeds, numbers: &[usize]) -> Self {
        let shell = format!("ulimit -v {ADDRESS_SPACE} && exec \"$0\" \"$@\"");
        let program = std::env::current_exe().expect("a program knows its own path");
        let mut command = Command::new("sh");
        command.arg("-c").arg(shell).arg(program).args(["--reader", name]).arg(dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a shell can be started");
        let mut lines = String::new();
        for number in numbers {
            let _ = writeln!(lines, "{number}");
        }
        let mut stdin = child.stdin.take().expect("its input is piped");
        // All of it fits into a pipe; a child that is gone is noticed when it is listened to.
        let _ = stdin.write_all(lines.as_bytes());
        Self { child }
    }

    /// Takes down what the child reports; the error is how it ended before its end.
    fn listen(&mut self, verdicts: &mut BTreeMap<usize, Result<(), String>>) -> Result<(), String> {
        let stdout = self.child.stdout.take().expect("its output is piped");
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let (number, said) = line.split_once(' ').unwrap_or((&line, ""));
            let number = number.parse().expect("a child begins each line with a number");
            let verdict = if said.is_empty() { Ok(()) } else { Err(said.to_owned()) };
            verdicts.insert(number, verdict);
        }
        let status = self.child.wait().expect("it is a child of this process");
        if status.success() { Ok(()) } else { Err(format!("the process ended: {status}")) }
    }
}

/// The child: reads the inputs with the numbers on its standard input.
pub(crate) fn reader(arguments: &[String]) -> ExitCode {
    let [name, dir] = arguments else { return ExitCode::from(2) };
    let Some(target) = target(name) else { return ExitCode::from(2) };
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = read_seeds(Path::new(dir));
    let all: Vec<Claim> = claims(&seeds);
    // Only memory counts here.
    let limits = Limits { time: Duration::from_secs(600), ..Limits::default() };
    let mut out = std::io::stdout();
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let Some(claim) = line.parse().ok().and_then(|number: usize| all.get(number)) else {
            return ExitCode::from(2);
        };
        let input = claim.input(&seeds);
        // Written at once: the next line may never come.
        let told = writeln!(out, "{line}").and_then(|()| out.flush());
        let told = told.and_then(|()| match judge(target, &input, limits) {
            Ok(()) => Ok(()),
            Err(reason) => writeln!(out, "{line} {}", reason.replace('\n', " ")),
        });
        if told.is_err() {
            return ExitCode::FAILURE; // nobody listens
        }
    }
    ExitCode::SUCCESS
}
