//! What every [`Repository`] must do, as functions that take any implementation.
//!
//! [`check`] exercises an empty repository. [`check_faults`] makes every request fail once in each way
//! that a request can fail, and [`check_power_cuts`] stops between any two requests; both compare what is
//! stored afterwards with what was reported. They return the number of cases they tried.

use super::{Created, Exclusion, Fault, Faulty, Repository, RepositoryError, Result, read_all};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

/// Exercises an empty repository.
///
/// # Panics
/// If the implementation breaks a promise of the trait.
pub fn check(repository: &dyn Repository) {
    assert_eq!(names(repository), [""; 0], "the repository must be empty");
    drafts_are_invisible(repository);
    what_is_open_stays_as_it_is(repository);
    what_is_identified_is_replaced_and_removed(repository);
    one_creator_wins(repository);
    names_below_a_prefix(repository);
    writers_are_excluded(repository);
    if repository.has_trees() {
        trees_are_published_as_a_whole(repository);
    } else {
        assert!(repository.begin_tree("tree", 1).is_err());
    }
}

fn names(repository: &dyn Repository) -> Vec<String> {
    let listed = repository.list("").expect("the repository can be listed");
    let mut names: Vec<_> = listed.into_iter().map(|listed| listed.name).collect();
    names.sort();
    names
}

fn write(repository: &dyn Repository, name: &str, bytes: &[u8]) -> Result<()> {
    let mut draft = repository.begin_file(name)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    draft.append(first)?;
    draft.append(second)?;
    draft.commit().map(drop)
}

fn read(repository: &dyn Repository, name: &str) -> Option<Vec<u8>> {
    read_all(repository, name, 1 << 20).expect("a committed file can be read")
}

fn drafts_are_invisible(repository: &dyn Repository) {
    let mut draft = repository.begin_file("a").unwrap();
    draft.append(b"draft").unwrap();
    assert_eq!((draft.len(), names(repository).len()), (5, 0), "a draft is listed");
    assert!(repository.open_file("a").unwrap_err().is_not_found(), "a draft can be opened");
    drop(draft);
    assert_eq!(names(repository), [""; 0], "a dropped draft left something behind");
    write(repository, "a", b"first").unwrap();
    assert_eq!(names(repository), ["a"]);
    drop(repository.remove(&["a".into(), "b".into()]).expect("a missing name is not an error"));
    assert_eq!(names(repository), [""; 0]);
}

fn what_is_open_stays_as_it_is(repository: &dyn Repository) {
    write(repository, "a", b"first").unwrap();
    let open = repository.open_file("a").unwrap();
    write(repository, "a", b"the second").unwrap();
    drop(repository.remove(&["a".into()]).unwrap());
    let mut bytes = vec![0; open.len().unwrap() as usize];
    match open.read_at(0, &mut bytes) {
        Ok(()) => assert_eq!(bytes, b"first", "an open file changed with its name"),
        Err(error) => {
            assert!(matches!(error, RepositoryError::ReplacedWhileRead { .. }), "{error}");
            assert!(open.is_replaced(), "a file that cannot be read anymore does not know why");
            write(repository, "a", b"first").unwrap();
        }
    }
    let reopened = repository.open_file("a");
    let open = if open.is_replaced() { reopened.unwrap() } else { open };
    assert!(open.read_at(3, &mut [0; 3]).is_err(), "a read beyond the end succeeded");
    let mut end = [0; 2];
    open.read_at(3, &mut end).unwrap();
    assert_eq!(&end, b"st");
    drop(repository.remove(&["a".into()]).unwrap());
}

fn what_is_identified_is_replaced_and_removed(repository: &dyn Repository) {
    for bytes in [&b"first"[..], b"second"] {
        let mut draft = repository.begin_file("a").unwrap();
        draft.append(bytes).unwrap();
        drop(draft.commit_over(&|name, _| Ok(name == "a")).unwrap());
        assert_eq!(read(repository, "a").as_deref(), Some(bytes));
    }
    let both = ["a".into(), "b".into()];
    drop(repository.remove_if(&both, &|name, _| Ok(name == "a")).unwrap());
    assert_eq!(names(repository), [""; 0]);
}

fn one_creator_wins(repository: &dyn Repository) {
    const WRITERS: usize = 8;
    for round in 0..20 {
        let name = format!("document-{round}");
        let outcomes: Vec<Created> = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let name = &name;
                    scope.spawn(move || repository.create(name, format!("{writer}").as_bytes()))
                })
                .collect();
            let joined = writers.into_iter().map(|writer| writer.join().expect("no writer panics"));
            joined.map(|created| created.expect("one creates it, the others find it")).collect()
        });
        let winners: Vec<_> =
            (0..WRITERS).filter(|writer| outcomes[*writer] == Created::New).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        let bytes = winners[0].to_string().into_bytes();
        assert_eq!(read(repository, &name), Some(bytes.clone()));
        for outcome in outcomes {
            assert!(outcome == Created::New || outcome == Created::Exists(bytes.clone()));
        }
        repository.replace(&name, b"replaced").unwrap();
        assert_eq!(read(repository, &name).as_deref(), Some(&b"replaced"[..]));
        drop(repository.remove(&[name]).unwrap());
    }
    assert_eq!(repository.create("empty", b"").unwrap(), Created::New);
    assert_eq!(repository.create("empty", b"x").unwrap(), Created::Exists(Vec::new()));
    drop(repository.remove(&["empty".into()]).unwrap());
}

