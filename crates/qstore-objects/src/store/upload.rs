//! Uploads in parts: an object that appears whole, or never.
//!
//! Completing is the commit. If its outcome is in doubt, the upload is aborted: after that it can never be
//! completed, not even by a request that is still under way, so one look decides. That is more than a put can
//! do, and why checkpoints of any size are uploads.

use super::call::Call;
use super::{Store, Written};
use crate::error::{Failure, Request, RequestError, StoreError, Unsettled};
use crate::objects::Etag;
use crate::token::Token;
use crate::upload::{Orphan, Upload};

/// What a write that was in doubt has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// The object is there, and it is ours.
    Committed {
        /// Its tag.
        etag: Etag,
    },
    /// There is an object of another writer.
    Taken {
        /// Its tag.
        etag: Etag,
    },
    /// It was not written and never will be.
    Never,
    /// It was not written yet. A request that is still under way may do it; writing it again with the same
    /// token settles that.
    Open,
}

enum Aborted {
    /// It was open.
    Now,
    /// There was no such upload.
    Before,
}

impl Store {
    /// Begins an upload in parts. Nothing is visible before it is completed.
    ///
    /// # Errors
    /// [`StoreError::Refused`].
    pub fn begin(&self, key: &str, token: &Token) -> Result<Upload, StoreError> {
        let mut call = Call::new(self);
        loop {
            let Some(timeout) = call.timeout() else {
                return Err(call.refused(Request::Begin, key));
            };
            match self.objects.begin(key, token, timeout) {
                Ok(id) => return Ok(Upload::new(key, token.clone(), id)),
                Err(error) => {
                    if matches!(error.failure, Failure::Unclear | Failure::ConditionFailed) {
                        self.note_orphan(key, token, None);
                    }
                    if matches!(error.failure, Failure::Denied | Failure::NotFound) {
                        return Err(StoreError::Refused { source: error });
                    }
                    call.note(error);
                }
            }
            call.pause();
        }
    }

    /// Uploads part `number`, counted from 1, and returns its tag.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: the object was not written. [`StoreError::NotFound`] if the upload does not
    /// exist anymore.
    pub fn part(&self, upload: &Upload, number: u32, body: &[u8]) -> Result<String, StoreError> {
        let (key, mut call) = (&*upload.key, Call::new(self));
        loop {
            let Some(timeout) = call.timeout() else {
                return Err(call.refused(Request::Part, key));
            };
            match self.objects.part(key, &upload.id, number, body, timeout) {
                Ok(tag) => return Ok(tag),
                Err(error) if error.failure == Failure::NotFound => {
                    return Err(StoreError::NotFound { key: key.into() });
                }
                Err(error) => call.failed(error)?,
            }
        }
    }

    /// Completes an upload of `len` bytes in all. It replaces what has the key.
    ///
    /// An upload that a process before this one may have completed `is_resumed`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it was not completed and never will be; then it was aborted, or is one of
    /// the [`orphans`](Self::orphans). [`StoreError::Unsettled`].
    pub fn complete(
        &self,
        upload: &Upload,
        parts: &[String],
        len: u64,
        is_resumed: bool,
    ) -> Result<Written, StoreError> {
        // All of it within the time of one call: the attempts, and settling what they leave in doubt.
        let within = self.within(self.limits.call);
        let written = within.complete_now(upload, parts, len, is_resumed)?;
        self.forget_orphan(&upload.id); // of an attempt before this one
        Ok(written)
    }

    fn complete_now(
        &self,
        upload: &Upload,
        parts: &[String],
        len: u64,
        is_resumed: bool,
    ) -> Result<Written, StoreError> {
        let key = &*upload.key;
        // mutant: an_older_upload_completes_later
        self.abort_orphans_of(key, Some(&upload.id))?;
        let mut call = Call::new(self).with_reserve();
        let mut is_unclear = is_resumed;
        while let Some(timeout) = call.timeout() {
            let answer = self.objects.complete(key, &upload.id, parts, timeout);
            let failure = answer.as_ref().err().map(|error| error.failure);
            // mutant: a_lost_completion_is_a_refusal
            is_unclear |= !matches!(failure, Some(Failure::NotSent | Failure::Denied));
            if is_unclear {
                // Also after `Ok`: what counts is what readers find.
                let Ok(found) = call.look(key) else { break };
                match found {
                    Some(head) if head.token.as_ref() == Some(&upload.token) => {
                        // mutant: length_of_an_upload_not_compared
                        if head.len != len {
                            let reason = format!("it has {} bytes instead of {len}", head.len);
                            let source =
                                RequestError::new(Request::Complete, key, Failure::Unclear, reason);
                            return Err(unsettled(upload, len, source));
                        }
                        return Ok(Written::Committed { etag: head.etag });
                    }
                    // The upload does not exist anymore, so nothing can change this.
                    Some(head) if matches!(failure, None | Some(Failure::NotFound)) => {
                        return Ok(Written::Taken { etag: head.etag });
                    }
                    None if failure.is_none() => {
                        let reason = "it was completed, and is missing: another writer removed it";
                        let source =
                            RequestError::new(Request::Complete, key, Failure::Unclear, reason);
                        return Err(unsettled(upload, len, source));
                    }
                    None if failure == Some(Failure::NotFound) => {
                        let reason = "the upload does not exist anymore";
                        let source =
                            RequestError::new(Request::Complete, key, Failure::NotFound, reason);
                        return Err(StoreError::Refused { source });
                    }
                    Some(_) | None => {}
                }
            }
            if let Err(error) = answer {
                let is_denied = error.failure == Failure::Denied;
                call.note(error);
                if is_denied {
                    break;
                }
            }
            call.pause();
        }
        let source = call.last(Request::Complete, key);
        if !is_unclear {
            let _ = self.abort(upload); // noted as an orphan if that fails
            return Err(StoreError::Refused { source });
        }
        match self.settle_upload(upload) {
            Ok(Settled::Committed { etag }) => Ok(Written::Committed { etag }),
            Ok(Settled::Taken { etag }) => Ok(Written::Taken { etag }),
            Ok(Settled::Never | Settled::Open) => Err(StoreError::Refused { source }),
            // The orphan that this leaves is aborted before anything else is written under the key.
            Err(_) => Err(unsettled(upload, len, source)),
        }
    }

