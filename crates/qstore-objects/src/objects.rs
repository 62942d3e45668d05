//! The trait of an object store: one method for each kind of request.

use crate::error::RequestError;
use crate::token::Token;
use std::fmt;
use std::time::Duration;

/// The result of a request.
pub(crate) type Result<T> = std::result::Result<T, RequestError>;

/// A tag that changes with the content of an object. Equal contents may have equal tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Etag(pub String);

/// When a put may take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// If there is no object with the key.
    Absent,
    /// If the object with the key has this tag.
    Is(Etag),
}

/// Which bytes of an object are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All of them.
    All,
    /// This many from this offset on.
    At {
        /// The offset of the first byte.
        offset: u64,
        /// The number of bytes, at least 1.
        len: u64,
    },
    /// At most this many at the end; at least 1.
    Last(u64),
}

/// What is known about an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its tag.
    pub etag: Etag,
    /// Its length in bytes.
    pub len: u64,
    /// The mark of its writer; `None` if it has none.
    pub token: Option<Token>,
}

/// Bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The tag of the object.
    pub etag: Etag,
    /// The length of the whole object in bytes.
    pub len: u64,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub len: u64,
    /// Its tag.
    pub etag: Option<Etag>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Some of the objects.
    pub objects: Vec<Listed>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<String>,
}

/// A store of objects under keys. Methods block, from any number of threads.
///
/// Each method is **one** request: it is sent at most once, and nothing is retried. It ends within `timeout`.
/// An error says what is known: [`Failure::Unclear`](crate::Failure::Unclear) whenever the request may have
/// reached the store, unless its response rules out that it had an effect.
///
/// Keys are relative to what the value stands for, such as a prefix in a bucket. They consist of
/// `A-Z a-z 0-9 . _ - /`.
pub trait Objects: fmt::Debug + Send + Sync {
    /// The location for messages, such as `s3://bucket/prefix`, without credentials.
    fn location(&self) -> String;

    /// The least number of bytes in a part that is not the last one. Default: 5 MiB, as S3 has it.
    fn part_bytes_min(&self) -> u64 {
        5 << 20
    }

    /// Whether [`delete`](Self::delete) compares the tag. If not, a delete that is delivered late can remove an
    /// object that has the key by then; requests are signed for some minutes only, which limits how late.
    fn deletes_conditionally(&self) -> bool {
        false
    }

    /// Writes an object with the token in its metadata.
    ///
    /// # Errors
    /// [`Failure::ConditionFailed`](crate::Failure::ConditionFailed) if the condition does not hold.
    fn put(
        &self,
        key: &str,
        body: &[u8],
        token: &Token,
        condition: &Condition,
        timeout: Duration,
    ) -> Result<Etag>;

    /// Reads the metadata.
    ///
    /// # Errors
    /// [`Failure::NotFound`](crate::Failure::NotFound) if there is no such object.
    fn head(&self, key: &str, timeout: Duration) -> Result<Head>;

    /// Reads a span, of the object with that tag if one is given.
    ///
    /// # Errors
    /// [`Failure::NotFound`](crate::Failure::NotFound),
    /// [`Failure::ConditionFailed`](crate::Failure::ConditionFailed) if it has another tag.
    fn get(&self, key: &str, span: Span, etag: Option<&Etag>, timeout: Duration) -> Result<Body>;

    /// Lists one page of the objects directly below `prefix`, which is empty or ends with `/`, from where
    /// another page ended.
    ///
    /// # Errors
    /// If the page could not be read. A prefix with nothing below it has an empty page.
    fn list(&self, prefix: &str, next: Option<&str>, timeout: Duration) -> Result<Page>;

    /// Removes an object, if it has that tag.
    ///
    /// # Errors
    /// [`Failure::NotFound`](crate::Failure::NotFound) or `Ok` if there is none;
    /// [`Failure::ConditionFailed`](crate::Failure::ConditionFailed) if it has another tag and the store
    /// [compares](Self::deletes_conditionally).
    fn delete(&self, key: &str, etag: Option<&Etag>, timeout: Duration) -> Result<()>;

    /// Begins an upload in parts and returns its identifier.
    ///
    /// # Errors
    /// If it was not begun, or its identifier is not known.
    fn begin(&self, key: &str, token: &Token, timeout: Duration) -> Result<String>;

    /// Uploads a part, numbered from 1, and returns its tag. A part with the same number is replaced.
    ///
    /// # Errors
    /// [`Failure::NotFound`](crate::Failure::NotFound) if there is no such upload.
    fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: &[u8],
        timeout: Duration,
    ) -> Result<String>;

    /// Makes an object of the parts with these tags, in this order. It appears whole, and replaces what has
    /// the key. A response that reports an error in its body is an error.
    ///
    /// # Errors
    /// [`Failure::NotFound`](crate::Failure::NotFound) if there is no such upload: it was completed before, or
    /// aborted.
    fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[String],
        timeout: Duration,
    ) -> Result<Etag>;

    /// Aborts an upload: it can never be completed, and its parts are removed.
    ///
    /// # Errors
    /// [`Failure::NotFound`](crate::Failure::NotFound) if there is no such upload.
    fn abort(&self, key: &str, upload: &str, timeout: Duration) -> Result<()>;
}
