//! Every call, with every fault at every request, against what is in the store then and after everything that
//! was delayed has arrived.

use super::*;
use crate::clock::SimulatedClock;
use crate::faulty::{Fault, FaultyObjects, Times};
use crate::memory::MemoryObjects;
use crate::objects::Page;
use std::collections::BTreeMap;

const TIMES: [Times; 3] = [Times::Count(1), Times::Count(3), Times::Following];

/// What a key may refer to: nothing, or these bytes.
type Possible = BTreeMap<&'static str, Vec<Option<Vec<u8>>>>;

struct Bed {
    memory: MemoryObjects,
    faulty: FaultyObjects,
    store: Store,
    possible: Possible,
    /// What was never written, and must not appear.
    never: Vec<Vec<u8>>,
}

impl Bed {
    fn new(memory: MemoryObjects) -> Self {
        let faulty = FaultyObjects::new(Arc::new(memory.clone()));
        let clock: Arc<SimulatedClock> = faulty.clock().clone();
        let store = Store::read_only_with(Arc::new(faulty.clone()), Limits::default(), clock);
        let possible = ["created", "document", "uploaded"].map(|key| (key, vec![None])).into();
        let store = store.expect("the limits are in range");
        Self { memory, faulty, store, possible, never: Vec::new() }
    }

    fn timed<T>(&self, call: impl FnOnce(&Store) -> T) -> T {
        let began = self.faulty.clock().now();
        let result = call(&self.store);
        let took = self.faulty.clock().now().saturating_sub(began);
        assert!(took <= Limits::default().call, "a call took {took:?}");
        result
    }

