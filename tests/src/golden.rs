//! Golden files: small files of each version of the format, valid and damaged, with a list of what they must
//! contain. Every later version must read them, or refuse them with the error in the list.
//!
//! `tests/golden/vN` was created once, by `cargo run -p qstore-tests --example golden -- tests/golden/vN` of
//! the first release with version N, and is never created again. The list, `expected.json`, records what was put into each file, not what some
//! reader made of it.

mod checkpoints;
mod metrics;
mod plain_state;

pub use checkpoints::{check_checkpoint, make_checkpoints};
pub use metrics::{check_metrics, make_metrics};

use serde_json::Value;
use std::path::Path;

/// The name of the list.
pub const EXPECTED: &str = "expected.json";

/// Checks how a file is refused: the kind of the error and a part of its message.
fn check_refusal<E: std::fmt::Debug + std::fmt::Display>(what: &str, error: &E, refusal: &Value) {
    let (kind, message) = (format!("{error:?}"), error.to_string());
    let kind = kind.split([' ', '(', '{']).next().unwrap_or_default();
    assert_eq!(kind, refusal["error"], "{what}: {message}");
    let says = refusal["says"].as_str().expect("a part of the message");
    assert!(message.contains(says), "{what}: {message}, not {says}");
}

/// The bytes of a golden file, with a change.
fn damaged(whole: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    change(&mut bytes);
    bytes
}

/// Writes a golden file, and creates its directories.
fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    let dir = path.parent().expect("a golden file is in a directory");
    std::fs::create_dir_all(dir).expect("the directory can be created");
    std::fs::write(path, bytes).expect("the file can be written");
}
