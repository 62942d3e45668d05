//! Calls: requests that are repeated until their outcome is known or their time is over.
//!
//! The rules, in the order in which they matter:
//!
//! 1. A request that failed for sure (`NotSent`, `Denied`) leaves nothing behind. If no other request of the
//!    call is in doubt, the call is *refused*.
//! 2. Any other failure of a write is followed by a look at the object. If its token is ours, it is committed,
//!    whatever the store said. This includes a conflict: it may be with ourselves.
//! 3. An object that is missing after such a failure may still arrive. The write is repeated under the same
//!    condition and the same token, so it does not matter which of the requests takes effect.
//! 4. If the time is over first, the call is *unsettled*, not failed.

mod call;
mod upload;

use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Request, RequestError, StoreError, Unsettled};
use crate::limits::Limits;
use crate::objects::{self, Body, Condition, Etag, Head, Listed, Objects, Span};
use crate::token::Token;
use crate::upload::Orphan;
use call::Call;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
pub use upload::Settled;

/// The name of what is written to find out whether the store is safe.
const PROBE: &str = ".qstore-probe-";
/// The most pages of a listing that are read: ten million objects.
const PAGES_MAX: usize = 10_000;

/// A write that succeeded, or met another writer's object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The object is there, whole, and it is ours.
    Committed {
        /// Its tag.
        etag: Etag,
    },
    /// There is an object of another writer.
    Taken {
        /// Its tag.
        etag: Etag,
    },
}

/// What a removal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removed {
    /// The object is gone.
    Gone,
    /// It had been replaced by another one, which was left alone.
    Replaced,
}

/// A store, with the calls that are safe on it. Clones share their list of orphans.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn Objects>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    /// No call takes longer than to this time of the clock.
    until: Option<Duration>,
    orphans: Arc<Mutex<Vec<Orphan>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Replace,
    Put,
}

impl Store {
    /// A store to write to. Tries with two writes of a few bytes whether the store keeps conditions and
    /// metadata, and removes them.
    ///
    /// # Errors
    /// [`StoreError::Unsafe`] if it does not; [`StoreError::Setting`]; otherwise as [`create`](Self::create).
    pub fn open(objects: Arc<dyn Objects>, limits: Limits) -> Result<Self, StoreError> {
        Self::open_with(objects, limits, Arc::new(SystemClock::default()))
    }

