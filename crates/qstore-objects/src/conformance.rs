//! What every [`Objects`] must do, as functions that take any implementation.
//!
//! [`check`] exercises single requests and races. [`check_calls`] exercises the calls of a [`Store`] on it.

use crate::error::{Failure, StoreError};
use crate::limits::Limits;
use crate::objects::{Condition, Etag, Objects, Span};
use crate::store::{Removed, Store, Written};
use crate::token::Token;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// Exercises a store. Everything is written below `prefix`, which ends with `/`, and removed again.
///
/// # Panics
/// If the implementation breaks a promise of the trait.
pub fn check(objects: &dyn Objects, prefix: &str) {
    let at = |name: &str| format!("{prefix}{name}");
    conditions(objects, &at("a"));
    spans(objects, &at("spans"));
    keys(objects, prefix);
    uploads(objects, &at("upload"));
    one_creator_wins(objects, &at("race-"));
    one_of_many_replaces(objects, &at("swap"));
    let left = objects.list(prefix, None, LIMIT).expect("the prefix can be listed");
    assert_eq!(left.objects, [], "the checks remove what they write");
}

/// Opens a [`Store`] on it, which tries its conditions, and exercises the calls.
///
/// # Panics
/// If a call does not do what it promises.
pub fn check_calls(objects: Arc<dyn Objects>, prefix: &str) {
    let store = Store::open(objects, Limits::default()).expect("the store is safe");
    let key = format!("{prefix}calls");
    let token = Token::random();
    let Ok(Written::Committed { etag }) = store.create(&key, b"first", &token) else {
        panic!("a new key is created");
    };
    let again = store.create(&key, b"first", &token);
    assert_eq!(again, Ok(Written::Committed { etag: etag.clone() }), "the same token is ours");
    let other = store.create(&key, b"first", &Token::random());
    assert_eq!(other, Ok(Written::Taken { etag: etag.clone() }), "equal bytes are not ours");
    let second = store.replace(&key, b"the second", &Token::random()).expect("it is replaced");
    let old = store.get(&key, Span::At { offset: 0, len: 2 }, Some(&etag));
    assert_eq!(old, Err(StoreError::Replaced { key: key.clone() }));
    assert_eq!(store.delete(&key, Some(&etag)), Ok(Removed::Replaced), "another tag is left alone");
    assert_eq!(
        store.get(&key, Span::All, Some(&second)).expect("it is there").bytes,
        b"the second"
    );
    assert_eq!(store.delete(&key, Some(&second)), Ok(Removed::Gone));
    assert_eq!(store.delete(&key, None), Ok(Removed::Gone), "a missing one is not an error");
    assert!(store.get(&key, Span::All, None).is_err_and(|error| error.is_not_found()));
    assert_eq!(store.orphans(), []);
}

fn failure<T: std::fmt::Debug>(result: crate::objects::Result<T>) -> Failure {
    result.expect_err("it must fail").failure
}

fn remove(objects: &dyn Objects, key: &str) {
    match objects.delete(key, None, LIMIT) {
        Err(error) if error.failure != Failure::NotFound => panic!("{error}"),
        _ => {}
    }
}

