//! The records of a zip archive, as bytes: local headers, the central directory, and its end.
//!
//! Nothing here reads or writes a file. Field names follow the specification, PKWARE's APPNOTE.TXT 6.3.
//! Offsets and counts that do not fit into the plain records go into zip64 records; the length of an entry
//! always fits.

/// One file in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) crc32: u32,
    pub(crate) len: u32,
    pub(crate) header_offset: u64,
}

const ALIGNMENT: u64 = 64;
/// Version made by: Unix (3), version 4.5 of the specification.
const MADE_BY: u16 = u16::from_le_bytes([45, 3]);
const NEEDED: u16 = 20;
const NEEDED_ZIP64: u16 = 45;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1980-01-01, the earliest date the format has.
const DATE: u16 = 1 << 5 | 1;
/// A regular file that the owner can write and everyone can read.
const MODE: u32 = 0o100_644 << 16;
const ALIGNMENT_FIELD: u16 = 0xd935;
const ZIP64_FIELD: u16 = 0x0001;
const U16_FULL: u64 = 0xffff;
const U32_FULL: u64 = 0xffff_ffff;

/// What each local header begins with: signature, version, flags, stored, midnight, date. Other programs write
/// other flags or dates.
pub(crate) const BEGINNING: [u8; 14] = *b"PK\x03\x04\x14\0\0\x08\0\0\0\0\x21\0";

const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
const ZIP64_END_LEN: usize = 56;
const ZIP64_LOCATOR_LEN: usize = 20;

/// The longest possible trailer.
pub(crate) const TRAILER_MAX: usize = ZIP64_END_LEN + ZIP64_LOCATOR_LEN + END_LEN;

trait Put {
    fn u16(&mut self, value: u16);
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
}

impl Put for Vec<u8> {
    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }
}

impl Entry {
    /// The length of the local header in bytes, including alignment.
    pub(crate) fn header_len(&self) -> usize {
        LOCAL_LEN + self.name.len() + self.padding()
    }

    /// Where the next entry begins.
    pub(crate) fn end(&self) -> u64 {
        self.header_offset + self.header_len() as u64 + u64::from(self.len)
    }

    /// The length of the extra field that aligns the data: at least six bytes, its own header.
    fn padding(&self) -> usize {
        let data = self.header_offset + (LOCAL_LEN + self.name.len() + 6) as u64;
        6 + (data.next_multiple_of(ALIGNMENT) - data) as usize
    }

    /// The fields that the local and the central header have in common.
    fn put_facts(&self, extra_len: usize, out: &mut Vec<u8>) {
        out.u16(FLAGS);
        out.u16(0); // stored
        out.u16(0); // midnight
        out.u16(DATE);
        out.u32(self.crc32);
        out.u32(self.len);
        out.u32(self.len);
        out.u16(self.name.len() as u16);
        out.u16(extra_len as u16);
    }
}

/// Appends the header that precedes an entry's data.
pub(crate) fn local_header(entry: &Entry, out: &mut Vec<u8>) {
    let padding = entry.padding();
    out.extend_from_slice(b"PK\x03\x04");
    out.u16(NEEDED);
    entry.put_facts(padding, out);
    out.extend_from_slice(entry.name.as_bytes());
    out.u16(ALIGNMENT_FIELD);
    out.u16((padding - 4) as u16);
    out.u16(ALIGNMENT as u16);
    out.resize(out.len() + padding - 6, 0); // bounded: ALIGNMENT
}

/// Appends an entry's record in the central directory.
pub(crate) fn central_record(entry: &Entry, out: &mut Vec<u8>) {
    let is_far = entry.header_offset >= U32_FULL;
    out.extend_from_slice(b"PK\x01\x02");
    out.u16(MADE_BY);
    out.u16(if is_far { NEEDED_ZIP64 } else { NEEDED });
    entry.put_facts(if is_far { 12 } else { 0 }, out);
    out.u16(0); // no comment
    out.u16(0); // disk
    out.u16(0); // not text
    out.u32(MODE);
    out.u32(entry.header_offset.min(U32_FULL) as u32);
    out.extend_from_slice(entry.name.as_bytes());
    if is_far {
        out.u16(ZIP64_FIELD);
        out.u16(8);
        out.u64(entry.header_offset);
    }
}

/// Where the central directory is, as recorded at the end of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) count: u64,
    pub(crate) len: u64,
    pub(crate) offset: u64,
}

impl Trailer {
    fn is_zip64(self) -> bool {
        self.count >= U16_FULL || self.len >= U32_FULL || self.offset >= U32_FULL
    }