    /// Notes what a write may have left.
    fn wrote(&mut self, key: &'static str, bytes: &[u8], result: Result<Written, StoreError>) {
        let now = self.memory.bytes(key);
        let possible = self.possible.get_mut(key).expect("every key is known");
        match result {
            Ok(Written::Committed { .. }) => {
                assert_eq!(now.as_deref(), Some(bytes), "told committed, but it is not readable");
                *possible = vec![Some(bytes.into())];
            }
            Ok(Written::Taken { .. }) => {
                assert!(now.is_some_and(|now| now != bytes), "told taken, but it is ours");
            }
            Err(StoreError::Refused { .. } | StoreError::NotFound { .. }) => {
                assert_ne!(now.as_deref(), Some(bytes), "told refused, but it is there");
                self.never.push(bytes.into());
            }
            Err(StoreError::Unsettled(write)) => {
                assert_eq!((&*write.key, write.len), (key, bytes.len() as u64));
                possible.push(Some(bytes.into()));
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn upload(&self, parts: &[&[u8]]) -> Result<Written, StoreError> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let upload = self.timed(|store| store.begin("uploaded", &Token::random()))?;
        let mut tags = Vec::new();
        for (number, part) in (1..).zip(parts) {
            match self.timed(|store| store.part(&upload, number, part)) {
                Ok(tag) => tags.push(tag),
                Err(error) => {
                    let _ = self.timed(|store| store.abort(&upload));
                    return Err(error);
                }
            }
        }
        self.timed(|store| store.complete(&upload, &tags, len, false))
    }

    /// One of everything.
    fn run(&mut self) {
        for body in [&b"one"[..], b"two"] {
            let result = self.timed(|store| store.create("created", body, &Token::random()));
            self.wrote("created", body, result);
        }
        for body in [&b"first"[..], b"second"] {
            let result = self.timed(|store| store.replace("document", body, &Token::random()));
            self.wrote("document", body, result.map(|etag| Written::Committed { etag }));
        }
        for parts in [[&b"old "[..], b"upload"], [b"new ", b"upload"]] {
            let result = self.upload(&parts);
            self.wrote("uploaded", &parts.concat(), result);
        }
        let _ = self.timed(|store| store.list(""));
        if let Ok(Some(head)) = self.timed(|store| store.head("uploaded")) {
            let span = Span::At { offset: 1, len: 2 };
            if let Ok(body) = self.timed(|store| store.get("uploaded", span, Some(&head.etag))) {
                assert_eq!(body.bytes.len(), 2);
            }
            match self.timed(|store| store.delete("uploaded", Some(&head.etag))) {
                Ok(Removed::Gone) => {
                    assert_eq!(self.memory.bytes("uploaded"), None);
                    *self.possible.get_mut("uploaded").expect("it is known") = vec![None];
                }
                Ok(Removed::Replaced) | Err(_) => {
                    self.possible.get_mut("uploaded").expect("it is known").push(None);
                }
            }
        }
    }

    fn judge(&self, case: &str) {
        for (key, possible) in &self.possible {
            let found = self.memory.bytes(key);
            let is_possible = possible.contains(&found);
            assert!(is_possible, "{case}: `{key}` is {found:?}, possible is {possible:?}");
            let is_never = found.as_ref().is_some_and(|found| self.never.contains(found));
            assert!(!is_never, "{case}: `{key}` was refused and is visible");
        }
    }

    /// Every open upload is one that the store names.
    fn judge_orphans(&self, case: &str, fault: Fault) {
        // A begin that the network doubles is known to nobody.
        if matches!(fault, Fault::Twice | Fault::LateDuplicate) {
            return;
        }
        let orphans = self.store.orphans();
        for open in self.memory.open_uploads() {
            let is_named = orphans.iter().any(|orphan| {
                orphan.token == open.token && orphan.id.as_ref().is_none_or(|id| *id == open.id)
            });
            assert!(is_named, "{case}: {open:?} has no name in {orphans:?}");
        }
    }
}

#[test]
fn every_call_tells_what_happened_whatever_fails() {
    let mut cases = 0;
    for compares_deletes in [true, false] {
        for fault in Fault::ALL {
            for times in TIMES {
                for request in 0.. {
                    let memory = MemoryObjects::new();
                    let is_late = matches!(fault, Fault::LateDuplicate | Fault::SlowRequest);
                    let memory = if compares_deletes {
                        memory
                    } else if is_late {
                        break; // what such a store cannot do
                    } else {
                        memory.without_conditional_deletes()
                    };
                    let mut bed = Bed::new(memory);
                    bed.faulty.fail(request, times, fault);
                    bed.run();
                    let case = format!("{fault:?} {times:?} from request {request}");
                    bed.judge(&case);
                    bed.judge_orphans(&case, fault);
                    bed.faulty.heal();
                    bed.faulty.deliver();
                    bed.judge(&format!("{case}, delivered late"));
                    cases += 1;
                    // What is named can be ended.
                    let left = bed.store.abort_orphans();
                    assert!(left.iter().all(|orphan| orphan.id.is_none()), "{case}: {left:?}");
                    if !bed.faulty.has_failed() {
                        break;
                    }
                }
            }
        }
    }
    assert!(cases > 1500, "{cases}");
    println!("{cases} cases");
}

#[test]
fn without_faults_an_upload_takes_three_requests_more_than_it_has_parts() {
    let bed = Bed::new(MemoryObjects::new());
    assert!(matches!(bed.upload(&[b"a", b"b", b"c", b"d"]), Ok(Written::Committed { .. })));
    assert_eq!(bed.faulty.requests(), 4 + 3, "{:?}", bed.faulty.log());
}

#[test]
fn a_write_in_doubt_is_settled_later() {
    for (fault, is_there) in [(Fault::SlowAnswer, true), (Fault::Hangs, false)] {
        let bed = Bed::new(MemoryObjects::new());
        bed.faulty.fail(0, Times::Following, fault);
        let result = bed.store.create("created", b"body", &Token::random());
        let Err(StoreError::Unsettled(write)) = result else { panic!("{result:?}") };
        assert!(bed.store.settle(&write).is_err(), "the store is still away");
        bed.faulty.heal();
        let settled = bed.store.settle(&write).unwrap();
        assert_eq!(matches!(settled, Settled::Committed { .. }), is_there);
        assert_eq!(settled == Settled::Open, !is_there);
        // Writing it again with its token settles it.
        let again = bed.store.create("created", b"body", &write.token).unwrap();
        assert!(matches!(again, Written::Committed { .. }));

        let upload = bed.store.begin("uploaded", &Token::random()).unwrap();
        let tag = bed.store.part(&upload, 1, b"body").unwrap();
        bed.faulty.fail(bed.faulty.requests(), Times::Following, fault);
        let result = bed.store.complete(&upload, &[tag], 4, false);
        let Err(StoreError::Unsettled(write)) = result else { panic!("{result:?}") };
        bed.faulty.heal();
        let settled = bed.store.settle(&write).unwrap();
        assert_eq!(matches!(settled, Settled::Committed { .. }), is_there);
        assert_eq!(settled == Settled::Never, !is_there);
        assert_eq!((bed.store.orphans(), bed.memory.open_uploads()), (vec![], vec![]));
    }
}

/// Regression: a completion that was still under way replaced what was uploaded to the same key after it.
#[test]
fn an_older_upload_in_doubt_is_aborted_before_a_newer_one_is_completed() {
    let bed = Bed::new(MemoryObjects::new());
    let old = bed.store.begin("uploaded", &Token::random()).unwrap();
    let tag = bed.store.part(&old, 1, b"old").unwrap();
    bed.faulty.fail(bed.faulty.requests(), Times::Count(1), Fault::SlowRequest);
    bed.faulty.before(bed.faulty.requests() + 1, {
        let faulty = bed.faulty.clone();
        move || faulty.fail(0, Times::Following, Fault::NoConnection)
    });
    let result = bed.store.complete(&old, &[tag], 3, false);
    assert!(matches!(result, Err(StoreError::Unsettled(_))), "{result:?}");
    bed.faulty.heal();
    assert!(matches!(bed.upload(&[b"new"]), Ok(Written::Committed { .. })));
    bed.faulty.deliver();
    assert_eq!(bed.memory.bytes("uploaded").unwrap(), b"new");
}

/// The same, if the newer one had begun before, and the request of the older one arrives at the very end.
#[test]
fn an_older_upload_in_doubt_is_aborted_also_for_one_that_had_begun() {
    let bed = Bed::new(MemoryObjects::new());
    let old = bed.store.begin("uploaded", &Token::random()).unwrap();
    let old_tags = [bed.store.part(&old, 1, b"old").unwrap()];
    let new = bed.store.begin("uploaded", &Token::random()).unwrap();
    let new_tags = [bed.store.part(&new, 1, b"new").unwrap()];
    bed.faulty.fail(bed.faulty.requests(), Times::Following, Fault::Hangs);
    let result = bed.store.complete(&old, &old_tags, 3, false);
    assert!(matches!(result, Err(StoreError::Unsettled(_))), "{result:?}");
    bed.faulty.heal();
    let result = bed.store.complete(&new, &new_tags, 3, false);
    assert!(matches!(result, Ok(Written::Committed { .. })), "{result:?}");
    let late = bed.memory.complete("uploaded", &old.id, &old_tags, Duration::MAX);
    assert_eq!(late.unwrap_err().failure, Failure::NotFound);
    assert_eq!(bed.memory.bytes("uploaded").unwrap(), b"new");
}

#[test]
fn an_upload_that_is_shorter_than_it_should_be_is_not_reported_as_written() {
    let bed = Bed::new(MemoryObjects::new());
    let upload = bed.store.begin("uploaded", &Token::random()).unwrap();
    let tag = bed.store.part(&upload, 1, b"body").unwrap();
    let result = bed.store.complete(&upload, &[tag], 5, false);
    let Err(StoreError::Unsettled(write)) = result else { panic!("{result:?}") };
    assert!(write.source.to_string().contains("4 bytes instead of 5"), "{}", write.source);
}

/// A store that promises less than it should.
#[derive(Debug)]
struct Careless {
    memory: MemoryObjects,
    forgets_tokens: bool,
}

impl Objects for Careless {
    fn location(&self) -> String {
        self.memory.location()
    }

    fn put(
        &self,
        key: &str,
        body: &[u8],
        token: &Token,
        condition: &Condition,
        timeout: Duration,
    ) -> Result<Etag, RequestError> {
        self.memory.put(key, body, token, condition, timeout)
    }

    fn head(&self, key: &str, timeout: Duration) -> Result<Head, RequestError> {
        let mut head = self.memory.head(key, timeout)?;
        head.token = head.token.filter(|_| !self.forgets_tokens);
        Ok(head)
    }

    /// Whatever tag is asked for, it answers with the object that is there.
    fn get(
        &self,
        key: &str,
        span: Span,
        _: Option<&Etag>,
        timeout: Duration,
    ) -> Result<Body, RequestError> {
        self.memory.get(key, span, None, timeout)
    }

    fn list(
        &self,
        prefix: &str,
        next: Option<&str>,
        timeout: Duration,
    ) -> Result<Page, RequestError> {
        self.memory.list(prefix, next, timeout)
    }

    fn delete(
        &self,
        key: &str,
        etag: Option<&Etag>,
        timeout: Duration,
    ) -> Result<(), RequestError> {
        self.memory.delete(key, etag, timeout)
    }

    fn begin(&self, key: &str, token: &Token, timeout: Duration) -> Result<String, RequestError> {
        self.memory.begin(key, token, timeout)
    }

    fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: &[u8],
        timeout: Duration,
    ) -> Result<String, RequestError> {
        self.memory.part(key, upload, number, body, timeout)
    }

    fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[String],
        timeout: Duration,
    ) -> Result<Etag, RequestError> {
        self.memory.complete(key, upload, parts, timeout)
    }