fn conditions(objects: &dyn Objects, key: &str) {
    let (one, two) = (Token::random(), Token::random());
    assert_eq!(failure(objects.head(key, LIMIT)), Failure::NotFound);
    assert_eq!(failure(objects.get(key, Span::All, None, LIMIT)), Failure::NotFound);
    let other = Condition::Is(Etag("\"00000000000000000000000000000000\"".into()));
    let missing = failure(objects.put(key, b"x", &one, &other, LIMIT));
    assert!(matches!(missing, Failure::ConditionFailed | Failure::NotFound), "{missing:?}");
    let first = objects.put(key, b"one", &one, &Condition::Absent, LIMIT).expect("it is absent");
    let head = objects.head(key, LIMIT).expect("it exists");
    assert_eq!((head.len, head.token.as_ref(), &head.etag), (3, Some(&one), &first));
    let taken = objects.put(key, b"two", &two, &Condition::Absent, LIMIT);
    assert_eq!(failure(taken), Failure::ConditionFailed);
    let wrong = objects.put(key, b"two", &two, &other, LIMIT);
    assert_eq!(failure(wrong), Failure::ConditionFailed);
    let second = objects.put(key, b"two!", &two, &Condition::Is(first.clone()), LIMIT);
    let second = second.expect("the tag is right");
    assert_ne!(first, second, "another content has another tag");
    assert_eq!(objects.head(key, LIMIT).expect("it exists").token, Some(two.clone()));
    let body = objects.get(key, Span::All, Some(&second), LIMIT).expect("the tag is right");
    assert_eq!((body.bytes.as_slice(), body.len, &body.etag), (&b"two!"[..], 4, &second));
    let stale = objects.get(key, Span::All, Some(&first), LIMIT);
    assert_eq!(failure(stale), Failure::ConditionFailed);
    if objects.deletes_conditionally() {
        let stale = objects.delete(key, Some(&first), LIMIT);
        assert_eq!(failure(stale), Failure::ConditionFailed);
        objects.delete(key, Some(&second), LIMIT).expect("the tag is right");
    } else {
        objects.delete(key, None, LIMIT).expect("it exists");
    }
    assert_eq!(failure(objects.head(key, LIMIT)), Failure::NotFound);
    remove(objects, key);
    objects.put(key, b"", &one, &Condition::Always, LIMIT).expect("an object may be empty");
    assert_eq!(objects.get(key, Span::All, None, LIMIT).expect("it exists").bytes, b"");
    remove(objects, key);
}

fn spans(objects: &dyn Objects, key: &str) {
    let bytes: Vec<u8> = (0..100).collect();
    objects.put(key, &bytes, &Token::random(), &Condition::Always, LIMIT).expect("it is written");
    let get = |span| objects.get(key, span, None, LIMIT).map(|body| (body.bytes, body.len));
    assert_eq!(get(Span::At { offset: 0, len: 1 }), Ok((vec![0], 100)));
    assert_eq!(get(Span::At { offset: 90, len: 10 }), Ok(((90..100).collect(), 100)));
    assert_eq!(get(Span::Last(3)), Ok((vec![97, 98, 99], 100)));
    assert_eq!(get(Span::Last(1000)), Ok((bytes, 100)), "more than there is");
    assert!(get(Span::At { offset: 100, len: 1 }).is_err(), "beyond the end");
    remove(objects, key);
}

fn keys(objects: &dyn Objects, prefix: &str) {
    let some = ["k/1", "k/2", "k/3", "k/deep/4", "l"].map(|name| format!("{prefix}{name}"));
    for key in &some {
        objects.put(key, b"x", &Token::random(), &Condition::Always, LIMIT).expect("it is written");
    }
    let below = |prefix: &str| {
        let (mut found, mut next) = (BTreeSet::new(), None);
        loop {
            let page = objects.list(prefix, next.as_deref(), LIMIT).expect("it can be listed");
            for object in page.objects {
                assert_eq!(object.len, 1);
                assert!(found.insert(object.key), "a key is listed twice");
            }
            match page.next {
                Some(_) => next = page.next,
                None => break found,
            }
        }
    };
    assert_eq!(below(&format!("{prefix}k/")), some[..3].iter().cloned().collect());
    assert_eq!(below(prefix), some[4..].iter().cloned().collect(), "directly below only");
    assert_eq!(below(&format!("{prefix}none/")), BTreeSet::new());
    for key in &some {
        remove(objects, key);
    }
}

