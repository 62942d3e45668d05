//! A checkpoint that was copied out of its directory is opened by its path, whatever its name, its place
//! and the program that packed it.

use crate::states::{Durable, assert_same, model, optimizer};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use qstore_zarr::{
    CheckpointManager, CheckpointReader, CheckpointSettings, Layout, LoadError, Select, Snapshot,
};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A directory with checkpoint 7 in both layouts: `file/epoch_0007.zarr.zip` and `tree/epoch_0007`.
fn saved(dir: &Path) -> [PathBuf; 2] {
    let kinds = [("file", Layout::SingleFile), ("tree", Layout::Directory)];
    kinds.map(|(name, layout)| {
        let settings = CheckpointSettings::default().layout(layout).chunk_bytes(64);
        let manager = CheckpointManager::open(dir.join(name), settings).unwrap();
        let snapshot = Snapshot::new(7).model(model(7)).optimizer(optimizer()).meta("loss", 0.5);
        manager.save(snapshot).unwrap().durable();
        let suffix = if layout == Layout::SingleFile { ".zarr.zip" } else { "" };
        dir.join(name).join(format!("epoch_0007{suffix}"))
    })
}

/// Loads, verifies and inspects it in every way there is.
#[track_caller]
fn check(path: impl AsRef<Path>) {
    let reader = CheckpointReader::open(&path).unwrap_or_else(|error| panic!("{error}")).workers(3);
    let loaded = reader.checkpoint().unwrap();
    assert_same(loaded.model().unwrap(), &model(7));
    assert_same(loaded.optimizer().unwrap(), &optimizer());
    assert_eq!((reader.number(), loaded.number()), (7, 7));
    assert_eq!(reader.verify().unwrap(), loaded.info);
    assert_eq!(reader.verify_stored().unwrap(), loaded.info);
    assert_eq!(reader.info().unwrap().metadata.float("loss"), Some(0.5));
    assert_eq!(reader.tensors().unwrap().len(), 5);
    assert_eq!(reader.tensor("model/seed").unwrap().to_vec::<i64>().unwrap(), [7]);
    let some = reader.load(&Select::Group("optimizer".into())).unwrap();
    assert_eq!(some.len(), 2);
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy(&from.join(&name), &to.join(&name));
    }
}

/// Whatever decompressing finds in a changed archive is found without it. What neither finds is in the form of the
/// archive, which another program may have packed: the checkpoint in it is whole.
#[test]
fn a_changed_byte_is_found_without_decompressing_anything() {
    let dir = tempfile::tempdir().unwrap();
    let [file, _] = saved(dir.path());
    let (whole, best) = (fs::read(file).unwrap(), dir.path().join("best.zip"));
    let mut harmless = 0;
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        fs::write(&best, changed).unwrap();
        let Ok(reader) = CheckpointReader::open(&best) else { continue };
        let (stored, decoded) = (reader.verify_stored(), reader.verify());
        assert_eq!(stored.is_ok(), decoded.is_ok(), "byte {at}: {stored:?}");
        if stored.is_ok() {
            assert_same(reader.checkpoint().unwrap().model().unwrap(), &model(7));
            harmless += 1;
        }
    }
    assert!(harmless < whole.len() / 20, "{harmless} of {} bytes", whole.len());
}

