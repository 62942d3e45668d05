//! The time of one call: how long its requests may take, and how long it pauses between them.

use super::Store;
use crate::error::{Failure, Request, RequestError, StoreError};
use crate::objects::Head;
use std::time::Duration;

/// A look that is denied this often in a row is given up: waiting does not bring permissions.
const DENIALS_MAX: u32 = 3;

pub(super) struct Call<'a> {
    store: &'a Store,
    began: Duration,
    ends: Duration,
    pause: Duration,
    last: Option<RequestError>,
}

impl<'a> Call<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        let began = store.clock.now();
        let ends = began + store.limits.call;
        let ends = store.until.map_or(ends, |until| ends.min(until));
        Self { store, began, ends, pause: store.limits.pause, last: None }
    }

    /// The same call, which keeps the last quarter of its time for another one.
    pub(super) fn with_reserve(mut self) -> Self {
        self.ends = self.began + self.ends.saturating_sub(self.began) * 3 / 4;
        self
    }

    /// How long the next request may take; `None` if the time is over.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let left = self.ends.checked_sub(self.store.clock.now())?;
        (left >= Duration::from_millis(1)).then(|| left.min(self.store.limits.request))
    }

    /// Waits before the next request, at most to the end of the call.
    pub(super) fn pause(&mut self) {
        let now = self.store.clock.now();
        // Between a half and the whole of it, so that writers that met once do not meet again.
        let jitter = 512 + now.subsec_micros() % 512;
        let pause = self.pause * jitter / 1024;
        self.store.clock.sleep(pause.min(self.ends.saturating_sub(now)));
        self.pause = (self.pause * 2).min(self.store.limits.pause_max);
    }

    /// Remembers why the last request failed.
    pub(super) fn note(&mut self, error: RequestError) {
        self.last = Some(error);
    }

    /// After a failure that can be repeated.
    pub(super) fn failed(&mut self, error: RequestError) -> Result<(), StoreError> {
        if error.failure == Failure::Denied {
            return Err(StoreError::Refused { source: error });
        }
        self.note(error);
        self.pause();
        Ok(())
    }

    /// Why the call has failed, when its time is over.
    pub(super) fn last(&self, request: Request, key: &str) -> RequestError {
        let late = || RequestError::new(request, key, Failure::NotSent, "its time was over");
        self.last.clone().unwrap_or_else(late)
    }

    pub(super) fn refused(&self, request: Request, key: &str) -> StoreError {
        StoreError::Refused { source: self.last(request, key) }
    }

    pub(super) fn unavailable(&self, source: RequestError) -> StoreError {
        let waited = self.store.clock.now().saturating_sub(self.began);
        StoreError::Unavailable { source, waited }
    }

    /// Looks at an object until the store answers.
    pub(super) fn look(&mut self, key: &str) -> Result<Option<Head>, RequestError> {
        let mut denials = 0;
        loop {
            let Some(timeout) = self.timeout() else { return Err(self.last(Request::Head, key)) };
            let error = match self.store.objects.head(key, timeout) {
                Ok(head) => return Ok(Some(head)),
                Err(error) => error,
            };
            match error.failure {
                Failure::NotFound => return Ok(None),
                Failure::Denied => {
                    denials += 1;
                    if denials >= DENIALS_MAX {
                        return Err(error);
                    }
                }
                Failure::NotSent | Failure::ConditionFailed | Failure::Unclear => denials = 0,
            }
            self.note(error);
            self.pause();
        }
    }
}
