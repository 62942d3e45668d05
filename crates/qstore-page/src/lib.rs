//! Runs in a browser: a page on this machine that follows them, and the same page as one file to hand on.
//!
//! | to | use |
//! |---|---|
//! | answer a browser | [`Port`], [`Server`] |
//! | answer a request without a socket, as tests do | [`Site`] |
//! | write the page with its data inside | [`Report`] |
//!
//! Every curve is exact: of each pixel column the least, the largest, the first and the last value are drawn (see
//! `qstore-view`). The page and the report are one and the same script; it asks a [`Site`], or finds the answers
//! in the file.
//!
//! # Who can see the runs
//! Only this machine: the server listens on 127.0.0.1 and `::1`. Only a browser that knows the token, which is in the address that
//! is printed at the start. No other page of this browser: `Host`, `Origin` and `Sec-Fetch-Site` are checked. The
//! policy of the page lets no script run but the one whose hash it names. A name from a run is only ever text.
//!
//! What it is **not**: it changes nothing, starts nothing, has no accounts, and does not listen to other machines. Depend on it
//! alone to show runs from a program of your own.
//!
//! ```
//! use qstore_page::{Port, Site, SiteSettings, Source, random_token};
//! use qstore_run::{Run, RunPlace, RunSettings};
//!
//! # let runs = tempfile::tempdir()?;
//! Run::create(runs.path(), RunSettings::default())?.finish()?;
//! let source = Source::Directory { path: runs.path().into(), is_deep: false };
//! let port = Port::take(0)?;
//! let settings = SiteSettings::default().token(random_token()?);
//! let site = Site::new(RunPlace::default(), source, port.number(), settings);
//! let server = port.serve(site)?;
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod asset;
mod catalog;
mod detail;
mod digest;
mod epochs;
mod error;
mod guard;
mod jobs;
mod kept;
mod message;
mod number;
mod packed;
mod picture;
mod report;
mod server;
mod site;
mod summary;

pub use catalog::Source;
pub use error::PageError;
pub use message::{Request, Response};
pub use report::Report;
pub use server::{Port, Server, random_token};
pub use site::{Site, SiteSettings};
