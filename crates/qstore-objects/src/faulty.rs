//! A store whose requests fail on demand, in every way that a network and a server have.

use crate::clock::{Clock, SimulatedClock};
use crate::error::{Failure, Request, RequestError};
use crate::objects::{Body, Condition, Etag, Head, Objects, Page, Result, Span};
use crate::token::Token;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// There is no connection; nothing is sent.
    NoConnection,
    /// The connection breaks before the store has the whole request.
    RequestLost,
    /// The request takes effect; the connection breaks before the response.
    AnswerLost,
    /// The connection breaks in the middle of the response: of an object, half of it arrives.
    AnswerCut,
    /// The store is busy (503, 429): no effect, though nobody knows.
    Busy,
    /// The request takes effect, and the store reports an internal error (500).
    DoneButError,
    /// The store reports a conflict (409) although nothing was written.
    FalseConflict,
    /// The request takes effect; the response comes after the time limit.
    SlowAnswer,
    /// The time limit passes; the request takes effect some requests later.
    SlowRequest,
    /// Nothing happens until the time limit.
    Hangs,
    /// The request is delivered twice; the response is the second one's.
    Twice,
    /// The request is answered, and is delivered once more some requests later.
    LateDuplicate,
    /// The store refuses it: permissions, expired credentials, a wrong clock (403).
    Denied,
    /// One bit of an object that is read is wrong.
    BitFlipped,
    /// The process ends before this request: this and all later ones are never sent.
    KilledBefore,
    /// The process ends after this request has taken effect.
    KilledAfter,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 16] = [
        Self::NoConnection,
        Self::RequestLost,
        Self::AnswerLost,
        Self::AnswerCut,
        Self::Busy,
        Self::DoneButError,
        Self::FalseConflict,
        Self::SlowAnswer,
        Self::SlowRequest,
        Self::Hangs,
        Self::Twice,
        Self::LateDuplicate,
        Self::Denied,
        Self::BitFlipped,
        Self::KilledBefore,
        Self::KilledAfter,
    ];

    /// Whether the process is over once it has happened.
    #[must_use]
    pub const fn is_a_kill(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledAfter)
    }
}

/// How often requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// This many in a row.
    Count(u64),
    /// This one and all later ones.
    Following,
}

/// How many requests later a delayed one arrives.
const DELAY: u64 = 3;

/// Wraps a store, counts its requests, and makes some of them fail. Clones share the plan.
///
/// ```
/// use qstore_objects::{Fault, FaultyObjects, Limits, MemoryObjects, Store, Times, Token, Written};
/// use std::sync::Arc;
///
/// let faulty = FaultyObjects::new(Arc::new(MemoryObjects::new()));
/// let clock = faulty.clock().clone();
/// let store = Store::read_only_with(Arc::new(faulty.clone()), Limits::default(), clock)?;
/// faulty.fail(0, Times::Count(1), Fault::AnswerLost);
/// let written = store.create("key", b"bytes", &Token::random())?;
/// assert!(matches!(written, Written::Committed { .. }), "our own object is not a conflict");
/// # Ok::<(), qstore_objects::StoreError>(())
/// ```
#[derive(Clone)]
pub struct FaultyObjects {
    inner: Arc<dyn Objects>,
    plan: Arc<Mutex<Plan>>,
    clock: Arc<SimulatedClock>,
}

#[derive(Default)]
struct Plan {
    requests: u64,
    first: u64,
    last: u64,
    fault: Option<Fault>,
    has_failed: bool,
    is_dead: bool,
    late: Vec<(u64, Operation)>,
    log: Vec<Request>,
    before: Option<(u64, Hook)>,
}

type Hook = Box<dyn FnOnce() + Send>;

/// A request with everything that belongs to it, so that it can be sent later.
#[derive(Debug, Clone)]
enum Operation {
    Put { key: String, body: Vec<u8>, token: Token, condition: Condition },
    Head { key: String },
    Get { key: String, span: Span, etag: Option<Etag> },
    List { prefix: String, next: Option<String> },
    Delete { key: String, etag: Option<Etag> },
    Begin { key: String, token: Token },
    Part { key: String, upload: String, number: u32, body: Vec<u8> },
    Complete { key: String, upload: String, parts: Vec<String> },
    Abort { key: String, upload: String },
}

enum Answer {
    Tag(Etag),
    Head(Head),
    Body(Body),
    Page(Page),
    Text(String),
    Done,
}