    /// The same with another clock.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        objects: Arc<dyn Objects>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let store = Self::read_only_with(objects, limits, clock)?;
        store.probe()?;
        Ok(store)
    }

    /// A store to read from. Sends nothing.
    ///
    /// # Errors
    /// [`StoreError::Setting`].
    pub fn read_only(objects: Arc<dyn Objects>, limits: Limits) -> Result<Self, StoreError> {
        Self::read_only_with(objects, limits, Arc::new(SystemClock::default()))
    }

    /// The same with another clock.
    ///
    /// # Errors
    /// [`StoreError::Setting`].
    pub fn read_only_with(
        objects: Arc<dyn Objects>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        limits.check()?;
        Ok(Self { objects, limits, clock, until: None, orphans: Arc::default() })
    }

    /// The same store; each of its calls ends within `timeout` from now, even if its own limit is later.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        let ends = self.clock.now() + timeout;
        let until = Some(self.until.map_or(ends, |until| until.min(ends)));
        Self { until, ..self.clone() }
    }

    /// The location for messages, without credentials.
    #[must_use]
    pub fn location(&self) -> String {
        self.objects.location()
    }

    /// The least number of bytes in a part that is not the last one.
    #[must_use]
    pub fn part_bytes_min(&self) -> u64 {
        self.objects.part_bytes_min()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Refuses a store that loses what the other calls rely on.
    fn probe(&self) -> Result<(), StoreError> {
        let (first, second) = (Token::random(), Token::random());
        let key = format!("{PROBE}{first}");
        let outcome = self.probe_at(&key, &first, &second);
        let removed = self.delete(&key, None);
        outcome?;
        removed.map(drop)
    }

    fn probe_at(&self, key: &str, first: &Token, second: &Token) -> Result<(), StoreError> {
        let refuse = |reason| Err(StoreError::Unsafe { location: self.location(), reason });
        self.create(key, b"1", first)?;
        let Some(head) = self.head(key)? else { return refuse("a new object was missing") };
        // mutant: metadata_is_not_probed
        if head.token.as_ref() != Some(first) {
            return refuse("it lost the metadata of an object");
        }
        // mutant: conditions_are_not_probed
        if matches!(self.create(key, b"22", second)?, Written::Committed { .. }) {
            return refuse("it created an object twice under one key");
        }
        let other = Condition::Is(Etag(format!("{first}")));
        let mut call = Call::new(self);
        loop {
            let Some(timeout) = call.timeout() else { return Err(call.refused(Request::Put, key)) };
            match self.objects.put(key, b"333", second, &other, timeout) {
                Ok(_) => {
                    return refuse("it replaced an object although the condition did not hold");
                }
                Err(error) if error.failure == Failure::ConditionFailed => break,
                Err(error) => call.failed(error)?,
            }
        }
        match self.head(key)? {
            Some(head) if head.token.as_ref() == Some(first) => Ok(()),
            _ => refuse("it replaced an object although the condition did not hold"),
        }
    }

    /// Writes an object if there is none with this key.
    ///
    /// # Errors
    /// [`StoreError::Refused`], [`StoreError::Unsettled`].
    pub fn create(&self, key: &str, body: &[u8], token: &Token) -> Result<Written, StoreError> {
        self.write(key, body, token, Mode::Create)
    }

    /// Writes an object, atomically replacing the one with this key. It never replaces an object that it has
    /// not seen, so a request that is delivered late does nothing.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn replace(&self, key: &str, body: &[u8], token: &Token) -> Result<Etag, StoreError> {
        match self.write(key, body, token, Mode::Replace)? {
            Written::Committed { etag } | Written::Taken { etag } => Ok(etag),
        }
    }

    /// Writes an object under a key that no other writer uses and that is written with this content only.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn put(&self, key: &str, body: &[u8], token: &Token) -> Result<Etag, StoreError> {
        match self.write(key, body, token, Mode::Put)? {
            Written::Committed { etag } | Written::Taken { etag } => Ok(etag),
        }
    }

    fn write(
        &self,
        key: &str,
        body: &[u8],
        token: &Token,
        mode: Mode,
    ) -> Result<Written, StoreError> {
        let mut call = Call::new(self);
        let mut is_unclear = false;
        let mut seen = match mode {
            Mode::Replace => call
                .look(key)
                .map_err(|source| StoreError::Refused { source })?
                .map(|head| head.etag),
            Mode::Create | Mode::Put => None,
        };
        let unsettled = |source| {
            let (key, token, len) = (key.into(), token.clone(), body.len() as u64);
            StoreError::Unsettled(Box::new(Unsettled { key, token, len, upload: None, source }))
        };
        loop {
            let condition = match (mode, seen.take()) {
                (Mode::Put, _) => Condition::Always,
                (Mode::Replace, Some(etag)) => Condition::Is(etag),
                (Mode::Replace | Mode::Create, _) => Condition::Absent,
            };
            let Some(timeout) = call.timeout() else {
                let error = call.last(Request::Put, key);
                return Err(if is_unclear {
                    unsettled(error)
                } else {
                    call.refused(Request::Put, key)
                });
            };
            let error = match self.objects.put(key, body, token, &condition, timeout) {
                Ok(etag) => return Ok(Written::Committed { etag }),
                Err(error) => error,
            };
            // mutant: a_conflict_is_believed, a_lost_response_is_a_refusal
            is_unclear |= !matches!(error.failure, Failure::NotSent | Failure::Denied);
            if is_unclear {
                match call.look(key) {
                    // mutant: our_own_object_is_a_conflict
                    Ok(Some(head)) if head.token.as_ref() == Some(token) => {
                        return Ok(Written::Committed { etag: head.etag });
                    }
                    Ok(Some(head)) if mode == Mode::Create => {
                        return Ok(Written::Taken { etag: head.etag });
                    }
                    Ok(found) => seen = found.map(|head| head.etag),
                    Err(_) => return Err(unsettled(error)),
                }
                call.note(error);
            } else if error.failure == Failure::Denied {
                return Err(StoreError::Refused { source: error });
            } else {
                // The condition of a replacement stays as it was.
                if let Condition::Is(etag) = condition {
                    seen = Some(etag);
                }
                call.note(error);
            }
            call.pause();
        }
    }

    /// The metadata of an object; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let mut call = Call::new(self);
        call.look(key).map_err(|source| call.unavailable(source))
    }

    /// Reads a span of an object; if a tag is given, of the object that has it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Replaced`] if it has another tag by now,
    /// [`StoreError::Unavailable`].
    pub fn get(&self, key: &str, span: Span, etag: Option<&Etag>) -> Result<Body, StoreError> {
        let body = self.read(Request::Get, key, |timeout| {
            let body = self.objects.get(key, span, etag, timeout)?;
            let wanted = match span {
                Span::All => body.len,
                Span::At { len, .. } => len,
                Span::Last(most) => most.min(body.len),
            };
            if body.bytes.len() as u64 == wanted {
                return Ok(body);
            }
            let reason = format!("it returned {} bytes instead of {wanted}", body.bytes.len());
            Err(RequestError::new(Request::Get, key, Failure::Unclear, reason))
        })?;
        // mutant: ranges_of_two_versions_are_joined
        if etag.is_some_and(|etag| *etag != body.etag) {
            return Err(StoreError::Replaced { key: key.into() });
        }
        Ok(body)
    }

    /// The objects directly below a prefix, which is empty or ends with `/`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.read(Request::List, prefix, |timeout| {
                self.objects.list(prefix, next.as_deref(), timeout)
            })?;
            listed.extend(page.objects.into_iter().filter(|object| {
                object.key.strip_prefix(prefix).is_some_and(|name| {
                    !name.is_empty() && !name.contains('/') && !name.starts_with(PROBE)
                })
            }));
            if page.next.is_none() {
                return Ok(listed);
            }
            next = page.next;
        }
        let reason = format!("there are more than {PAGES_MAX} pages");
        let source = RequestError::new(Request::List, prefix, Failure::Denied, reason);
        Err(StoreError::Unavailable { source, waited: Duration::ZERO })
    }

    /// Removes an object; if a tag is given, only the object that has it. A missing one is not an error.
    ///
    /// # Errors
    /// [`StoreError::Refused`]; [`StoreError::Unremoved`] if it is not known whether it was removed.
    pub fn delete(&self, key: &str, etag: Option<&Etag>) -> Result<Removed, StoreError> {
        self.within(self.limits.call).delete_now(key, etag)
    }

    fn delete_now(&self, key: &str, etag: Option<&Etag>) -> Result<Removed, StoreError> {
        self.abort_orphans_of(key, None)?;
        let mut call = Call::new(self);
        let mut is_unclear = false;
        let has_conditions = self.objects.deletes_conditionally();
        loop {
            if let Some(etag) = etag.filter(|_| !has_conditions) {
                match call.look(key) {
                    Ok(None) => return Ok(Removed::Gone),
                    Ok(Some(head)) if head.etag != *etag => return Ok(Removed::Replaced),
                    Ok(Some(_)) => {}
                    Err(error) => return Err(unremoved(is_unclear, error)),
                }
            }
            let Some(timeout) = call.timeout() else {
                return Err(unremoved(is_unclear, call.last(Request::Delete, key)));
            };
            let condition = etag.filter(|_| has_conditions);
            let error = match self.objects.delete(key, condition, timeout) {
                Ok(()) => return Ok(Removed::Gone),
                Err(error) => error,
            };
            match error.failure {
                Failure::NotFound => return Ok(Removed::Gone),
                Failure::Denied => return Err(unremoved(is_unclear, error)),
                Failure::NotSent => {}
                Failure::ConditionFailed | Failure::Unclear => {
                    is_unclear = true;
                    match call.look(key) {
                        Ok(None) => return Ok(Removed::Gone),
                        Ok(Some(head)) if etag.is_some_and(|etag| head.etag != *etag) => {
                            return Ok(Removed::Replaced);
                        }
                        Ok(Some(_)) => {}
                        Err(_) => return Err(unremoved(is_unclear, error)),
                    }
                }
            }
            call.note(error);
            call.pause();
        }
    }

    /// Repeats a request that changes nothing.
    fn read<T>(
        &self,
        request: Request,
        key: &str,
        ask: impl Fn(Duration) -> objects::Result<T>,
    ) -> Result<T, StoreError> {
        let mut call = Call::new(self);
        loop {
            let Some(timeout) = call.timeout() else {
                let error = call.last(request, key);
                return Err(call.unavailable(error));
            };
            match ask(timeout) {
                Ok(answer) => return Ok(answer),
                Err(error) => match error.failure {
                    Failure::NotFound => return Err(StoreError::NotFound { key: key.into() }),
                    Failure::ConditionFailed => {
                        return Err(StoreError::Replaced { key: key.into() });
                    }
                    Failure::Denied => return Err(call.unavailable(error)),
                    Failure::NotSent | Failure::Unclear => call.note(error),
                },
            }
            call.pause();
        }
    }

    /// Uploads in parts that are open and could not be aborted, or may be.
    #[must_use]
    pub fn orphans(&self) -> Vec<Orphan> {
        self.orphan_list().clone()
    }

    fn orphan_list(&self) -> MutexGuard<'_, Vec<Orphan>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unremoved(is_unclear: bool, source: RequestError) -> StoreError {
    if is_unclear { StoreError::Unremoved { source } } else { StoreError::Refused { source } }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("location", &self.location())
            .field("limits", &self.limits)
            .field("orphans", &self.orphan_list().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