fn names_below_a_prefix(repository: &dyn Repository) {
    write(repository, "n.parts/a1/rank_0", b"part").unwrap();
    assert_eq!(repository.create("n.parts/a1/rank_1", b"part").unwrap(), Created::New);
    let mut below: Vec<_> = repository.list("n.parts/a1/").unwrap();
    below.sort();
    let below: Vec<_> = below.iter().map(|listed| listed.name.as_str()).collect();
    assert_eq!(below, ["rank_0", "rank_1"]);
    assert!(repository.list("n.parts/a2/").unwrap().is_empty());
    assert!(!names(repository).iter().any(|name| name.contains("rank")), "a part is listed");
    let parts = ["rank_0", "rank_1"].map(|name| format!("n.parts/a1/{name}"));
    drop(repository.remove(&parts).unwrap());
    assert!(repository.list("n.parts/a1/").unwrap().is_empty());
}

fn writers_are_excluded(repository: &dyn Repository) {
    let guard = match repository.exclude().unwrap() {
        Exclusion::Held(guard) => guard,
        Exclusion::Unavailable => return,
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let _guard = repository.exclude().unwrap();
            assert!(read(repository, "written").is_some(), "two writers held the lock");
        });
        write(repository, "written", b"under the lock").unwrap();
        drop(guard);
        other.join().expect("the other writer gets the lock eventually");
    });
    drop(repository.remove(&["written".into()]).unwrap());
}

fn trees_are_published_as_a_whole(repository: &dyn Repository) {
    let before = names(repository);
    let fill = |bytes: &'static [u8]| {
        let tree = repository.begin_tree("tree", 2).unwrap();
        thread::scope(|scope| {
            for part in ["a", "b"] {
                let tree = &tree;
                scope.spawn(move || tree.put(&format!("{part}/c/0"), &[part.as_bytes(), bytes]));
            }
        });
        tree.put("manifest.json", &[b"{\"x\":1}"]).unwrap();
        tree
    };
    assert!(repository.open_tree("tree").unwrap_err().is_not_found());
    let tree = fill(b"1");
    assert_eq!(names(repository), before, "a draft is listed");
    assert!(tree.put("a/c/0", &[b"again"]).is_err(), "an entry was written twice");
    drop(tree);
    for bytes in [&b"1"[..], b"2"] {
        drop(fill(bytes).commit().unwrap());
        let tree = repository.open_tree("tree").unwrap();
        let mut entries = tree.entries().unwrap();
        entries.sort();
        assert_eq!(entries, ["a/c/0", "b/c/0", "manifest.json"]);
        let entry = tree.open("b/c/0").unwrap();
        let mut found = [0; 2];
        entry.read_at(0, &mut found).unwrap();
        assert_eq!(found, [b'b', bytes[0]]);
        assert!(tree.open("a/c/1").unwrap_err().is_not_found());
    }
    let next = repository.begin_tree("next", 1).unwrap();
    if !next.link("a/c/0", "tree") {
        next.put("a/c/0", &[b"a2"]).unwrap();
    }
    assert!(!next.link("a/c/1", "tree"), "a missing entry was linked");
    next.put("manifest.json", &[b"{\"x\":2}"]).unwrap();
    drop(next.commit().unwrap());
    drop(repository.remove(&["tree".into()]).unwrap());
    let mut linked = [0; 2];
    repository.open_tree("next").unwrap().open("a/c/0").unwrap().read_at(0, &mut linked).unwrap();
    assert_eq!(&linked, b"a2", "an entry disappeared with the tree it was linked from");
    drop(repository.remove(&["next".into()]).unwrap());
    assert_eq!(names(repository), before);
}

/// A repository that can be inspected as a power cut would leave it.
pub trait TestBed {
    /// The repository, the same one each time.
    fn repository(&self) -> Arc<dyn Repository>;

    /// What would be left if the power failed now, as separate repositories: one for each way it can fail.
    /// At least everything that was acknowledged must be present.
    fn power_cuts(&self) -> Vec<Arc<dyn Repository>>;
}

/// What a name may refer to: nothing, or these bytes.
type Allowed = BTreeMap<&'static str, Vec<Option<&'static [u8]>>>;

/// One step of the script: a name and its new bytes, or none.
const SCRIPT: [(&str, Option<&[u8]>); 6] = [
    ("one", Some(b"first")),
    ("two", Some(b"other")),
    ("one", Some(b"second")),
    ("two", None),
    ("pin", Some(b"by hand")),
    ("one", Some(b"the third")),
];