    fn abort(&self, key: &str, upload: &str, timeout: Duration) -> Result<(), RequestError> {
        self.memory.abort(key, upload, timeout)
    }
}

#[test]
fn a_store_that_loses_metadata_is_refused_for_that() {
    let careless = Careless { memory: MemoryObjects::new(), forgets_tokens: true };
    let clock = Arc::new(SimulatedClock::default());
    let error = Store::open_with(Arc::new(careless), Limits::default(), clock).unwrap_err();
    assert!(error.to_string().contains("lost the metadata"), "{error}");
}

#[test]
fn what_a_careless_store_returns_of_another_version_is_not_taken() {
    let careless = Careless { memory: MemoryObjects::new(), forgets_tokens: false };
    let clock = Arc::new(SimulatedClock::default());
    let store = Store::open_with(Arc::new(careless), Limits::default(), clock).unwrap();
    let first = store.replace("document", b"first", &Token::random()).unwrap();
    store.replace("document", b"second", &Token::random()).unwrap();
    let error = store.get("document", Span::All, Some(&first)).unwrap_err();
    assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
}

#[test]
fn a_store_that_loses_conditions_is_refused() {
    let clock = || Arc::new(SimulatedClock::default());
    let open = |objects| Store::open_with(objects, Limits::default(), clock());
    let memory = MemoryObjects::new();
    assert!(open(Arc::new(memory.clone())).is_ok());
    assert_eq!(memory.keys(), [""; 0], "the probe leaves nothing");
    let lax = MemoryObjects::without_conditions();
    let error = open(Arc::new(lax.clone())).unwrap_err();
    assert!(error.to_string().contains("created an object twice"), "{error}");
    assert_eq!(lax.keys(), [""; 0]);
}

