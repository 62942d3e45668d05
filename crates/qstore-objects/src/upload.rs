//! What an upload in parts is known by. The calls on it are methods of the store.

use crate::token::Token;

/// An upload in parts that was begun. Keep it to complete or abort the upload, in this process or a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upload {
    /// The key.
    pub key: String,
    /// The mark of the object.
    pub token: Token,
    /// The store's identifier of the upload.
    pub id: String,
}

impl Upload {
    /// An upload that was begun earlier.
    #[must_use]
    pub fn new(key: impl Into<String>, token: Token, id: impl Into<String>) -> Self {
        Self { key: key.into(), token, id: id.into() }
    }
}

/// An upload that is open, or may be, and that nobody will complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The key.
    pub key: String,
    /// The mark of the object that it would have become.
    pub token: Token,
    /// The identifier; `None` if the response that had it was lost. Then only the bucket's lifecycle rule can
    /// remove it.
    pub id: Option<String>,
}