/// Runs the script until a step fails. Returns what may be stored at that point.
fn run(repository: &dyn Repository) -> Allowed {
    let mut allowed: Allowed = ["one", "two", "pin"].map(|name| (name, vec![None])).into();
    for (name, bytes) in SCRIPT {
        let done = match bytes {
            Some(bytes) if name == "pin" => repository.create(name, bytes).map(drop),
            Some(bytes) => write(repository, name, bytes),
            None => repository.remove(&[name.into()]).map(drop),
        };
        let known = allowed.get_mut(name).expect("every name is known");
        if done.is_err() {
            known.push(bytes);
            break;
        }
        *known = vec![bytes];
    }
    allowed
}

fn judge(repository: &dyn Repository, allowed: &Allowed, case: &str) {
    for (name, states) in allowed {
        let found = read(repository, name);
        let is_allowed = states.contains(&found.as_deref());
        assert!(is_allowed, "{case}: `{name}` is {found:?}, allowed is {states:?}");
        let is_listed = names(repository).iter().any(|listed| listed == name);
        assert_eq!(is_listed, found.is_some(), "{case}: `{name}` is listed but missing");
    }
}

/// Makes each request fail once in each way. Returns the number of cases.
///
/// # Panics
/// If something is stored that neither existed before nor was written, or something that was acknowledged
/// is lost.
pub fn check_faults(bed: impl Fn() -> Box<dyn TestBed>) -> u64 {
    let mut cases = 0;
    for fault in [Fault::Refused, Fault::AnswerLost, Fault::Down] {
        for request in 0.. {
            let bed = bed();
            let faulty = Faulty::new(bed.repository());
            faulty.fail(request, fault);
            let allowed = run(&faulty);
            if !faulty.has_failed() {
                break;
            }
            judge(&*bed.repository(), &allowed, &format!("{fault:?} at request {request}"));
            cases += 1;
        }
    }
    cases
}

/// Cuts the power before each request and after the last one. Returns the number of cases.
///
/// # Panics
/// As [`check_faults`].
pub fn check_power_cuts(bed: impl Fn() -> Box<dyn TestBed>) -> u64 {
    let mut cases = 0;
    for request in 0.. {
        let bed = bed();
        let faulty = Faulty::new(bed.repository());
        faulty.fail(request, Fault::Down);
        let allowed = run(&faulty);
        for (way, after) in bed.power_cuts().into_iter().enumerate() {
            judge(&*after, &allowed, &format!("power cut {way} before request {request}"));
            cases += 1;
        }
        if !faulty.has_failed() {
            break;
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalRepository;
    use crate::repository::MemoryRepository;
    use qstore_storage::{FileSystem, LocalFs, MemoryFs};

    #[test]
    fn every_repository_here_conforms() {
        check(&MemoryRepository::new());
        check(&MemoryRepository::without_lock());
        let in_memory = LocalRepository::open_in(Arc::new(MemoryFs::new()), "/c").unwrap();
        check(&in_memory);
        let dir = tempfile::tempdir().unwrap();
        check(&LocalRepository::open_in(Arc::new(LocalFs::new()), dir.path()).unwrap());
    }

    struct Memory(MemoryRepository);

    impl TestBed for Memory {
        fn repository(&self) -> Arc<dyn Repository> {
            Arc::new(self.0.clone())
        }

        fn power_cuts(&self) -> Vec<Arc<dyn Repository>> {
            vec![Arc::new(self.0.power_cut())]
        }
    }

    struct Local(MemoryFs);

    impl TestBed for Local {
        fn repository(&self) -> Arc<dyn Repository> {
            Arc::new(LocalRepository::open_in(Arc::new(self.0.clone()), "/c").unwrap())
        }

        fn power_cuts(&self) -> Vec<Arc<dyn Repository>> {
            [self.0.power_cut(), self.0.power_cut_after_names()]
                .map(|fs| {
                    let fs: Arc<dyn FileSystem> = Arc::new(fs);
                    let after: Arc<dyn Repository> =
                        Arc::new(LocalRepository::open_in(fs, "/c").unwrap());
                    after
                })
                .into()
        }
    }

    #[test]
    fn faults_and_power_cuts_never_lose_acknowledged_writes() {
        let memory = || -> Box<dyn TestBed> { Box::new(Memory(MemoryRepository::new())) };
        let local = || -> Box<dyn TestBed> { Box::new(Local(MemoryFs::new())) };
        let faults = [check_faults(memory), check_faults(local)];
        let cuts = [check_power_cuts(memory), check_power_cuts(local)];
        assert!(faults.iter().all(|cases| *cases > 40), "{faults:?}");
        assert!(cuts[0] > 15 && cuts[1] > 30, "{cuts:?}");
        println!("{} cases", faults.iter().chain(&cuts).sum::<u64>());
    }
}