#[test]
fn neither_the_name_nor_the_place_matters() {
    let tmp = tempfile::tempdir().unwrap();
    let names = [
        "best.zarr.zip",
        "best",
        "epoch_0009.zarr.zip", // that of another number
        "epoch_0009",
        "step_00000007",
        "мой лучший чекпойнт.zip",
        " blanks \t and\nmore ",
        ".hidden",
        "50%~2",
    ];
    let names = names.map(OsStr::new).into_iter().chain([OsStr::from_bytes(b"not \xff UTF-8")]);
    let saved = saved(tmp.path());
    for name in names {
        for (number, from) in saved.iter().enumerate() {
            let dir = tmp.path().join(format!("{number}")).join("каталог с пробелами");
            fs::create_dir_all(&dir).unwrap();
            let to = dir.join(name);
            copy(from, &to);
            check(&to);
            // Moved, and through links to it and to the directory above.
            let moved = tmp.path().join("moved");
            fs::rename(&to, &moved).unwrap();
            check(&moved);
            let link = dir.join(name);
            symlink(&moved, &link).unwrap();
            check(&link);
            let above = tmp.path().join("above");
            symlink(&dir, &above).unwrap();
            check(above.join(name));
            fs::remove_file(above).unwrap();
            fs::remove_file(link).unwrap();
            if moved.is_dir() { fs::remove_dir_all(moved) } else { fs::remove_file(moved) }
                .unwrap();
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_enough() {
    let tmp = tempfile::tempdir().unwrap();
    for path in saved(tmp.path()) {
        let dir = path.parent().unwrap();
        let before = fs::read_dir(dir).unwrap().count();
        fs::set_permissions(dir, PermissionsExt::from_mode(0o555)).unwrap();
        check(&path);
        fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(fs::read_dir(dir).unwrap().count(), before);
    }
}

/// Writes a zip archive as other programs do.
struct Zip {
    is_deflated: bool,
    /// Before every name.
    prefix: &'static str,
    /// Behind the end.
    comment: &'static [u8],
    /// Replaces the compression method in the records.
    method: Option<u16>,
    flags: u16,
}

const STORED: Zip = Zip { is_deflated: false, prefix: "", comment: b"", method: None, flags: 0 };
const DEFLATED: Zip = Zip { is_deflated: true, ..STORED };

impl Zip {
    fn pack(&self, entries: &[(String, Vec<u8>)]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        let folders = [("model/".to_owned(), Vec::new())];
        for (name, data) in folders.iter().chain(entries) {
            let name = format!("{}{name}", self.prefix);
            let is_deflated = self.is_deflated && !data.is_empty();
            let mut packed = data.clone();
            if is_deflated {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(data).unwrap();
                packed = encoder.finish().unwrap();
            }
            let method = self.method.unwrap_or(if is_deflated { 8 } else { 0 });
            let crc = crc32fast::hash(data);
            let mut facts = Vec::new();
            facts.extend(20_u16.to_le_bytes());
            facts.extend(self.flags.to_le_bytes());
            facts.extend(method.to_le_bytes());
            facts.extend([0x21, 0x7d, 0x5a, 0x59]); // some date
            for number in [crc, packed.len() as u32, data.len() as u32] {
                facts.extend(number.to_le_bytes());
            }
            facts.extend((name.len() as u16).to_le_bytes());
            let extra = [0x55, 0x54, 5, 0, 1, 1, 2, 3, 4]; // the time of Info-ZIP
            facts.extend((extra.len() as u16).to_le_bytes());
            directory.extend(b"PK\x01\x02\x1e\x03");
            directory.extend(&facts);
            directory.extend([0; 10]);
            directory.extend((out.len() as u32).to_le_bytes());
            directory.extend(name.as_bytes());
            directory.extend(extra);
            out.extend(b"PK\x03\x04");
            out.extend(facts);
            out.extend(name.as_bytes());
            out.extend(extra);
            out.extend(packed);
        }
        let (len, offset, count) =
            (directory.len() as u32, out.len() as u32, (entries.len() + 1) as u16);
        out.extend(directory);
        out.extend(b"PK\x05\x06\0\0\0\0");
        out.extend(count.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(len.to_le_bytes());
        out.extend(offset.to_le_bytes());
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend(self.comment);
        out
    }
}

/// The entries of a tree, in the order of a directory listing.
fn entries(tree: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(tree.join(&dir)).unwrap() {
            let path = dir.join(entry.unwrap().file_name());
            if tree.join(&path).is_dir() {
                dirs.push(path);
            } else {
                let data = fs::read(tree.join(&path)).unwrap();
                found.push((path.to_str().unwrap().to_owned(), data));
            }
        }
    }
    found
}

#[test]
fn an_archive_of_another_program_is_read() {
    let tmp = tempfile::tempdir().unwrap();
    let [_, tree] = saved(tmp.path());
    let path = tmp.path().join("again.zip");
    let entries = entries(&tree);
    let backslashes: Vec<_> =
        entries.iter().map(|(name, data)| (name.replace('/', "\\"), data.clone())).collect();
    for zip in [
        STORED,
        DEFLATED,
        Zip { comment: b"made by hand, PK\x05\x06 and all", ..DEFLATED },
        Zip { prefix: "epoch_0007/", ..STORED },
        Zip { prefix: "runs/best/", ..DEFLATED },
    ] {
        fs::write(&path, zip.pack(&entries)).unwrap();
        check(&path);
        fs::write(&path, zip.pack(&backslashes)).unwrap();
        check(&path);
    }
}

/// "Cannot" is not "is damaged": nothing is known about the entries.
#[test]
fn what_cannot_be_read_is_not_called_damaged() {
    let tmp = tempfile::tempdir().unwrap();
    let [file, tree] = saved(tmp.path());
    let entries = entries(&tree);
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("text", b"a text that is long enough for an archive".to_vec(), "is not a zip archive"),
        ("empty", Vec::new(), "is not a zip archive"),
        ("other.zip", STORED.pack(&[("a".into(), vec![1])]), "without a manifest.json"),
        ("locked", Zip { flags: 1, ..DEFLATED }.pack(&entries), "is encrypted; unzip it"),
        ("bzip2", Zip { method: Some(12), ..STORED }.pack(&entries), "compressed by method 12"),
        (
            "two",
            STORED
                .pack(&[("a/manifest.json".into(), vec![1]), ("b/manifest.json".into(), vec![1])]),
            "several checkpoints",
        ),
    ];
    for (name, bytes, message) in cases {
        let path = tmp.path().join(name);
        fs::write(&path, bytes).unwrap();
        refuse(&path, message);
    }
    refuse(file.parent().unwrap(), "open it with `Checkpoints::open`");
    refuse(&tree.join("model"), "it has no manifest.json");
    let missing = CheckpointReader::open(tmp.path().join("none")).unwrap_err();
    assert!(matches!(&missing, LoadError::Repository(error) if error.is_not_found()), "{missing}");
}

#[track_caller]
fn refuse(path: &Path, message: &str) {
    let error = CheckpointReader::open(path).unwrap_err();
    assert!(matches!(error, LoadError::NotACheckpoint { .. }), "{error}");
    assert!(error.to_string().contains(message) && error.damage().is_none(), "{error}");
}

#[test]
fn damage_is_found_in_every_form() {
    let tmp = tempfile::tempdir().unwrap();
    let [file, tree] = saved(tmp.path());
    let path = tmp.path().join("damaged");
    let packed = [STORED, DEFLATED].map(|zip| zip.pack(&entries(&tree)));
    for bytes in [fs::read(&file).unwrap(), packed[0].clone(), packed[1].clone()] {
        // A copy that was interrupted.
        for len in [bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            assert!(CheckpointReader::open(&path).unwrap_err().damage().is_some());
        }
        // One flipped bit is found, or is in a byte that no reader needs.
        for at in (0..bytes.len()).step_by(23) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            fs::write(&path, flipped).unwrap();
            match CheckpointReader::open(&path).and_then(|reader| reader.checkpoint()) {
                Ok(loaded) => assert_same(loaded.model().unwrap(), &model(7)),
                Err(error) => {
                    let is_cannot = matches!(error, LoadError::NotACheckpoint { .. });
                    assert!(is_cannot || error.damage().is_some(), "byte {at}: {error}");
                }
            }
        }
    }
    // A file that is not part of it.
    fs::write(tree.join("model/more"), b"x").unwrap();
    let reader = CheckpointReader::open(&tree).unwrap();
    assert!(reader.verify().unwrap_err().to_string().contains("`model/more`"));
    assert!(reader.checkpoint().is_ok());
}

/// A few bytes that claim to be gigabytes are refused before anything is allocated.
#[test]
fn an_impossible_length_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let [_, tree] = saved(tmp.path());
    let bytes = DEFLATED.pack(&entries(&tree));
    let path = tmp.path().join("bomb");
    let at = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    let mut claims = bytes.clone();
    claims[at + 24..at + 28].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    fs::write(&path, claims).unwrap();
    let error = CheckpointReader::open(&path).unwrap_err();
    assert!(error.damage().is_some(), "{error}");
}