#[test]
fn a_safe_store_is_never_refused_as_unsafe_and_the_probe_ends() {
    for fault in Fault::ALL {
        for times in TIMES {
            for request in 0.. {
                let memory = MemoryObjects::new();
                let faulty = FaultyObjects::new(Arc::new(memory.clone()));
                faulty.fail(request, times, fault);
                let clock = faulty.clock().clone();
                let opened = Store::open_with(Arc::new(faulty.clone()), Limits::default(), clock);
                // Every 412 of a busy store is repeated, so only a lie could make it unsafe.
                let is_unsafe = matches!(opened, Err(StoreError::Unsafe { .. }));
                assert!(!is_unsafe, "{fault:?} {times:?} at {request}: {opened:?}");
                if !faulty.has_failed() {
                    break;
                }
            }
        }
    }
}

#[test]
fn racing_writers_agree_who_won_whatever_fails() {
    let faults = [Fault::AnswerLost, Fault::DoneButError, Fault::FalseConflict, Fault::Twice];
    let (mut unsettled, mut rounds) = (0, 0);
    for writers in [2_u64, 8] {
        for (at, fault) in (0..8).flat_map(|at| faults.map(|fault| (at, fault))) {
            let memory = MemoryObjects::new();
            let outcomes: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..writers)
                    .map(|writer| {
                        let memory = memory.clone();
                        scope.spawn(move || {
                            let bed = Bed::new(memory);
                            bed.faulty.fail((at + writer) % 3, Times::Count(1), fault);
                            bed.store.create("created", b"same", &Token::random())
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let won = |outcome: &&Result<Written, StoreError>| {
                matches!(outcome, Ok(Written::Committed { .. }))
            };
            let winners = outcomes.iter().filter(won).count();
            let open = outcomes.iter().filter(|outcome| outcome.is_err()).count();
            assert!(winners == 1 || (winners == 0 && open > 0), "{outcomes:?}");
            (unsettled, rounds) = (unsettled + open, rounds + 1);
        }
    }
    assert_eq!((unsettled, rounds), (0, 64), "one fault is never the end");
}

#[test]
fn errors_have_no_credentials() {
    let reason = "GET https://user:pw@host/k?X-Amz-Signature=5ec2e7 failed";
    let error = RequestError::new(Request::Get, "k", Failure::Unclear, reason);
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("5ec2e7") && !text.contains("pw@"), "{text}");
    }
}
