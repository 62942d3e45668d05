//! Whatever happens to a writer, the status of its run is true, from wherever it is looked at.

use super::*;
use qstore_storage::testing::Watched;
use qstore_storage::{MemoryFs, Operation, create_dir_all, read_all};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// A machine of the test, and a process on it.
#[derive(Debug, Clone)]
struct Machine {
    host: &'static str,
    boot_id: u64,
    pid: u32,
    namespace: &'static str,
    /// The processes that live, on all machines.
    alive: Arc<Mutex<HashSet<(u64, u32)>>>,
}

impl Surroundings for Machine {
    fn host(&self) -> Option<String> {
        Some(self.host.into())
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("boot-{}", self.boot_id))
    }

    fn process(&self) -> ProcessMark {
        let namespace = Some(self.namespace.to_owned());
        ProcessMark { pid: self.pid, started: Some(u64::from(self.pid)), namespace }
    }

    fn is_alive(&self, process: &ProcessMark) -> Option<bool> {
        let is_here = process.namespace.as_deref() == Some(self.namespace);
        is_here.then(|| self.alive.lock().unwrap().contains(&(self.boot_id, process.pid)))
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
    }
}

/// How the test ends a writer.
#[derive(Debug, Clone, Copy)]
enum End {
    Finish,
    Fail,
    Kill,
    /// Children of a fork keep its lock.
    KillWithChildren,
    /// The machine is started again.
    Reboot,
}

const ENDS: [End; 5] = [End::Finish, End::Fail, End::Kill, End::KillWithChildren, End::Reboot];
const DIR: &str = "/run";

/// A run, two machines that see its directory, and what is true of it.
struct World {
    disk: MemoryFs,
    alive: Arc<Mutex<HashSet<(u64, u32)>>>,
    boot_ids: [u64; 2],
    pids: u32,
    /// The attempt that goes on, and the machine it is on.
    writer: Option<(Session, usize, u32)>,
    /// Sessions whose writer was killed and whose children live.
    orphans: Option<(Session, usize)>,
    /// What became of the last attempt that has ended.
    ended: Option<End>,
    /// The machine of the last attempt, and since when it ran.
    last: (usize, u64),
}

impl World {
    fn new() -> Self {
        let disk = MemoryFs::new();
        create_dir_all(&disk, Path::new(DIR)).unwrap();
        let (alive, boot_ids) = (Arc::default(), [10, 20]);
        Self {
            disk,
            alive,
            boot_ids,
            pids: 100,
            writer: None,
            orphans: None,
            ended: None,
            last: (0, 0),
        }
    }

    fn machine(&self, number: usize, pid: u32, namespace: &'static str) -> Machine {
        let host = ["one", "two"][number];
        let boot_id = self.boot_ids[number];
        Machine { host, boot_id, pid, namespace, alive: Arc::clone(&self.alive) }
    }

    /// Begins an attempt on a machine, unless children of an earlier one still hold the lock.
    fn begin(&mut self, machine: usize) {
        if self.orphans.as_ref().is_some_and(|(_, holder)| *holder != machine) {
            // Without locks across machines a second writer would start; users must not do that.
            self.orphans = None;
        }
        self.pids += 1;
        let around = self.machine(machine, self.pids, "pid:[1]");
        let place = RunPlace::new(Arc::new(self.disk.clone()), Arc::new(around));
        self.alive.lock().unwrap().insert((self.boot_ids[machine], self.pids));
        let hold = match Hold::take(&place, Path::new(DIR), Locking::Required) {
            Err(RunError::Running { .. }) => {
                assert!(self.orphans.is_some(), "a free lock is refused");
                return;
            }
            held => held.unwrap(),
        };
        let known = json_file::read(&self.disk, Path::new(DIR)).unwrap();
        let session = match known {
            None => {
                let mut run = RunFile::new("id".into(), "run".into(), UtcTime::now());
                run.attempts.push(hold.attempt(1));
                hold.create(&run).unwrap()
            }
            Some(run) => {
                let attempt = hold.attempt(run.next_attempt());
                hold.add(|_| attempt).unwrap()
            }
        };
        self.last = (machine, self.boot_ids[machine]);
        self.writer = Some((session, machine, self.pids));
        self.ended = None;
    }

    fn end(&mut self, end: End) {
        let Some((mut session, machine, pid)) = self.writer.take() else { return };
        match end {
            End::Finish => session.end(AttemptOutcome::Finished, None).unwrap(),
            End::Fail => session.end(AttemptOutcome::Failed, Some("no".into())).unwrap(),
            End::Kill | End::KillWithChildren | End::Reboot => {}
        }
        self.alive.lock().unwrap().remove(&(self.boot_ids[machine], pid));
        self.ended = Some(end);
        match end {
            End::KillWithChildren => self.orphans = Some((session, machine)),
            // The system releases the lock.
            _ => drop(session),
        }
        if matches!(end, End::Reboot) {
            self.boot_ids[machine] += 1;
            self.orphans = self.orphans.take().filter(|(_, holder)| *holder != machine);
        }
    }

