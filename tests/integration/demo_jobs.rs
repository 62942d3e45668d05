//! The demo with jobs at a provider: killed while a job waits and while an answer is on its way, and resumed. What the
//! provider wrote down is the judge.

use qstore::RunReader;
use qstore_tests::demo::Demo;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::Duration;

/// Six epochs of seven steps, a checkpoint after the fifth: job 38 is in the epoch that has none.
const PLAIN: &[&str] = &["--epochs", "6", "--provider", "simulated"];
const JOBS: usize = 42;

/// A demo, and the log of its provider.
struct Paid {
    demo: Demo,
    log: PathBuf,
}

impl Paid {
    fn new() -> Self {
        let demo = Demo::new();
        let log = demo.out().with_file_name("provider.jsonl");
        Self { demo, log }
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let log = self.log.to_str().expect("the path is text");
        [PLAIN, &["--provider-log", log], more].concat()
    }

    /// What the provider did, in order.
    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("the log is JSON")).collect()
    }

    fn accepted(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| line.get("accepted").cloned()).collect()
    }

    fn bill(&self) -> f64 {
        self.accepted().iter().map(|job| job["usd"].as_f64().unwrap()).sum()
    }

    fn losses(&self, session: usize) -> Vec<String> {
        let rows = self.demo.journal(session).rows;
        rows.iter().map(|row| row["row"]["train_loss"].to_string()).collect()
    }

    /// Starts the demo, waits until the provider has this many jobs, and kills it.
    fn kill_at(&self, jobs: usize, more: &[&str]) {
        let mut child: Child = self.demo.spawn(0, &self.arguments(more));
        while self.accepted().len() < jobs {
            assert!(child.try_wait().unwrap().is_none(), "the demo has ended by itself");
            // sleep: the other process is given time between two looks at its log.
            thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// That each batch was paid for once, and that the ledger knows each job and its price.
    fn check(&self, straight: &Self) {
        let accepted = self.accepted();
        assert_eq!(accepted.len(), JOBS);
        let places: BTreeSet<_> = accepted.iter().map(|job| job["place"].to_string()).collect();
        assert_eq!(places.len(), JOBS, "a batch was sent twice");
        assert_eq!(cents(self.bill()), cents(straight.bill()));

        let jobs = RunReader::open(self.demo.out()).unwrap().jobs().unwrap();
        let mut paid = 0.0;
        let mut known = BTreeSet::new();
        for job in jobs.iter().filter(|job| job.provider_job().is_some()) {
            assert!(!job.is_open(), "{job:?}");
            paid += job.known.cost_usd.expect("a job that is done has a price");
            known.insert((job.key.to_string(), job.provider_job().unwrap().to_owned()));
        }
        assert_eq!(cents(paid), cents(self.bill()));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let billed = accepted.iter().map(|job| (text(&job["token"]), text(&job["id"])));
        assert_eq!(known, billed.collect());
    }
}

fn cents(usd: f64) -> i64 {
    (usd * 100.0).round() as i64
}

fn straight() -> Paid {
    let straight = Paid::new();
    let said = straight.demo.run(0, &straight.arguments(&[]));
    assert!(said.contains("42 sent, 0 found paid for, 0 found waiting"), "{said}");
    straight.check(&straight);
    straight
}

#[test]
fn a_demo_that_is_killed_while_a_job_waits_pays_for_nothing_twice() {
    let straight = straight();
    let killed = Paid::new();
    killed.kill_at(39, &["--hold", "38"]);
    let (before, billed) = (killed.accepted().len(), killed.bill());
    assert_eq!(before, 39);

    let said = killed.demo.run(1, &killed.arguments(&["--resume"]));
    // The epoch began with step 35: three steps were paid for, and one waits.
    assert!(said.contains("resuming after epoch 4"), "{said}");
    assert!(said.contains("3 sent, 3 found paid for, 1 found waiting"), "{said}");
    assert!(killed.bill() > billed);
    killed.check(&straight);
    // The training went on as if it had not been killed.
    let whole = straight.losses(0);
    let rows = killed.losses(1);
    assert_eq!(rows, whole[whole.len() - rows.len()..]);
}

/// The most expensive moment: the provider has the job, and nobody knows its identifier.
#[test]
fn a_demo_that_is_killed_before_an_answer_arrives_finds_the_job_by_its_token() {
    let straight = straight();
    let killed = Paid::new();
    killed.kill_at(39, &["--hold-answer", "38"]);
    let jobs = RunReader::open(killed.demo.out()).unwrap().jobs().unwrap();
    assert!(jobs.last().unwrap().in_doubt, "{:?}", jobs.last());
    let said = killed.demo.run(1, &killed.arguments(&["--resume"]));
    assert!(said.contains("3 sent, 3 found paid for, 1 found waiting"), "{said}");
    killed.check(&straight);
}

/// At whatever moment the kill comes.
#[test]
fn a_demo_that_is_killed_again_and_again_pays_once() {
    let straight = straight();
    let killed = Paid::new();
    for jobs in [3, 17, 36] {
        let resume: &[&str] = if jobs == 3 { &[] } else { &["--resume"] };
        killed.kill_at(jobs, resume);
    }
    killed.demo.run(1, &killed.arguments(&["--resume"]));
    killed.check(&straight);
}