fn uploads(objects: &dyn Objects, key: &str) {
    let part_len = objects.part_bytes_min() as usize;
    let parts = [vec![1; part_len], vec![2; part_len], b"end".to_vec()];
    let token = Token::random();
    let id = objects.begin(key, &token, LIMIT).expect("it begins");
    let mut tags: Vec<_> = (1..)
        .zip(&parts)
        .map(|(number, part)| objects.part(key, &id, number, part, LIMIT).expect("a part"))
        .collect();
    // The same part again, as after a lost response.
    tags[1] = objects.part(key, &id, 2, &parts[1], LIMIT).expect("a part is replaced");
    assert_eq!(failure(objects.head(key, LIMIT)), Failure::NotFound, "it is not visible yet");
    let etag = objects.complete(key, &id, &tags, LIMIT).expect("it is completed");
    let head = objects.head(key, LIMIT).expect("it appears");
    let whole = parts.concat();
    assert_eq!((head.len, head.token.as_ref()), (whole.len() as u64, Some(&token)));
    assert_eq!(head.etag, etag);
    let body = objects.get(key, Span::All, Some(&etag), LIMIT).expect("it can be read");
    assert!(body.bytes == whole, "it is not what was uploaded");

    let second = objects.begin(key, &Token::random(), LIMIT).expect("it begins");
    let tag = objects.part(key, &second, 1, b"other", LIMIT).expect("a part");
    objects.abort(key, &second, LIMIT).expect("it is aborted");
    assert!(objects.complete(key, &second, &[tag], LIMIT).is_err(), "it was aborted");
    assert_eq!(objects.head(key, LIMIT).expect("it is still there").token, Some(token));

    let third = Token::random();
    let id = objects.begin(key, &third, LIMIT).expect("it begins");
    let tag = objects.part(key, &id, 1, b"replaces", LIMIT).expect("a part");
    objects.complete(key, &id, &[tag], LIMIT).expect("it replaces what has the key");
    assert_eq!(objects.head(key, LIMIT).expect("it exists").token, Some(third));
    remove(objects, key);
}

fn one_creator_wins(objects: &dyn Objects, key: &str) {
    for writers in [2, 8] {
        for round in 0..10 {
            let key = format!("{key}{writers}-{round}");
            let tokens: Vec<_> = (0..writers).map(|_| Token::random()).collect();
            let winners: Vec<&Token> = thread::scope(|scope| {
                let put = |token| {
                    let key = &key;
                    scope.spawn(move || {
                        // Equal bytes: only the token tells whose object it is.
                        match objects.put(key, b"same", token, &Condition::Absent, LIMIT) {
                            Ok(_) => true,
                            Err(error) => {
                                assert_eq!(error.failure, Failure::ConditionFailed, "{error}");
                                false
                            }
                        }
                    })
                };
                let threads: Vec<_> = tokens.iter().map(|token| (token, put(token))).collect();
                let won = threads.into_iter().filter_map(|(token, thread)| {
                    thread.join().expect("no writer panics").then_some(token)
                });
                won.collect()
            });
            assert_eq!(winners.len(), 1, "{writers} writers, {} winners", winners.len());
            let head = objects.head(&key, LIMIT).expect("it exists");
            assert_eq!(head.token.as_ref(), Some(winners[0]), "it is the winner's");
            remove(objects, &key);
        }
    }
}

fn one_of_many_replaces(objects: &dyn Objects, key: &str) {
    const WRITERS: usize = 8;
    let mut etag = objects
        .put(key, b"first", &Token::random(), &Condition::Absent, LIMIT)
        .expect("it is absent");
    for round in 0..10 {
        let swapped: Vec<Etag> = thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let condition = Condition::Is(etag.clone());
                    scope.spawn(move || {
                        let body = format!("{round} by {writer}");
                        objects.put(key, body.as_bytes(), &Token::random(), &condition, LIMIT)
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().expect("no panic").ok()).collect()
        });
        assert_eq!(swapped.len(), 1, "round {round}");
        etag = swapped.into_iter().next().expect("there is one");
    }
    remove(objects, key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryObjects;

    #[test]
    fn the_memory_conforms() {
        for objects in [MemoryObjects::new(), MemoryObjects::new().without_conditional_deletes()] {
            objects.set_page(2);
            check(&objects, "check/");
            check_calls(Arc::new(objects.clone()), "check/");
            assert_eq!((objects.keys().len(), objects.open_uploads().len()), (0, 0));
        }
    }

    #[test]
    #[should_panic(expected = "it must fail")]
    fn a_store_without_conditions_does_not_conform() {
        check(&MemoryObjects::without_conditions(), "check/");
    }
}
