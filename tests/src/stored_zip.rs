//! A checkpoint's archive and manifest, built by hand as `docs/format.md` describes them, so that a test can
//! falsify either and still have correct checksums.

use serde_json::{Value, json};

/// Entries, as names and bytes.
pub type Parts = Vec<(String, Vec<u8>)>;

/// The name of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// The length of the end of a manifest, `89abcdef"}`, which has its checksum.
const SEAL_LEN: usize = 10;

/// A manifest of these entries for checkpoint 1.
pub fn sealed_manifest(parts: &Parts) -> Vec<u8> {
    let entry = |(name, bytes): &(String, Vec<u8>)| {
        // A chunk ends with its own checksum, which is the one to record.
        let own = if name.ends_with("zarr.json") { 0 } else { 4 };
        let covered = &bytes[..bytes.len().saturating_sub(own)];
        json!([name, bytes.len(), crc32c::crc32c(covered)])
    };
    let entries: Vec<Value> = parts.iter().map(entry).collect();
    let manifest = json!({"format": "qstore-checkpoint", "version": 2, "number": 1, "save_seq": 1,
        "entries": entries});
    let text = manifest.to_string();
    let open = text.trim_end_matches('}');
    reseal(&format!("{open},\"crc32c\":\"89abcdef\"}}"))
}

/// A manifest whose text was changed, with its checksum recomputed.
pub fn reseal(text: &str) -> Vec<u8> {
    resealed(text.as_bytes())
}

/// As [`reseal`], for arbitrary bytes.
pub fn resealed(bytes: &[u8]) -> Vec<u8> {
    let covered = &bytes[..bytes.len().saturating_sub(SEAL_LEN)];
    let checksum = crc32c::crc32c(covered);
    [covered, format!("{checksum:08x}\"}}").as_bytes()].concat()
}

/// A stored zip of these entries with the manifest at its end, byte for byte as the writer makes it.
pub fn zip(parts: &Parts, manifest: &[u8]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let manifest = [(MANIFEST.to_owned(), manifest.to_vec())];
    for (name, bytes) in parts.iter().chain(&manifest) {
        let offset = file.len() as u32;
        let aligned = (file.len() + 30 + name.len() + 6).next_multiple_of(64);
        let padding = (aligned - file.len() - 30 - name.len()) as u16;
        let facts = |extra: u16, out: &mut Vec<u8>| {
            out.extend_from_slice(&[0, 8, 0, 0, 0, 0, 33, 0]);
            out.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(&extra.to_le_bytes());
        };
        directory.extend_from_slice(b"PK\x01\x02\x2d\x03\x14\x00");
        facts(0, &mut directory);
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(0o100_644_u32 << 16).to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
        file.extend_from_slice(b"PK\x03\x04\x14\x00");
        facts(padding, &mut file);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(&0xd935_u16.to_le_bytes());
        file.extend_from_slice(&(padding - 4).to_le_bytes());
        file.extend_from_slice(&64_u16.to_le_bytes());
        file.resize(aligned, 0);
        file.extend_from_slice(bytes);
    }
    let (offset, len) = (file.len() as u32, directory.len() as u32);
    let count = parts.len() as u16 + 1;
    file.append(&mut directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&offset.to_le_bytes());
    file.extend_from_slice(&[0; 2]);
    file
}

/// A zip of these entries as another program might make it: a folder around them, nothing aligned, and,
/// if asked for, in the form of deflate (one block that is not compressed).
pub fn repacked(parts: &Parts, is_deflated: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in parts {
        let name = format!("best/{name}");
        let mut packed = bytes.clone();
        if is_deflated {
            let len = u16::try_from(bytes.len()).expect("seeds are small");
            packed = [&[1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat();
        }
        let offset = file.len() as u32;
        let mut facts = vec![20, 0, 0, 0, if is_deflated { 8 } else { 0 }, 0, 1, 2, 3, 4];
        facts.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        facts.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        facts.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        facts.extend_from_slice(&(name.len() as u16).to_le_bytes());
        facts.extend_from_slice(&[0, 0]);
        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&facts);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(&packed);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&facts);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (offset, count) = (file.len() as u32, (parts.len() as u16).to_le_bytes());
    let len = directory.len() as u32;
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&[count, count].concat());
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&offset.to_le_bytes());
    file.extend_from_slice(&[0, 0]);
    file
}