    /// Appends the end of the archive.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if self.is_zip64() {
            out.extend_from_slice(b"PK\x06\x06");
            out.u64(ZIP64_END_LEN as u64 - 12);
            out.u16(MADE_BY);
            out.u16(NEEDED_ZIP64);
            out.u32(0); // disk
            out.u32(0); // disk of the directory
            out.u64(self.count);
            out.u64(self.count);
            out.u64(self.len);
            out.u64(self.offset);
            out.extend_from_slice(b"PK\x06\x07");
            out.u32(0); // disk
            out.u64(self.offset + self.len);
            out.u32(1); // disks
        }
        out.extend_from_slice(b"PK\x05\x06");
        out.u32(0); // disks
        out.u16(self.count.min(U16_FULL) as u16);
        out.u16(self.count.min(U16_FULL) as u16);
        out.u32(self.len.min(U32_FULL) as u32);
        out.u32(self.offset.min(U32_FULL) as u32);
        out.u16(0); // no comment
    }

    /// Parses the trailer of a file of `file_len` bytes that ends with `tail`; `None` if it is invalid.
    pub(crate) fn read(tail: &[u8], file_len: u64) -> Option<Self> {
        let end = tail.len().checked_sub(END_LEN).map(|start| &tail[start..])?;
        let mut trailer = Self {
            count: u64::from(u16_at(end, 10)?),
            len: u64::from(u32_at(end, 12)?),
            offset: u64::from(u32_at(end, 16)?),
        };
        if trailer.is_zip64() {
            let end = tail.len().checked_sub(TRAILER_MAX).map(|start| &tail[start..])?;
            trailer =
                Self { count: u64_at(end, 32)?, len: u64_at(end, 40)?, offset: u64_at(end, 48)? };
        }
        // The directory must end exactly where the trailer begins.
        let mut written = Vec::new();
        let directory_end = trailer.offset.checked_add(trailer.len)?;
        trailer.write(&mut written);
        let is_whole = directory_end.checked_add(written.len() as u64)? == file_len;
        (is_whole && tail.ends_with(&written)).then_some(trailer)
    }
}

/// The entries of a central directory, if it is exactly what the writer would have written.
pub(crate) fn read_directory(directory: &[u8], trailer: &Trailer) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let (mut position, mut header_offset) = (0, 0);
    let mut written = Vec::new();
    while position < directory.len() {
        let record = &directory[position..];
        let (crc32, len) = (u32_at(record, 16)?, u32_at(record, 20)?);
        let name_len = usize::from(u16_at(record, 28)?);
        let name = record.get(CENTRAL_LEN..CENTRAL_LEN + name_len)?;
        let name = std::str::from_utf8(name).ok()?.to_string();
        let entry = Entry { name, crc32, len, header_offset };
        written.clear();
        central_record(&entry, &mut written);
        if !record.starts_with(&written) {
            return None;
        }
        position += written.len();
        header_offset = entry.end();
        entries.push(entry);
    }
    let is_whole = entries.len() as u64 == trailer.count && header_offset == trailer.offset;
    is_whole.then_some(entries)
}

pub(super) fn u16_at(bytes: &[u8], position: usize) -> Option<u16> {
    bytes.get(position..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], position: usize) -> Option<u32> {
    bytes.get(position..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], position: usize) -> Option<u64> {
    bytes.get(position..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Offsets beyond 4 GiB without writing 4 GiB, because the records do not depend on a file.
    #[test]
    fn entries_beyond_4_gib_are_written_and_read_as_zip64() {
        let mut entries = Vec::new();
        let mut directory = Vec::new();
        let mut header_offset = 0;
        for number in 0..6 {
            let name = format!("model/w/c/{number}");
            let entry = Entry { name, crc32: number, len: 1 << 30, header_offset };
            header_offset = entry.end();
            central_record(&entry, &mut directory);
            entries.push(entry);
        }
        let len = directory.len() as u64;
        let trailer = Trailer { count: 6, len, offset: header_offset };
        assert_eq!(read_directory(&directory, &trailer), Some(entries));

        let mut tail = Vec::new();
        trailer.write(&mut tail);
        assert_eq!(tail.len(), TRAILER_MAX);
        let file_len = trailer.offset + trailer.len + tail.len() as u64;
        assert_eq!(Trailer::read(&tail, file_len), Some(trailer));
        assert_eq!(Trailer::read(&tail, file_len + 1), None);
    }

    #[test]
    fn a_trailer_with_impossible_lengths_is_refused() {
        let lie = Trailer { count: 1, len: u64::MAX, offset: u64::MAX };
        let mut tail = Vec::new();
        Trailer { count: u64::MAX, len: 0, offset: 0 }.write(&mut tail);
        tail[40..48].copy_from_slice(&lie.len.to_le_bytes());
        tail[48..56].copy_from_slice(&lie.offset.to_le_bytes());
        assert_eq!(Trailer::read(&tail, tail.len() as u64), None);
        assert_eq!(Trailer::read(&[], 0), None);
    }
}
