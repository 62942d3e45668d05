//! A checkpoint that another program has packed into a zip archive: unzipped and zipped again, or a
//! directory that was zipped to be sent.
//!
//! Only for a file that is opened by its path. In a repository an archive must be byte for byte as it was
//! written (see [`archive`](super::archive)); here the order of the entries, their compression (stored or
//! deflated), dates, comments, entries for directories and a common folder make no difference. What counts
//! is the manifest: it lists every entry with its length and checksum, and is checked as always.

use crate::container::archive::DOCUMENT_MAX;
use crate::container::zip_format::{u16_at, u32_at, u64_at};
use flate2::read::DeflateDecoder;
use qstore_checkpoint::repository::{FileSource, RepositoryError, Result, TreeSource};
use qstore_checkpoint::seal::MANIFEST;
use std::collections::HashMap;
use std::io::{self, Read};
use std::ops;
use std::sync::Arc;

/// A file that several readers share.
#[derive(Debug, Clone)]
pub(super) struct SharedFile(Arc<dyn FileSource>);

impl From<Box<dyn FileSource>> for SharedFile {
    fn from(file: Box<dyn FileSource>) -> Self {
        Self(file.into())
    }
}

impl FileSource for SharedFile {
    fn len(&self) -> Result<u64> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn announce(&self, ranges: &[ops::Range<u64>]) {
        self.0.announce(ranges);
    }

    fn is_replaced(&self) -> bool {
        self.0.is_replaced()
    }
}

/// Why an archive was not opened, although it may be whole.
#[derive(Debug)]
pub(super) enum CannotRead {
    Repository(RepositoryError),
    /// It is in a form that is not read, for this reason.
    Form(String),
}

impl From<RepositoryError> for CannotRead {
    fn from(error: RepositoryError) -> Self {
        Self::Repository(error)
    }
}

/// The entries of an archive, as a tree.
#[derive(Debug)]
pub(super) struct Repacked {
    file: SharedFile,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    is_deflated: bool,
    packed: u64,
    len: u64,
    header: u64,
}

/// Where the central directory is.
struct Directory {
    len: u64,
    offset: u64,
}

const END: &[u8] = b"PK\x05\x06";
const END_LEN: usize = 22;
const ZIP64_END_LEN: usize = 56;
const ZIP64_LOCATOR_LEN: usize = 20;
const COMMENT_MAX: usize = 0xffff;
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;

/// The longest directory that is read: that of more than a million entries.
const DIRECTORY_MAX: u64 = 1 << 28;

impl Repacked {
    /// Reads the archive's directory. `None` if it is not an archive with a manifest, or not a whole one.
    pub(super) fn open(file: SharedFile) -> Result<Option<Self>, CannotRead> {
        let mut start = [0; 4];
        if file.len()? < END_LEN as u64 {
            return Err(form("it is not a zip archive"));
        }
        file.read_at(0, &mut start)?;
        if !start.starts_with(b"PK") {
            return Err(form("it is not a zip archive"));
        }
        let Some(directory) = find_directory(&file)? else { return Ok(None) };
        if directory.len > DIRECTORY_MAX {
            let len = directory.len;
            return Err(form(format!(
                "its directory has {len} bytes, more than the limit of {DIRECTORY_MAX}"
            )));
        }
        let mut bytes = vec![0; directory.len as usize]; // bounded: by `DIRECTORY_MAX`
        file.read_at(directory.offset, &mut bytes)?;
        let Some(mut entries) = parse(&bytes)? else { return Ok(None) };
        // A folder that was zipped as such is a part of every name.
        let mut manifests = entries.keys().filter_map(|name| name.strip_suffix(MANIFEST));
        let is_folder = |prefix: &&str| prefix.is_empty() || prefix.ends_with('/');
        let Some(prefix) = manifests.by_ref().find(is_folder).map(str::to_owned) else {
            return Err(form("it is a zip archive without a manifest.json"));
        };
        if manifests.any(|other| is_folder(&other)) {
            return Err(form("it contains several checkpoints; unzip it"));
        }
        if !prefix.is_empty() {
            let strip = |(name, entry): (String, Entry)| {
                let inside = name.strip_prefix(&prefix).map(str::to_owned);
                (inside.unwrap_or(name), entry)
            };
            entries = entries.into_iter().map(strip).collect();
        }
        Ok(Some(Self { file, entries }))
    }
}

