//! What a request and a call can fail with.
//!
//! An error never contains credentials: every reason goes through [`without_secrets`].

use crate::secrets::without_secrets;
use crate::token::Token;
use crate::upload::Upload;
use qstore_settings::SettingError;
use std::fmt;
use std::time::Duration;

/// The kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Writes an object in one request.
    Put,
    /// Reads the metadata of an object.
    Head,
    /// Reads an object, or a range of it.
    Get,
    /// Lists one page of keys.
    List,
    /// Removes an object.
    Delete,
    /// Begins an upload in parts.
    Begin,
    /// Uploads a part.
    Part,
    /// Completes an upload.
    Complete,
    /// Aborts an upload.
    Abort,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "put",
            Self::Head => "head",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Begin => "begin an upload of",
            Self::Part => "upload a part of",
            Self::Complete => "complete",
            Self::Abort => "abort the upload of",
        })
    }
}

/// What is known about a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Nothing was sent: no connection, no address, no credentials. The request had no effect.
    NotSent,
    /// The store refused it: no permission, expired credentials, a clock that is wrong. It had no effect.
    Denied,
    /// There is no such object or upload.
    NotFound,
    /// The condition does not hold, or the store says so.
    ConditionFailed,
    /// The request may have taken effect, or may still: the response was lost, late, or reports a failure of
    /// the server (5xx, 429).
    Unclear,
}

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not {request} `{key}`: {reason}")]
#[non_exhaustive]
pub struct RequestError {
    /// The request.
    pub request: Request,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// What is known.
    pub failure: Failure,
    /// Why, without credentials.
    pub reason: String,
}

impl RequestError {
    /// An error of a store.
    #[must_use]
    pub fn new(request: Request, key: &str, failure: Failure, reason: impl fmt::Display) -> Self {
        let reason = without_secrets(&reason.to_string());
        Self { request, key: key.into(), failure, reason }
    }
}

/// A write whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsettled {
    /// The key.
    pub key: String,
    /// The mark of the object, if it is ours.
    pub token: Token,
    /// Its length in bytes.
    pub len: u64,
    /// The upload in parts, if it was one.
    pub upload: Option<Upload>,
    /// Why it is not known.
    pub source: RequestError,
}

/// A call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A limit is out of range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The store cannot be used safely.
    #[error(
        "{location} cannot be used: {reason}; writers would overwrite each other. Use a store with \
         conditional writes and user metadata"
    )]
    Unsafe {
        /// The store.
        location: String,
        /// What it does.
        reason: &'static str,
    },
    /// There is no such object.
    #[error("there is no `{key}`")]
    NotFound {
        /// The key.
        key: String,
    },
    /// The object was replaced or removed while it was read.
    #[error("`{key}` was replaced while it was read; open it again")]
    Replaced {
        /// The key.
        key: String,
    },
    /// The object could not be read in time. It may be there.
    #[error("{source} (tried for {waited:?})")]
    Unavailable {
        /// The last request that failed.
        source: RequestError,
        /// For how long it was tried.
        waited: Duration,
    },
    /// Nothing was written, and nothing will be: no request can have taken effect.
    #[error("{source}; nothing was written")]
    Refused {
        /// The request.
        source: RequestError,
    },
    /// It is not known whether it was removed.
    #[error("it is not known whether `{}` was removed ({source}); remove it again", .source.key)]
    Unremoved {
        /// The last request that failed.
        source: RequestError,
    },
    /// It is not known whether it was written.
    #[error(
        "it is not known whether `{}` was written ({}); look again before writing it again",
        .0.key, .0.source
    )]
    Unsettled(Box<Unsettled>),
}

impl StoreError {
    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
