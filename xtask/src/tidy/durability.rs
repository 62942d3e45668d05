//! Rule: only qstore-storage changes the disk.
//!
//! Why: what survives a power cut depends on the order of write, sync, rename and sync again. That
//! order is decided in one crate, behind one seam, where every operation can be made to fail in a
//! test. A single `fs::rename` elsewhere would be a promise that no test can reach.

use super::finding::Finding;
use super::lexer::is_word;
use super::source::{Role, Source, mentions};

const STORAGE: &str = "crates/qstore-storage/";

/// Forbidden wherever they appear, as a method or as a function.
const ALWAYS: &[&str] = &[
    "File::create",
    "File::create_new",
    "File::options",
    "OpenOptions",
    "fdatasync",
    "fsync",
    "hard_link",
    "linkat",
    "renameat",
    "renameat2",
    "renameat_with",
    "sync_all",
    "sync_data",
    "syncfs",
];

/// Forbidden as functions of `std::fs`; as words of our own they are harmless.
const OF_FS: &[&str] = &[
    "copy",
    "create_dir",
    "create_dir_all",
    "remove_dir",
    "remove_dir_all",
    "remove_file",
    "rename",
    "write",
];

const REMEDY: &str = "go through the `FileSystem` seam of qstore-storage; only it decides what is \
                      durable";

/// Library code outside qstore-storage names nothing that creates, links, renames, removes or
/// syncs a file. Tests, examples, benches and xtask may.
pub(super) fn only_storage_touches_the_disk(source: &Source) -> Vec<Finding> {
    if source.role != Role::Library || source.path.starts_with(STORAGE) {
        return vec![];
    }
    let mut findings = Vec::new();
    for (number, line) in source.library_lines() {
        let mut found: Vec<String> = ALWAYS
            .iter()
            .filter(|name| mentions(&line.code, name))
            .map(|name| (*name).to_owned())
            .collect();
        found.extend(
            OF_FS
                .iter()
                .map(|name| format!("fs::{name}"))
                .filter(|path| mentions(&line.code, path)),
        );
        found.extend(imported(source, number).into_iter().map(|name| format!("fs::{name}")));
        findings.extend(found.iter().map(|name| {
            Finding::new(&source.path, number, format!("`{name}` in a library"), REMEDY)
        }));
    }
    findings
}

/// The functions of `fs` that a `use std::fs::{…}` beginning on this line brings into scope.
fn imported(source: &Source, number: usize) -> Vec<&'static str> {
    let first = &source.lines[number - 1].code;
    if !mentions(first, "use") || !first.contains("fs::{") {
        return vec![];
    }
    let mut list = String::new();
    for line in &source.lines[number - 1..] {
        list.push_str(&line.code);
        if line.code.contains(';') {
            break;
        }
    }
    let words = list.split(|character| !is_word(character));
    let words: Vec<_> = words.skip_while(|word| *word != "fs").collect();
    OF_FS.iter().copied().filter(|name| words.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        only_storage_touches_the_disk(&Source::new(path, text)).len()
    }

    #[test]
    fn passes() {
        let line = "std::fs::rename(a, b)?;\n";
        assert_eq!(findings("crates/qstore-storage/src/local.rs", line), 0);
        assert_eq!(findings("crates/qstore-zarr/tests/crash.rs", line), 0);
        assert_eq!(findings("crates/qstore-zarr/examples/retention.rs", line), 0);
        let seam = "// fs::rename would not be durable\nstorage.rename(a, b)?;\nout.write(c)?;\n";
        assert_eq!(findings("crates/qstore-zarr/src/commit.rs", seam), 0);
        let test = "#[cfg(test)]\nmod tests {\n  fn a() { File::create(p); }\n}\n";
        assert_eq!(findings("crates/qstore-zarr/src/commit.rs", test), 0);
        assert_eq!(findings("crates/qstore-zarr/src/read.rs", "use std::fs::{self, File};\n"), 0);
    }

    #[test]
    fn fails() {
        for text in [
            "std::fs::rename(a, b)?;\n",
            "file.sync_all()?;\n",
            "use std::fs::OpenOptions;\n",
            "let file = File::create(path)?;\n",
            "use std::fs::{\n    File,\n    rename,\n};\n",
        ] {
            assert_eq!(findings("crates/qstore-zarr/src/commit.rs", text), 1, "{text}");
        }
    }
}