impl Operation {
    fn send(&self, to: &dyn Objects, timeout: Duration) -> Result<Answer> {
        Ok(match self {
            Self::Put { key, body, token, condition } => {
                Answer::Tag(to.put(key, body, token, condition, timeout)?)
            }
            Self::Head { key } => Answer::Head(to.head(key, timeout)?),
            Self::Get { key, span, etag } => {
                Answer::Body(to.get(key, *span, etag.as_ref(), timeout)?)
            }
            Self::List { prefix, next } => {
                Answer::Page(to.list(prefix, next.as_deref(), timeout)?)
            }
            Self::Delete { key, etag } => {
                to.delete(key, etag.as_ref(), timeout)?;
                Answer::Done
            }
            Self::Begin { key, token } => Answer::Text(to.begin(key, token, timeout)?),
            Self::Part { key, upload, number, body } => {
                Answer::Text(to.part(key, upload, *number, body, timeout)?)
            }
            Self::Complete { key, upload, parts } => {
                Answer::Tag(to.complete(key, upload, parts, timeout)?)
            }
            Self::Abort { key, upload } => {
                to.abort(key, upload, timeout)?;
                Answer::Done
            }
        })
    }

    fn request(&self) -> (Request, &str) {
        match self {
            Self::Put { key, .. } => (Request::Put, key),
            Self::Head { key } => (Request::Head, key),
            Self::Get { key, .. } => (Request::Get, key),
            Self::List { prefix, .. } => (Request::List, prefix),
            Self::Delete { key, .. } => (Request::Delete, key),
            Self::Begin { key, .. } => (Request::Begin, key),
            Self::Part { key, .. } => (Request::Part, key),
            Self::Complete { key, .. } => (Request::Complete, key),
            Self::Abort { key, .. } => (Request::Abort, key),
        }
    }
}

impl FaultyObjects {
    /// Forwards every request until [`fail`](Self::fail) is called.
    #[must_use]
    pub fn new(inner: Arc<dyn Objects>) -> Self {
        Self { inner, plan: Arc::default(), clock: Arc::default() }
    }

    /// Makes requests fail, from this one on, counted from 0 from the start.
    pub fn fail(&self, request: u64, times: Times, fault: Fault) {
        let mut plan = self.plan();
        plan.first = request;
        plan.last = match times {
            Times::Count(count) => request + count.max(1) - 1,
            Times::Following => u64::MAX,
        };
        plan.fault = Some(fault);
    }

    /// Runs something directly before this request.
    pub fn before(&self, request: u64, run: impl FnOnce() + Send + 'static) {
        self.plan().before = Some((request, Box::new(run)));
    }

    /// Ends the failures. Requests that are late are still under way.
    pub fn heal(&self) {
        let mut plan = self.plan();
        (plan.fault, plan.is_dead) = (None, false);
    }

    /// Delivers everything that is under way.
    pub fn deliver(&self) {
        let late: Vec<_> = self.plan().late.drain(..).collect();
        for (_, operation) in late {
            let _ = operation.send(&*self.inner, Duration::MAX);
        }
    }

    /// The number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.plan().requests
    }

    /// The kinds of the requests so far, in their order.
    #[must_use]
    pub fn log(&self) -> Vec<Request> {
        self.plan().log.clone()
    }

    /// Whether a request has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.plan().has_failed
    }

    /// The clock that passes while a request hangs.
    #[must_use]
    pub fn clock(&self) -> &Arc<SimulatedClock> {
        &self.clock
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, operation: &Operation, timeout: Duration) -> Result<Answer> {
        let (request, key) = operation.request();
        let (number, fault, due, hook) = {
            let mut plan = self.plan();
            let number = plan.requests;
            plan.requests += 1;
            plan.log.push(request);
            let due: Vec<_> = plan.late.extract_if(.., |(at, _)| *at <= number).collect();
            let is_meant = (plan.first..=plan.last).contains(&number);
            let fault = plan.fault.filter(|_| is_meant);
            plan.has_failed |= fault.is_some();
            let is_hooked = plan.before.as_ref().is_some_and(|(at, _)| *at == number);
            let hook = if is_hooked { plan.before.take() } else { None };
            let fault = if plan.is_dead { Some(Fault::KilledBefore) } else { fault };
            (number, fault, due, hook)
        };
        for (_, late) in due {
            let _ = late.send(&*self.inner, timeout);
        }
        if let Some((_, hook)) = hook {
            hook();
        }
        let Some(fault) = fault else { return operation.send(&*self.inner, timeout) };
        self.fail_now(fault, number, operation, timeout)
            .map_err(|(failure, reason)| RequestError::new(request, key, failure, reason))?
    }

    fn fail_now(
        &self,
        fault: Fault,
        number: u64,
        operation: &Operation,
        timeout: Duration,
    ) -> std::result::Result<Result<Answer>, (Failure, &'static str)> {
        let send = || operation.send(&*self.inner, timeout);
        let delay = || self.plan().late.push((number + DELAY, operation.clone()));
        Err(match fault {
            Fault::NoConnection => (Failure::NotSent, "no connection"),
            Fault::KilledBefore => {
                self.plan().is_dead = true;
                (Failure::NotSent, "killed before")
            }
            Fault::KilledAfter => {
                self.plan().is_dead = true;
                let _ = send();
                (Failure::Unclear, "killed after")
            }
            Fault::RequestLost => (Failure::Unclear, "connection reset"),
            Fault::AnswerLost => {
                let _ = send();
                (Failure::Unclear, "connection reset by peer")
            }
            Fault::AnswerCut => match send() {
                Ok(Answer::Body(mut body)) => {
                    body.bytes.truncate(body.bytes.len() / 2);
                    return Ok(Ok(Answer::Body(body)));
                }
                _ => (Failure::Unclear, "unexpected end of the response"),
            },
            Fault::Busy => (Failure::Unclear, "503 SlowDown"),
            Fault::DoneButError => {
                let _ = send();
                (Failure::Unclear, "500 InternalError")
            }
            Fault::FalseConflict => (Failure::ConditionFailed, "409 ConditionalRequestConflict"),
            Fault::SlowAnswer => {
                let _ = send();
                self.clock.sleep(timeout);
                (Failure::Unclear, "timed out")
            }
            Fault::SlowRequest => {
                delay();
                self.clock.sleep(timeout);
                (Failure::Unclear, "timed out")
            }
            Fault::Hangs => {
                self.clock.sleep(timeout);
                (Failure::Unclear, "timed out")
            }
            Fault::Twice => {
                let _ = send();
                return Ok(send());
            }
            Fault::LateDuplicate => {
                delay();
                return Ok(send());
            }
            Fault::Denied => (Failure::Denied, "403 ExpiredToken"),
            Fault::BitFlipped => {
                let mut answer = send();
                if let Ok(Answer::Body(body)) = &mut answer {
                    let middle = body.bytes.len() / 2;
                    if let Some(byte) = body.bytes.get_mut(middle) {
                        *byte ^= 1 << (number % 8);
                    }
                }
                return Ok(answer);
            }
        })
    }
}

