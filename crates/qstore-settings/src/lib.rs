//! What the settings of all Q-Store crates share: one error for a bad value, and one vocabulary of
//! codecs.
//!
//! | to | use |
//! |---|---|
//! | report a setting that is out of range | [`SettingError`] |
//! | name a codec and its level, in code or as text (`zstd:3`) | [`Compression`], [`Codec`] |
//!
//! Settings structs of the workspace have one style. They are plain data with public fields and a
//! `Default`; a setter of the same name takes and returns the struct by value; they are passed by
//! value, and checked once, by the call that takes them.
//!
//! What it is **not**: it reads no file and no environment variable, and it compresses nothing. You
//! rarely depend on it alone: every crate re-exports the types its settings need.
//!
//! ```
//! use qstore_settings::{Codec, Compression, SettingError};
//!
//! let compression: Compression = "zstd:3".parse()?;
//! assert_eq!(compression, Compression::ZSTD.level(3));
//! assert_eq!(compression.codec, Codec::Zstd);
//!
//! let error = SettingError::check("workers", 0, 1..=256, "2").unwrap_err();
//! assert_eq!(error.to_string(), "workers is 0; choose a value from 1 to 256 (default 2)");
//! # Ok::<(), SettingError>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod compression;
mod error;

pub use compression::{Codec, Compression};
pub use error::SettingError;