fn form(reason: impl Into<String>) -> CannotRead {
    CannotRead::Form(reason.into())
}

/// Finds the end of the archive, behind which there may be a comment.
fn find_directory(file: &SharedFile) -> Result<Option<Directory>, CannotRead> {
    let len = file.len()?;
    let tail_len = len.min((ZIP64_LOCATOR_LEN + END_LEN + COMMENT_MAX) as u64) as usize;
    let mut tail = vec![0; tail_len]; // bounded: by the longest comment
    let tail_at = len - tail_len as u64;
    file.read_at(tail_at, &mut tail)?;
    let is_end = |at: &usize| {
        let comment = u16_at(&tail, at + 20).map(usize::from);
        tail[*at..].starts_with(END) && comment == Some(tail_len - at - END_LEN)
    };
    let Some(at) = (0..=tail_len - END_LEN).rev().find(is_end) else { return Ok(None) };
    let (Some(size), Some(offset)) = (u32_at(&tail, at + 12), u32_at(&tail, at + 16)) else {
        return Ok(None);
    };
    let mut directory = Directory { len: size.into(), offset: offset.into() };
    let locator = at.checked_sub(ZIP64_LOCATOR_LEN).map(|start| &tail[start..at]);
    if let Some(locator) = locator.filter(|found| found.starts_with(b"PK\x06\x07")) {
        let end = u64_at(locator, 8).unwrap_or(u64::MAX);
        if end.saturating_add(ZIP64_END_LEN as u64) > len {
            return Ok(None);
        }
        let mut record = [0; ZIP64_END_LEN];
        file.read_at(end, &mut record)?;
        let (Some(size), Some(offset)) = (u64_at(&record, 40), u64_at(&record, 48)) else {
            return Ok(None);
        };
        directory = Directory { len: size, offset };
    }
    if directory.len > DOCUMENT_MAX {
        return Err(form(format!(
            "its directory has {} bytes, more than the limit of {DOCUMENT_MAX}",
            directory.len
        )));
    }
    let end = directory.offset.checked_add(directory.len);
    Ok(end.is_some_and(|end| end <= len).then_some(directory))
}

/// The files of a central directory by their names; `None` if it is malformed.
fn parse(mut bytes: &[u8]) -> Result<Option<HashMap<String, Entry>>, CannotRead> {
    const ENCRYPTED: u16 = 1;
    const DEFLATE_RATIO_MAX: u64 = 1_032;
    let mut entries = HashMap::new();
    while !bytes.is_empty() {
        let Some((name, entry, method, flags, rest)) = record(bytes) else { return Ok(None) };
        bytes = rest;
        if name.ends_with('/') {
            continue;
        }
        if flags & ENCRYPTED != 0 {
            return Err(form(format!("its entry `{name}` is encrypted; unzip it")));
        }
        if ![0, 8].contains(&method) {
            return Err(form(format!(
                "its entry `{name}` is compressed by method {method} of zip; unzip it, or zip it with deflate"
            )));
        }
        // Otherwise a few bytes could claim any amount of memory.
        let plausible = if entry.is_deflated {
            entry.len <= entry.packed.saturating_mul(DEFLATE_RATIO_MAX)
        } else {
            entry.len == entry.packed
        };
        if !plausible || entries.insert(name, entry).is_some() {
            return Ok(None);
        }
    }
    Ok(Some(entries))
}