    /// What a machine sees: the files, and the locks that it has itself.
    fn seen_from(&self, machine: usize) -> MemoryFs {
        let holder = self.writer.as_ref().map(|(_, holder, _)| *holder);
        let holder = holder.or(self.orphans.as_ref().map(|(_, holder)| *holder));
        if holder == Some(machine) { self.disk.clone() } else { self.disk.process_kill() }
    }

    fn expected(&self, machine: usize) -> RunState {
        let is_same = self.last == (machine, self.boot_ids[machine]);
        match (&self.writer, self.ended) {
            (Some((_, holder, _)), _) if *holder == machine => RunState::Running,
            (None, Some(End::Finish)) => RunState::Finished,
            (None, Some(End::Fail)) => RunState::Failed,
            (None, _) if is_same => RunState::Crashed,
            _ => RunState::Unknown,
        }
    }

    fn status(files: MemoryFs, around: Machine, dir: &str) -> (RunState, Reason) {
        let place = RunPlace::new(Arc::new(files), Arc::new(around));
        let (_, state, reason) = status_of(&place, Path::new(dir)).unwrap();
        (state, reason)
    }

    /// Looks at the run from both machines, from another container, and at a copy of it.
    fn check(&self, story: &str) {
        for machine in [0, 1] {
            let around = self.machine(machine, 1, "pid:[1]");
            let files = self.seen_from(machine);
            let (state, reason) = Self::status(files.clone(), around.clone(), DIR);
            assert_eq!(state, self.expected(machine), "{story}: from {machine}: {reason}");

            // Another container of the machine: it has other numbers for processes.
            if self.orphans.is_none() {
                let other = Machine { namespace: "pid:[2]", ..around.clone() };
                let (state, reason) = Self::status(files.clone(), other, DIR);
                assert_eq!(state, self.expected(machine), "{story}: container {machine}: {reason}");
            }

            // A copy has the files, and nobody writes it.
            let copied = copy(&files);
            let (state, reason) = Self::status(copied, around, "/copy");
            let expected = match self.expected(machine) {
                known @ (RunState::Finished | RunState::Failed) => known,
                _ => RunState::Unknown,
            };
            assert_eq!(state, expected, "{story}: the copy from {machine}: {reason}");
        }
    }
}

/// The same disk with a copy of the run.
fn copy(files: &MemoryFs) -> MemoryFs {
    let copied = files.process_kill();
    copied.create_dir(Path::new("/copy")).unwrap();
    for entry in copied.list(Path::new(DIR)).unwrap() {
        let bytes = read_all(&copied, &Path::new(DIR).join(&entry.name)).unwrap();
        let file = copied.create_new(&Path::new("/copy").join(&entry.name)).unwrap();
        file.write_at(0, &bytes).unwrap();
    }
    copied
}

#[test]
fn no_status_is_wrong_in_ten_thousand_histories() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut seen = HashSet::new();
    for history in 0..10_000 {
        let mut world = World::new();
        let mut story = format!("history {history}");
        let attempts = random.usize(1..4);
        for _ in 0..attempts {
            let machine = random.usize(0..2);
            let before = world.writer.is_some();
            assert!(!before);
            world.begin(machine);
            write!(story, ", begun on {machine}").unwrap();
            seen.insert(world.expected(machine));
            world.check(&story);
            let end = ENDS[random.usize(0..ENDS.len())];
            world.end(end);
            write!(story, ", {end:?}").unwrap();
            seen.insert(world.expected(machine));
            world.check(&story);
            if random.bool() {
                world.orphans = None;
                story += ", children gone";
                world.check(&story);
            }
        }
    }
    assert_eq!(seen.len(), RunState::ALL.len(), "{seen:?}");
}

