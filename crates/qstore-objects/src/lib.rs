//! Object stores as Q-Store needs them: a small trait of single requests, and on top of it calls that say
//! what really happened.
//!
//! A request to an object store can fail after it has taken effect: the response is lost, and the caller does
//! not know. A conditional write makes it worse, since the retry then meets the caller's own object and is
//! answered with a conflict. So there are two levels:
//!
//! | level | what it is | who implements it |
//! |---|---|---|
//! | [`Objects`] | one method per request; nothing is retried, and an error says what is known | a store: [`MemoryObjects`], your own |
//! | [`Store`] | a call: retries, deadlines, and a look at the object after every failure | this crate only |
//!
//! A write of a [`Store`] has four outcomes, and no fifth:
//!
//! | outcome | what holds |
//! |---|---|
//! | [`Written::Committed`] | the object is there, whole, and it is ours |
//! | [`Written::Taken`] | there is an object of another writer |
//! | [`StoreError::Refused`] | no request can have taken effect, now or later |
//! | [`StoreError::Unsettled`] | it is not known; the error names the key, and [`Store::settle`] looks again |
//!
//! Our own object is recognized by a random [`Token`] in its metadata, never by its content: two writers may
//! write the same bytes. A store that ignores conditions, or loses metadata, is refused by [`Store::open`].
//!
//! What it is **not**: a client for a certain store, a file system, or a cache. It starts no thread; calls
//! block, and end by their deadline. Depend on it alone to adapt a store, or to write to one without losing
//! track of what happened.
//!
//! ```
//! use qstore_objects::{Limits, MemoryObjects, Span, Store, Token, Written};
//! use std::sync::Arc;
//!
//! let store = Store::open(Arc::new(MemoryObjects::new()), Limits::default())?;
//! let first = store.create("claim", b"first", &Token::random())?;
//! assert!(matches!(first, Written::Committed { .. }));
//! let second = store.create("claim", b"second", &Token::random())?;
//! assert!(matches!(second, Written::Taken { .. }));
//! assert_eq!(store.get("claim", Span::All, None)?.bytes, b"first");
//! # Ok::<(), qstore_objects::StoreError>(())
//! ```
//!
//! # What a store must promise
//! Reads and listings show every write that was answered before (S3, Google Cloud Storage and Azure do). A
//! `put` with [`Condition::Absent`] succeeds for one of many writers, a `put` with [`Condition::Is`] only for
//! the object that has the tag. An upload in parts appears whole, when it is completed, or never.
//! `conformance::check` tries all of it.
//!
//! # What is left to the bucket
//! An upload in parts that is never completed takes space and is not listed. Its identifier is kept and it is
//! aborted, but the response that had the identifier can be lost. Give the bucket a lifecycle rule that aborts
//! incomplete uploads after some days. A store that cannot delete conditionally can carry out a delayed
//! duplicate of a delete; see [`Objects::deletes_conditionally`].
//!
//! # Features
//! `testing`: the conformance kit, and `FaultyObjects`, whose requests are lost, answered late, delivered
//! twice or denied on demand. Off by default.

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod clock;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
#[cfg(any(test, feature = "testing"))]
mod faulty;
mod limits;
mod memory;
mod objects;
mod secrets;
mod store;
mod token;
mod upload;

#[cfg(any(test, feature = "testing"))]
pub use clock::SimulatedClock;
pub use clock::{Clock, SystemClock};
pub use error::{Failure, Request, RequestError, StoreError, Unsettled};
#[cfg(any(test, feature = "testing"))]
pub use faulty::{Fault, FaultyObjects, Times};
pub use limits::Limits;
pub use memory::{MemoryObjects, OpenUpload};
pub use objects::{Body, Condition, Etag, Head, Listed, Objects, Page, Span};
pub use secrets::without_secrets;
pub use store::{Removed, Settled, Store, Written};
pub use token::Token;
pub use upload::{Orphan, Upload};
