//! Rule: where untrusted bytes are read, memory is asked for in a way that can be refused.
//!
//! Why: a length in a file costs its writer nothing. `vec![0; len]` of a length that the machine does not
//! have ends the process, and a file of 4 KiB can claim terabytes. `try_reserve` returns an error instead.
//! What is bounded by something else says so.

use super::finding::Finding;
use super::source::{Source, mentions};

/// The folders and files that read what others may have written.
const ROOMS: &[&str] = &[
    "crates/qstore-checkpoint/src/local/",
    "crates/qstore-checkpoint/src/repository.rs",
    "crates/qstore-checkpoint/src/seal.rs",
    "crates/qstore-parquet/src/format/audit.rs",
    "crates/qstore-parquet/src/format/checksums.rs",
    "crates/qstore-parquet/src/format/chunk.rs",
    "crates/qstore-parquet/src/format/decompress.rs",
    "crates/qstore-parquet/src/format/delta_texts.rs",
    "crates/qstore-parquet/src/format/leaves.rs",
    "crates/qstore-parquet/src/format/page_header.rs",
    "crates/qstore-parquet/src/format/pages.rs",
    "crates/qstore-parquet/src/format/published.rs",
    "crates/qstore-parquet/src/format/read_at.rs",
    "crates/qstore-parquet/src/format/stored.rs",
    "crates/qstore-parquet/src/format/thrift.rs",
    "crates/qstore-parquet/src/publish/open.rs",
    "crates/qstore-parquet/src/publish/recovery.rs",
    "crates/qstore-parquet/src/read/follow.rs",
    "crates/qstore-parquet/src/read/reader.rs",
    "crates/qstore-parquet/src/read/history.rs",
    "crates/qstore-parquet/src/read/validate.rs",
    "crates/qstore-storage/src/local.rs",
    "crates/qstore-storage/src/tree.rs",
    "crates/qstore-storage/src/whole.rs",
    "crates/qstore-zarr/src/catalog/",
    "crates/qstore-zarr/src/container/",
    "crates/qstore-zarr/src/exchange/",
    "crates/qstore-zarr/src/format/",
    "crates/qstore-zarr/src/load/",
];

/// Calls that take a length and end the process when there is no memory for it.
const CALLS: &[&str] = &[
    "with_capacity(",
    ".resize(",
    ".resize_with(",
    ".reserve(",
    ".reserve_exact(",
    "zeroed(",
    ".repeat(",
    "read_to_end(",
    "fs::read(",
];

const REMEDY: &str = "use `try_reserve`, `Aligned::try_zeroed` or `read_up_to`; or say what bounds it in \
                      a `// bounded:` comment";

/// A call that allocates what it is given has a comment `// bounded: …` on its line or directly above.
pub(super) fn can_be_refused(source: &Source) -> Vec<Finding> {
    if !ROOMS.iter().any(|room| source.path.starts_with(room)) {
        return Vec::new();
    }
    source
        .library_lines()
        .filter_map(|(number, line)| Some((number, call_in(&line.code)?)))
        .filter(|(number, _)| !is_explained(source, *number))
        .map(|(number, call)| {
            Finding::new(&source.path, number, format!("`{call}` of a length"), REMEDY)
        })
        .collect()
}

fn call_in(code: &str) -> Option<&'static str> {
    let call = CALLS.iter().find(|call| {
        // `try_zeroed(` is the remedy. A definition is not a call.
        mentions(code, call) && !code.contains(&format!("fn {call}"))
    });
    call.copied().or_else(|| repeats(code).then_some("vec![_; n]"))
}

/// Whether the code has a `vec![value; length]` whose length is neither a number nor a constant.
fn repeats(code: &str) -> bool {
    code.split("vec![").skip(1).any(|rest| {
        let inside = rest.split(']').next().unwrap_or_default();
        let length = inside.rsplit_once(';').map(|(_, length)| length.trim());
        let is_fixed = |first: char| first.is_ascii_digit() || first.is_ascii_uppercase();
        length.is_some_and(|length| !length.starts_with(is_fixed))
    })
}

fn is_explained(source: &Source, number: usize) -> bool {
    let explains = |comment: &str| comment.starts_with("// bounded:");
    let above = source.lines[..number - 1].iter().rev();
    let mut comments =
        above.take_while(|line| line.code.trim().is_empty() && !line.comment.is_empty());
    explains(&source.lines[number - 1].comment) || comments.any(|line| explains(&line.comment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        can_be_refused(&Source::new(path, text)).len()
    }

    const READER: &str = "crates/qstore-zarr/src/load/fetch.rs";

    #[test]
    fn passes() {
        for text in [
            "let mut bytes = Vec::new();\nbytes.try_reserve_exact(len)?;\n",
            "bytes.resize(len, 0); // bounded: it was reserved\n",
            "// bounded: by the number of names,\n// which were read.\nlet a = Vec::with_capacity(n);\n",
            "let a = vec![0; 16];\nlet b = vec![1, 2];\nlet c = [0; LEN];\nlet d = vec![0; LEN as usize];\n",
            "let a = Aligned::try_zeroed(len)?;\n",
            "// vec![0; len]\nlet a = \"vec![0; len]\";\n",
            "#[cfg(test)]\nmod tests {\n  let a = vec![0; len];\n}\n",
            "pub(crate) fn zeroed(len: usize) -> Self {\n",
        ] {
            assert_eq!(findings(READER, text), 0, "{text}");
        }
        assert_eq!(findings("crates/qstore-zarr/src/save/plan.rs", "let a = vec![0; len];\n"), 0);
        assert_eq!(findings("crates/qstore-zarr/src/load/tests.rs", "let a = vec![0; len];\n"), 0);
    }

    #[test]
    fn fails() {
        for text in [
            "let mut bytes = vec![0; len];\n",
            "let mut bytes = vec![0_u8; header.len() as usize];\n",
            "let a = Vec::with_capacity(count);\n",
            "let a = HashMap::with_capacity(count);\n",
            "buffer.resize(len, 0);\n",
            "let a = Aligned::zeroed(len);\n",
            "file.read_to_end(&mut bytes)?;\n",
            "// Something else.\nlet a = vec![0; len];\n",
        ] {
            assert_eq!(findings(READER, text), 1, "{text}");
        }
    }
}
