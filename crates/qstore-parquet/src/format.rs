//! The bytes of a metrics file: row groups, pages, footer, checksums and accounts, encoded and
//! decoded.
//!
//! Nothing here creates, writes or publishes a file. What is read is never trusted: every length,
//! offset and count is checked before anything is allocated for it.

pub(crate) mod audit;
pub(crate) mod checksums;
pub(crate) mod chunk;
pub(crate) mod compression;
pub(crate) mod decompress;
pub(crate) mod delta_texts;
pub(crate) mod encoded_group;
pub(crate) mod entry;
pub(crate) mod facts;
pub(crate) mod footer;
pub(crate) mod leaves;
pub(crate) mod list_levels;
pub(crate) mod nested;
pub(crate) mod odd_bounds;
pub(crate) mod page_header;
pub(crate) mod page_writer;
pub(crate) mod pages;
pub(crate) mod published;
pub(crate) mod read_at;
pub(crate) mod read_failure;
pub(crate) mod row_group;
pub(crate) mod shape;
pub(crate) mod span_table;
pub(crate) mod spans;
pub(crate) mod statistics;
pub(crate) mod stored;
pub(crate) mod thrift;