#[test]
fn a_lock_that_nobody_can_see_is_never_reported_as_crashed() {
    let mut world = World::new();
    world.begin(0);
    let run = |change: &dyn Fn(&mut RunAttempt)| {
        let mut run = json_file::read(&world.disk, Path::new(DIR)).unwrap().unwrap();
        change(run.attempts.last_mut().unwrap());
        run
    };
    let here = Here { host: Some("one".into()), boot_id: Some("boot-10".into()) };
    let lock = run(&|_| {}).attempts[0].lock.unwrap();
    let free = Sight::Free(qstore_storage::FileId { device: lock[0], number: lock[1] });
    let other = Sight::Free(qstore_storage::FileId { device: lock[0] + 1, number: lock[1] });
    let unreadable = Sight::Unreadable("denied".into());
    let same: &dyn Fn(&mut RunAttempt) = &|_| {};
    for (change, sight, expected) in [
        (same, &free, RunState::Crashed),
        // The number of the device differs, as it may between containers.
        (same, &other, RunState::Unknown),
        (same, &Sight::Missing, RunState::Unknown),
        (same, &unreadable, RunState::Unknown),
        (&|attempt| attempt.lock = None, &free, RunState::Unknown),
        (&|attempt| attempt.boot_id = None, &free, RunState::Unknown),
        (&|attempt| attempt.boot_id = Some("other".into()), &free, RunState::Unknown),
        (&|attempt| attempt.host = None, &free, RunState::Unknown),
        (&|attempt| attempt.host = Some("two".into()), &free, RunState::Unknown),
    ] {
        let (state, reason) = status::of_the_silent(&run(change), sight, &here);
        assert_eq!(state, expected, "{reason}");
    }
}

/// A run of another host that has no boot ID, and a reader without one, are not the same machine.
#[test]
fn two_machines_without_numbers_are_not_taken_for_one() {
    let mut world = World::new();
    world.begin(0);
    let mut run = json_file::read(&world.disk, Path::new(DIR)).unwrap().unwrap();
    let last = run.attempts.last_mut().unwrap();
    let [device, number] = last.lock.unwrap();
    (last.host, last.boot_id) = (Some("one".into()), None);
    let sight = Sight::Free(qstore_storage::FileId { device, number });
    let here = Here { host: Some("one".into()), boot_id: None };
    let found = status::of_the_silent(&run, &sight, &here);
    assert_eq!(
        found,
        (RunState::Unknown, Reason::Unseen),
        "nothing says that it was started again"
    );
}

/// It has recorded its end and released its lock after `run.json` was read.
#[test]
fn a_run_that_ends_while_it_is_looked_at_has_not_crashed() {
    let mut world = World::new();
    world.begin(0);
    let session = Mutex::new(world.writer.take().map(|(session, ..)| session));
    let watched = Watched::new(&world.disk);
    watched.set(move |_, operation, _| {
        if operation == Operation::Lock
            && let Some(mut session) = session.lock().unwrap().take()
        {
            session.end(AttemptOutcome::Finished, None).unwrap();
        }
        Ok(())
    });
    let place = RunPlace::new(watched.shared(), Arc::new(world.machine(0, 1, "pid:[1]")));
    assert_eq!(status_of(&place, Path::new(DIR)).unwrap().1, RunState::Finished);
}

#[test]
fn the_end_of_an_attempt_is_its_own() {
    let mut world = World::new();
    world.begin(0);
    world.end(End::Kill);
    world.begin(0);
    world.end(End::Finish);
    let run = json_file::read(&world.disk, Path::new(DIR)).unwrap().unwrap();
    let outcomes: Vec<_> = run.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [None, Some(AttemptOutcome::Finished)]);
    assert!(run.attempts[0].ended.is_none() && run.attempts[1].ended.is_some());
}

/// Threads that write may still have the files open.
#[test]
fn an_end_that_is_only_recorded_keeps_the_lock_until_the_session_is_gone() {
    let mut world = World::new();
    world.begin(0);
    let (mut session, ..) = world.writer.take().unwrap();
    session.record_end(AttemptOutcome::Failed, Some("why".into())).unwrap();
    assert!(session.has_ended());
    let place =
        RunPlace::new(Arc::new(world.disk.clone()), Arc::new(world.machine(0, 1, "pid:[1]")));
    let take = || Hold::take(&place, Path::new(DIR), Locking::Required);
    assert!(matches!(take(), Err(RunError::Running { .. })));
    drop(session);
    assert!(take().is_ok());
    let expected = (RunState::Failed, Reason::Error("why".into()));
    let (_, state, reason) = status_of(&place, Path::new(DIR)).unwrap();
    assert_eq!((state, reason), expected);
}

#[test]
fn a_second_writer_learns_who_holds_the_lock_and_what_to_do() {
    let mut world = World::new();
    world.begin(0);
    let refused = |world: &World, namespace| {
        let around = world.machine(0, 1, namespace);
        let place = RunPlace::new(Arc::new(world.disk.clone()), Arc::new(around));
        Hold::take(&place, Path::new(DIR), Locking::Required).unwrap_err().to_string()
    };
    let stop = "wait for its end, or stop it first";
    for (namespace, holder) in
        [("pid:[1]", "process 101"), ("pid:[2]", "process 101 in another container")]
    {
        let expected = format!("/run is being written by {holder}; {stop}");
        assert_eq!(refused(&world, namespace), expected);
    }
    world.end(End::KillWithChildren);
    assert_eq!(
        refused(&world, "pid:[1]"),
        "/run is still locked: its writer (process 101) has ended, but processes that it forked are running; \
         stop them first"
    );
}