/// The first record: name, entry, method, flags, and what follows the record.
fn record(bytes: &[u8]) -> Option<(String, Entry, u16, u16, &[u8])> {
    if !bytes.starts_with(b"PK\x01\x02") {
        return None;
    }
    let (flags, method) = (u16_at(bytes, 8)?, u16_at(bytes, 10)?);
    let lens = [u16_at(bytes, 28)?, u16_at(bytes, 30)?, u16_at(bytes, 32)?].map(usize::from);
    let (name, rest) = bytes.get(CENTRAL_LEN..)?.split_at_checked(lens[0])?;
    let (mut extra, rest) = rest.split_at_checked(lens[1])?;
    // Old programs on Windows separate with backslashes, which no name of ours has.
    let name = std::str::from_utf8(name).ok()?.replace('\\', "/");
    let [mut packed, mut len, mut header] =
        [20, 24, 42].map(|at| u32_at(bytes, at).map_or(0, u64::from));
    while let (Some(id), Some(size)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let (mut field, rest) = extra.get(4..)?.split_at_checked(size.into())?;
        if id == 1 {
            for value in [&mut len, &mut packed, &mut header] {
                if *value == u64::from(u32::MAX) {
                    *value = u64_at(field, 0)?;
                    field = &field[8..];
                }
            }
        }
        extra = rest;
    }
    let entry = Entry { is_deflated: method == 8, packed, len, header };
    Some((name, entry, method, flags, rest.get(lens[2]..)?))
}

impl TreeSource for Repacked {
    fn open(&self, entry: &str) -> Result<Box<dyn FileSource>> {
        let Some(found) = self.entries.get(entry) else {
            let location = "the archive".into();
            return Err(RepositoryError::NotFound { name: entry.into(), location });
        };
        let end = self.file.len()?;
        let is_inside = |end_of: Option<u64>| end_of.is_some_and(|end_of| end_of <= end);
        let corrupt = || RepositoryError::other(entry, Corrupt);
        let mut header = [0; LOCAL_LEN];
        if !is_inside(found.header.checked_add(LOCAL_LEN as u64)) {
            return Err(corrupt());
        }
        self.file.read_at(found.header, &mut header)?;
        let lens = [26, 28].map(|at| u16_at(&header, at).map_or(0, u64::from));
        let data = found.header + LOCAL_LEN as u64 + lens[0] + lens[1];
        if !header.starts_with(b"PK\x03\x04") || !is_inside(data.checked_add(found.packed)) {
            return Err(corrupt());
        }
        Ok(Box::new(Packed { file: self.file.clone(), entry: *found, data }))
    }

    fn entries(&self) -> Result<Vec<String>> {
        Ok(self.entries.keys().cloned().collect())
    }
}

/// One entry of the archive.
#[derive(Debug)]
struct Packed {
    file: SharedFile,
    entry: Entry,
    /// Where its bytes begin in the file.
    data: u64,
}

impl FileSource for Packed {
    fn len(&self) -> Result<u64> {
        Ok(self.entry.len)
    }

    /// Entries are read as a whole, from their beginning.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if offset.saturating_add(buffer.len() as u64) > self.entry.len {
            return Err(RepositoryError::other("an entry of the archive", Corrupt));
        }
        if !self.entry.is_deflated {
            return self.file.read_at(self.data + offset, buffer);
        }
        let packed = Range { file: &self.file, at: self.data, end: self.data + self.entry.packed };
        let mut inflated = DeflateDecoder::new(packed);
        let skipped = io::copy(&mut inflated.by_ref().take(offset), &mut io::sink());
        let read = skipped.and_then(|_| inflated.read_exact(buffer));
        read.map_err(|error| {
            let name = "an entry of the archive";
            match error.downcast::<RepositoryError>() {
                Ok(failed) => RepositoryError::other(name, failed),
                Err(_) => RepositoryError::other(name, Corrupt),
            }
        })
    }
}

/// The bytes of an entry are not the ones that were packed.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be unpacked")]
pub(super) struct Corrupt;

impl Corrupt {
    /// Whether an error means that bytes were read and are wrong.
    pub(super) fn is_cause(error: &RepositoryError) -> bool {
        matches!(error, RepositoryError::Other { source, .. } if source.is::<Self>())
    }
}

/// A part of a file as a stream.
struct Range<'f> {
    file: &'f SharedFile,
    at: u64,
    end: u64,
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (self.end - self.at).min(buffer.len() as u64) as usize;
        self.file.read_at(self.at, &mut buffer[..len]).map_err(io::Error::other)?;
        self.at += len as u64;
        Ok(len)
    }
}