    /// Aborts an upload: it can never be completed. One that does not exist is not an error.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it could not be aborted; then it is one of the
    /// [`orphans`](Self::orphans).
    pub fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        self.abort_known(upload).map(drop)
    }

    fn abort_known(&self, upload: &Upload) -> Result<Aborted, StoreError> {
        let (key, mut call) = (&*upload.key, Call::new(self));
        let error = loop {
            let Some(timeout) = call.timeout() else { break call.last(Request::Abort, key) };
            match self.objects.abort(key, &upload.id, timeout) {
                Ok(()) => {
                    self.forget_orphan(&upload.id);
                    return Ok(Aborted::Now);
                }
                Err(error) if error.failure == Failure::NotFound => {
                    self.forget_orphan(&upload.id);
                    return Ok(Aborted::Before);
                }
                Err(error) if error.failure == Failure::Denied => break error,
                Err(error) => call.note(error),
            }
            call.pause();
        };
        self.note_orphan(key, &upload.token, Some(&upload.id));
        Err(call.unavailable(error))
    }

    /// Looks again at a write that was unsettled. An upload in parts is aborted first, unless it was completed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it is still not known.
    pub fn settle(&self, write: &Unsettled) -> Result<Settled, StoreError> {
        if let Some(upload) = &write.upload {
            return self.settle_upload(upload);
        }
        Ok(match self.head(&write.key)? {
            Some(head) if head.token.as_ref() == Some(&write.token) => {
                Settled::Committed { etag: head.etag }
            }
            Some(head) => Settled::Taken { etag: head.etag },
            None => Settled::Open,
        })
    }

    /// Gives up an upload, which may have been completed: aborts it, unless it was, and says what became of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if that is not known; then it is one of the [`orphans`](Self::orphans).
    pub fn abandon(&self, upload: &Upload) -> Result<Settled, StoreError> {
        self.within(self.limits.call).settle_upload(upload)
    }

    fn settle_upload(&self, upload: &Upload) -> Result<Settled, StoreError> {
        let aborted = self.abort_known(upload)?;
        Ok(match self.head(&upload.key)? {
            Some(head) if head.token.as_ref() == Some(&upload.token) => {
                Settled::Committed { etag: head.etag }
            }
            // It may have been completed and then replaced.
            Some(head) if matches!(aborted, Aborted::Before) => Settled::Taken { etag: head.etag },
            Some(_) | None => Settled::Never,
        })
    }

    /// Aborts the uploads to this key whose outcome is in doubt, except this one. A completion of one of them
    /// may still be under way, and would replace what is written now.
    pub(super) fn abort_orphans_of(&self, key: &str, id: Option<&str>) -> Result<(), StoreError> {
        for orphan in self.orphans() {
            let Some(other) = orphan.id.filter(|other| orphan.key == key && Some(&**other) != id)
            else {
                continue;
            };
            match self.abort_known(&Upload::new(key, orphan.token, other)) {
                Ok(_) => {}
                Err(StoreError::Unavailable { source, .. }) => {
                    return Err(StoreError::Refused { source });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes over the orphans that another process has noted.
    pub fn adopt_orphans(&self, orphans: impl IntoIterator<Item = Orphan>) {
        for Orphan { key, token, id } in orphans {
            self.note_orphan(&key, &token, id.as_deref());
        }
    }

    /// Aborts every orphan whose identifier is known. Returns those that are left.
    pub fn abort_orphans(&self) -> Vec<Orphan> {
        for orphan in self.orphans() {
            if let Some(id) = orphan.id {
                let _ = self.abort_known(&Upload::new(orphan.key, orphan.token, id));
            }
        }
        self.orphans()
    }

    fn note_orphan(&self, key: &str, token: &Token, id: Option<&str>) {
        let orphan = Orphan { key: key.into(), token: token.clone(), id: id.map(Into::into) };
        let mut orphans = self.orphan_list();
        if !orphans.contains(&orphan) {
            orphans.push(orphan);
        }
    }

    fn forget_orphan(&self, id: &str) {
        self.orphan_list().retain(|orphan| orphan.id.as_deref() != Some(id));
    }
}

fn unsettled(upload: &Upload, len: u64, source: RequestError) -> StoreError {
    let (key, token, upload) = (upload.key.clone(), upload.token.clone(), Some(upload.clone()));
    StoreError::Unsettled(Box::new(Unsettled { key, token, len, upload, source }))
}
