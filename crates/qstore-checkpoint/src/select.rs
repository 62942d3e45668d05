//! Selects tensors of a checkpoint by their [paths](crate::path).

use std::fmt;

/// Which tensors to load.
///
/// ```
/// use qstore_checkpoint::Select;
///
/// assert!(Select::Group("model/block".into()).matches("model/block/0/w"));
/// assert!(Select::Glob("model/h.*.attn.*".into()).matches("model/h.11.attn.weight"));
/// assert!(!Select::Glob("model/*".into()).matches("model/block/w")); // `*` stops at a slash
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Select {
    /// All tensors.
    All,
    /// The tensor with this path.
    Name(String),
    /// The tensors in this group, at any depth: `model/block`, `optimizer`.
    Group(String),
    /// The tensors whose path matches: `*` is any number of characters except `/`, `**` any number of any
    /// characters, `?` one character except `/`. `model/h.*.attn.*` selects the attention weights of
    /// every layer.
    Glob(String),
}

impl Select {
    /// Whether the tensor with this path is selected.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(name) => name == path,
            Self::Group(group) => {
                let rest = path.strip_prefix(group.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.starts_with('/'))
            }
            Self::Glob(glob) => is_match(glob.as_bytes(), path.as_bytes()),
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all tensors"),
            Self::Name(name) => write!(f, "tensor `{name}`"),
            Self::Group(group) => write!(f, "group `{group}`"),
            Self::Glob(glob) => write!(f, "pattern `{glob}`"),
        }
    }
}

/// Whether a path matches a pattern. Two backtracking points, one for each kind of star, are enough:
/// whatever an earlier star of the same kind could match, the later one can match as well.
fn is_match(glob: &[u8], path: &[u8]) -> bool {
    /// Where the pattern continues after a star, and how far into the path the star reaches so far.
    type Star = Option<(usize, usize)>;
    let (mut at, mut read) = (0, 0);
    let (mut star, mut deep): (Star, Star) = (None, None);
    loop {
        if glob[at..].starts_with(b"**") {
            at += 2;
            (deep, star) = (Some((at, read)), None);
            continue;
        }
        match (glob.get(at), path.get(read)) {
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, read));
                continue;
            }
            (None, None) => return true,
            (Some(b'?'), Some(byte)) if *byte != b'/' => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            (Some(wanted), Some(byte)) if wanted == byte => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            _ => {}
        }
        match (star, deep) {
            (Some((after, taken)), _) if path.get(taken).is_some_and(|byte| *byte != b'/') => {
                (at, read) = (after, taken + 1);
                star = Some((after, taken + 1));
            }
            (_, Some((after, taken))) if taken < path.len() => {
                (at, read) = (after, taken + 1);
                (star, deep) = (None, Some((after, taken + 1)));
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::contextualize_config;

    #[test]
    fn patterns_match_as_documented() {
        let check = |glob: &str, path: &str, expected: bool| {
            assert_eq!(Select::Glob(glob.into()).matches(path), expected, "{glob} {path}");
        };
        check("model/w", "model/w", true);
        check("model/*", "model/w", true);
        check("model/*", "model/block/w", false);
        check("model/**", "model/block/w", true);
        check("**", "model/block/w", true);
        check("**/w", "model/block/w", true);
        check("**/w", "model/block/ww", false);
        check("model/h.*.attn.*", "model/h.11.attn.weight", true);
        check("model/h.?.attn.*", "model/h.11.attn.weight", false);
        check("model/?", "model//", false);
        check("*/**/exp_*", "optimizer/state/0/exp_avg", true);
        check("", "", true);
        check("*", "", true);
        check("a", "", false);
        let group = |group: &str, path: &str| Select::Group(group.into()).matches(path);
        assert!(group("model", "model/w") && group("model/", "model/a/w"));
        assert!(!group("model", "model2/w") && !group("model/w", "model/w"));
    }

    /// The same, by exhaustive search.
    fn model(glob: &[u8], path: &[u8]) -> bool {
        match (glob, path) {
            ([], []) => true,
            ([b'*', b'*', rest @ ..], _) => {
                (0..=path.len()).any(|taken| model(rest, &path[taken..]))
            }
            ([b'*', rest @ ..], _) => {
                let most = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
                (0..=most).any(|taken| model(rest, &path[taken..]))
            }
            ([b'?', glob @ ..], [byte, path @ ..]) => *byte != b'/' && model(glob, path),
            ([wanted, glob @ ..], [byte, path @ ..]) => wanted == byte && model(glob, path),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(contextualize_config(ProptestConfig::with_cases(2_000)))]
        #[test]
        fn patterns_match_like_an_exhaustive_search(
            glob in "[ab/*?]{0,8}", path in "[ab/]{0,10}",
        ) {
            let found = Select::Glob(glob.clone()).matches(&path);
            prop_assert_eq!(found, model(glob.as_bytes(), path.as_bytes()));
        }
    }
}