impl fmt::Debug for FaultyObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyObjects").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Objects for FaultyObjects {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn part_bytes_min(&self) -> u64 {
        self.inner.part_bytes_min()
    }

    fn deletes_conditionally(&self) -> bool {
        self.inner.deletes_conditionally()
    }

    fn put(
        &self,
        key: &str,
        body: &[u8],
        token: &Token,
        condition: &Condition,
        timeout: Duration,
    ) -> Result<Etag> {
        let (key, body) = (key.into(), body.to_vec());
        let (token, condition) = (token.clone(), condition.clone());
        match self.run(&Operation::Put { key, body, token, condition }, timeout)? {
            Answer::Tag(etag) => Ok(etag),
            _ => unreachable!("a put is answered with a tag"),
        }
    }

    fn head(&self, key: &str, timeout: Duration) -> Result<Head> {
        match self.run(&Operation::Head { key: key.into() }, timeout)? {
            Answer::Head(head) => Ok(head),
            _ => unreachable!("a head is answered with a head"),
        }
    }

    fn get(&self, key: &str, span: Span, etag: Option<&Etag>, timeout: Duration) -> Result<Body> {
        let (key, etag) = (key.into(), etag.cloned());
        match self.run(&Operation::Get { key, span, etag }, timeout)? {
            Answer::Body(body) => Ok(body),
            _ => unreachable!("a get is answered with a body"),
        }
    }

    fn list(&self, prefix: &str, next: Option<&str>, timeout: Duration) -> Result<Page> {
        let (prefix, next) = (prefix.into(), next.map(Into::into));
        match self.run(&Operation::List { prefix, next }, timeout)? {
            Answer::Page(page) => Ok(page),
            _ => unreachable!("a list is answered with a page"),
        }
    }

    fn delete(&self, key: &str, etag: Option<&Etag>, timeout: Duration) -> Result<()> {
        let (key, etag) = (key.into(), etag.cloned());
        self.run(&Operation::Delete { key, etag }, timeout).map(drop)
    }

    fn begin(&self, key: &str, token: &Token, timeout: Duration) -> Result<String> {
        let (key, token) = (key.into(), token.clone());
        match self.run(&Operation::Begin { key, token }, timeout)? {
            Answer::Text(id) => Ok(id),
            _ => unreachable!("a begin is answered with an identifier"),
        }
    }

    fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: &[u8],
        timeout: Duration,
    ) -> Result<String> {
        let (key, upload, body) = (key.into(), upload.into(), body.to_vec());
        match self.run(&Operation::Part { key, upload, number, body }, timeout)? {
            Answer::Text(tag) => Ok(tag),
            _ => unreachable!("a part is answered with a tag"),
        }
    }

    fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[String],
        timeout: Duration,
    ) -> Result<Etag> {
        let (key, upload, parts) = (key.into(), upload.into(), parts.to_vec());
        match self.run(&Operation::Complete { key, upload, parts }, timeout)? {
            Answer::Tag(etag) => Ok(etag),
            _ => unreachable!("a completion is answered with a tag"),
        }
    }

    fn abort(&self, key: &str, upload: &str, timeout: Duration) -> Result<()> {
        let (key, upload) = (key.into(), upload.into());
        self.run(&Operation::Abort { key, upload }, timeout).map(drop)
    }
}
