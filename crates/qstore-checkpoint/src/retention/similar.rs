//! Names that a misspelt metric may have meant.

use qstore_schema::{State, StateDict};

/// How many names are suggested.
const SHOWN: usize = 3;

/// The names of the numbers in the metadata that are most similar to `wanted`, the most similar first.
pub(super) fn similar(metadata: &StateDict, wanted: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, node) in metadata.iter() {
        numbers(node, key.to_string(), &mut paths);
    }
    let wanted = (plain(wanted), plain(last_of(wanted)));
    let score = |path: String| Some((distance_of(&wanted, &path)?, path));
    let mut found: Vec<_> = paths.into_iter().filter_map(score).collect();
    found.sort();
    found.into_iter().take(SHOWN).map(|(_, path)| path).collect()
}

/// The paths of all numbers at and below a node.
fn numbers(node: &State, path: String, paths: &mut Vec<String>) {
    match node {
        State::Int(_) | State::BigInt(_) | State::Float(_) => paths.push(path),
        State::List(nodes) | State::Tuple(nodes) => {
            for (at, node) in nodes.iter().enumerate() {
                numbers(node, format!("{path}/{at}"), paths);
            }
        }
        State::Dict(dict) => {
            for (key, node) in dict.iter() {
                numbers(node, format!("{path}/{key}"), paths);
            }
        }
        _ => {}
    }
}

/// How different a path is from the wanted one; `None` if it is too different to be meant.
fn distance_of((whole, last): &(Vec<char>, Vec<char>), path: &str) -> Option<usize> {
    let (own, own_last) = (plain(path), plain(last_of(path)));
    // `val_loss` continues the last part of `train/loss`, but does not mean it.
    let is_other = |one: &[char], last: &[char]| one.len() > last.len() && is_affix(one, last);
    let by_last = |one: &[char], cost: usize| {
        if is_other(one, &own_last) { None } else { Some(edits(one, &own_last)? + cost) }
    };
    [edits(whole, &own), by_last(whole, 1), by_last(last, 2)].into_iter().flatten().min()
}

/// Lowercase letters and digits: `val_loss`, `val/loss` and `Val-Loss` are the same to a reader.
fn plain(name: &str) -> Vec<char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn last_of(path: &str) -> &str {
    path.rsplit(['/', '.']).next().unwrap_or(path)
}

/// Whether one name begins or ends with the other one.
fn is_affix(one: &[char], other: &[char]) -> bool {
    const SHORTEST: usize = 3;
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    short.len() >= SHORTEST && (long.starts_with(short) || long.ends_with(short))
}

/// The number of characters to insert, remove, replace or swap with their neighbor; `None` if it is more
/// than a slip. A name that continues the other one is a slip however long it is: `acc`, `accuracy`.
fn edits(one: &[char], other: &[char]) -> Option<usize> {
    // Names as long as a text are not typed by hand.
    const LONGEST: usize = 100;
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if long.len() > LONGEST || short.is_empty() {
        return None;
    }
    if is_affix(one, other) {
        return Some(usize::from(long.len() > short.len()));
    }
    let allowed = long.len() / 3;
    if long.len() - short.len() > allowed {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=long.len()).collect();
    for (row, a) in short.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, b) in long.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            let is_swap = row > 0 && column > 0 && short[row - 1] == *b && long[column - 1] == *a;
            if is_swap {
                best = best.min(before[column - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().filter(|edits| *edits <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_name_is_not() {
        let mut metadata = StateDict::from([("val_accuracy", 0.9), ("train_loss", 0.1)]);
        metadata.insert("metrics", StateDict::from([("val_loss", 0.2), ("top5", 0.3)]));
        metadata.insert("note", "val_los");
        let check = |wanted: &str, expected: &[&str]| {
            assert_eq!(similar(&metadata, wanted), expected, "{wanted}");
        };
        check("val_acc", &["val_accuracy"]);
        check("val_acuracy", &["val_accuracy"]);
        check("val_accuarcy", &["val_accuracy"]);
        check("Val/Accuracy", &["val_accuracy"]);
        check("val_loss", &["metrics/val_loss"]);
        check("metrics.val_loss", &["metrics/val_loss"]);
        check("metric/val_loss", &["metrics/val_loss"]);
        check("eval/metrics/val_loss", &["metrics/val_loss"]);
        check("loss", &["metrics/val_loss", "train_loss"]);
        check("perplexity", &[]);
        check("", &[]);
        check("/", &[]);
    }

    #[test]
    fn few_of_many_are_suggested() {
        let metadata: StateDict = (0..1_000).map(|n| (format!("loss_{n:03}"), 0.5)).collect();
        assert_eq!(similar(&metadata, "loss_1234").len(), SHOWN);
        let long = StateDict::from([("x".repeat(100_000), 0.5)]);
        assert!(similar(&long, &"x".repeat(99_999)).is_empty());
    }
}
