//! Thrift's compact protocol, as far as a Parquet file needs it: footers and page headers are written,
//! and page headers are read from untrusted bytes.
//!
//! It does not know Parquet: what a field means is defined in `entry.rs`, `footer.rs` and
//! `page_header.rs`. Source: the protocol's specification, `thrift-compact-protocol.md` of Apache
//! Thrift.

mod read;
mod write;

pub(crate) use read::{Reader, Step, Value};
pub(crate) use write::{Fields, structure};

// The kinds of values, by their numbers in the protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;
