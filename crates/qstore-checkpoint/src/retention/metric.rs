//! The metric that a rule names: where it is in the metadata, and what is found there.
//!
//! Any number counts, at any depth and however many there are. An integer is compared exactly, also with a
//! float; one beyond 64 bits is ranked as the nearest float. What is not a number has a [`Cause`], which is reported at the save and by a plan.

use super::similar::similar;
use qstore_schema::{State, StateDict};
use std::cmp::Ordering;
use std::fmt;

/// What a checkpoint's metadata hold where a rule looks for its metric.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// An integer.
    Int(i64),
    /// A float. Infinities are ranked like any other number, NaN is not.
    Float(f64),
    /// Nothing that can be ranked.
    Unknown(Cause),
}

/// Why a metric cannot be ranked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The metadata have nothing with this name.
    Missing {
        /// The most similar names of numbers in the metadata, the most similar first; at most three.
        similar: Vec<String>,
    },
    /// It is NaN.
    Nan,
    /// It is not a number.
    NotANumber {
        /// What it is: `null`, `a flag`, `a complex value`, `a text`, `a list`, `a tuple` or `a dict`.
        found: &'static str,
    },
    /// The metadata could not be read, so the checkpoint may be the best one. It is kept.
    Unread {
        /// Why.
        reason: String,
    },
}

/// A checkpoint that the rule for the best could not rank, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Unranked {
    /// The metric that the rule names.
    pub metric: String,
    /// What was found instead of a number.
    pub cause: Cause,
}

impl From<f64> for Metric {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for Metric {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl Metric {
    /// A metric that is missing from metadata without similar names.
    pub(super) const MISSING: Self = Self::Unknown(Cause::Missing { similar: Vec::new() });

    /// Why it cannot be ranked, if it cannot.
    #[must_use]
    pub fn unranked(&self, metric: &str) -> Option<Unranked> {
        let cause = match self {
            Self::Float(value) if value.is_nan() => Cause::Nan,
            Self::Int(_) | Self::Float(_) => return None,
            Self::Unknown(cause) => cause.clone(),
        };
        Some(Unranked { metric: metric.into(), cause })
    }

    /// Compares two numbers exactly. What is not a number is equal to everything; it is never ranked.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => one.cmp(other),
            (Self::Float(one), Self::Float(other)) => {
                one.partial_cmp(other).unwrap_or(Ordering::Equal)
            }
            (Self::Int(one), Self::Float(other)) => compare(*one, *other),
            (Self::Float(one), Self::Int(other)) => compare(*other, *one).reverse(),
            (Self::Unknown(_), _) | (_, Self::Unknown(_)) => Ordering::Equal,
        }
    }
}

impl Unranked {
    /// Whether the checkpoint may be the best for all that is known.
    #[must_use]
    pub fn may_be_best(&self) -> bool {
        matches!(self.cause, Cause::Unread { .. })
    }
}

/// Compares an integer with a float that is not NaN.
fn compare(integer: i64, float: f64) -> Ordering {
    // Rounding keeps the order, except that neighbors may become equal. Then the float is an integer, and
    // an i128 holds both.
    let rounded = (integer as f64).partial_cmp(&float).unwrap_or(Ordering::Equal);
    rounded.then_with(|| i128::from(integer).cmp(&(float as i128)))
}

/// Looks up a metric in the metadata, by its key or by its path.
///
/// A path has the keys of the dicts that lead to the number, joined with `/`; an element of a list has its
/// position, counted from 0. A key may contain `/` itself: at each level the longest key that fits wins, so
/// a key that is the whole name comes first.
///
/// ```
/// use qstore_checkpoint::retention::{Cause, Metric, metric_of};
/// use qstore_schema::StateDict;
///
/// let val = StateDict::from([("loss", 0.25)]);
/// let mut metadata = StateDict::from([("val", val)]);
/// metadata.insert("train/loss", 0.5);
/// metadata.insert("note", "the first run");
/// assert_eq!(metric_of(&metadata, "val/loss"), Metric::Float(0.25));
/// assert_eq!(metric_of(&metadata, "train/loss"), Metric::Float(0.5));
/// let text = Cause::NotANumber { found: "a text" };
/// assert_eq!(metric_of(&metadata, "note"), Metric::Unknown(text));
/// let similar = vec!["val/loss".to_owned()];
/// assert_eq!(metric_of(&metadata, "val_loss"), Metric::Unknown(Cause::Missing { similar }));
/// ```
#[must_use]
pub fn metric_of(metadata: &StateDict, name: &str) -> Metric {
    let found = match find(metadata, name) {
        None => return Metric::Unknown(Cause::Missing { similar: similar(metadata, name) }),
        Some(State::Int(value)) => return Metric::Int(*value),
        Some(State::BigInt(value)) => return Metric::Float(value.to_f64()),
        Some(State::Float(value)) => return Metric::Float(*value),
        Some(State::Null) => "null",
        Some(State::Bool(_)) => "a flag",
        Some(State::Complex(_)) => "a complex value",
        Some(State::Text(_)) => "a text",
        Some(State::List(_)) => "a list",
        Some(State::Tuple(_)) => "a tuple",
        Some(State::Dict(_)) => "a dict",
        Some(_) => "something else",
    };
    Metric::Unknown(Cause::NotANumber { found })
}

/// The numbers at the top level of the metadata, in their order.
pub fn metrics_of(metadata: &StateDict) -> impl Iterator<Item = (String, Metric)> {
    metadata.iter().filter_map(|(key, node)| match node {
        State::Int(value) => Some((key.to_string(), Metric::Int(*value))),
        State::BigInt(value) => Some((key.to_string(), Metric::Float(value.to_f64()))),
        State::Float(value) => Some((key.to_string(), Metric::Float(*value))),
        _ => None,
    })
}

fn find<'s>(dict: &'s StateDict, path: &str) -> Option<&'s State> {
    child(dict, path).or_else(|| {
        let mut splits = path.rmatch_indices('/');
        splits.find_map(|(at, _)| below(child(dict, &path[..at])?, &path[at + 1..]))
    })
}

fn child<'s>(dict: &'s StateDict, key: &str) -> Option<&'s State> {
    dict.get(key).or_else(|| dict.get(canonical::<i64>(key)?))
}

fn below<'s>(node: &'s State, path: &str) -> Option<&'s State> {
    match node {
        State::Dict(dict) => find(dict, path),
        State::List(nodes) | State::Tuple(nodes) => match path.split_once('/') {
            None => nodes.get(canonical::<usize>(path)?),
            Some((at, rest)) => below(nodes.get(canonical::<usize>(at)?)?, rest),
        },
        _ => None,
    }
}

/// A number written the one way that it is printed: neither `+1` nor `01`.
fn canonical<N: std::str::FromStr + ToString>(text: &str) -> Option<N> {
    text.parse().ok().filter(|number: &N| number.to_string() == text)
}

impl fmt::Display for Unranked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, cause } = self;
        match cause {
            Cause::Missing { similar } if similar.is_empty() => {
                write!(f, "its metadata have no number `{metric}`")
            }
            Cause::Missing { similar } => {
                let similar = similar.join("` or `");
                write!(f, "its metadata have no number `{metric}`; did you mean `{similar}`?")
            }
            Cause::Nan => write!(f, "its `{metric}` is NaN"),
            Cause::NotANumber { found } => {
                write!(f, "its `{metric}` is {found}, which is not a number")
            }
            Cause::Unread { reason } => write!(f, "its `{metric}` could not be read ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metadata() -> StateDict {
        let mut inner = StateDict::from([("loss", State::from(0.1)), ("deep", 7_i64.into())]);
        inner.insert("b/c", 0.3);
        let by_index = StateDict::from([(0_i64, 0.5), (-1, 0.6)]);
        let mut metadata = StateDict::from([("val", State::from(inner))]);
        metadata.insert("val/loss/ema", 0.2);
        metadata.insert("fold", by_index);
        metadata.insert("curve", vec![State::from(0.9), State::from(vec![State::from(0.8)])]);
        metadata.insert("pair", State::Tuple(vec![State::Null, 0.7.into()]));
        metadata.insert("shots", State::integer(1 << 70));
        metadata.insert("x", StateDict::from([("y/z", 1_i64)]));
        metadata.insert("x/y", StateDict::from([("z", 2_i64), ("w", 3)]));
        metadata
    }

    #[test]
    fn a_number_at_any_depth_is_found_by_its_path() {
        let check = |name: &str, expected: f64| {
            let Metric::Float(found) = metric_of(&metadata(), name) else { panic!("{name}") };
            assert_eq!(found.to_bits(), expected.to_bits(), "{name}");
        };
        check("val/loss", 0.1);
        check("val/b/c", 0.3); // a key with a slash, below a dict
        check("val/loss/ema", 0.2); // a key with slashes, whose first two parts are a path as well
        check("fold/0", 0.5);
        check("fold/-1", 0.6);
        check("curve/0", 0.9);
        check("curve/1/0", 0.8);
        check("pair/1", 0.7);
        check("shots", 2_f64.powi(70));
        assert_eq!(metric_of(&metadata(), "val/deep"), Metric::Int(7));
        assert_eq!(metric_of(&metadata(), "x/y/z"), Metric::Int(2), "the longest key wins");
        assert_eq!(metric_of(&metadata(), "x/y/w"), Metric::Int(3));
    }

    #[test]
    fn names_that_lead_nowhere_are_missing() {
        for name in [
            "",
            "/",
            "val/",
            "/val",
            "val//loss",
            "val.loss",
            "Val/loss",
            "loss",
            "fold/00",
            "fold/+0",
            "curve/2",
            "curve/-1",
            "curve/0/0",
            "curve/",
            "val/loss/0",
            "x/z",
        ] {
            let found = metric_of(&metadata(), name);
            assert!(matches!(found, Metric::Unknown(Cause::Missing { .. })), "{name}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_named() {
        let nodes = [
            ("null", State::Null),
            ("a flag", true.into()),
            ("a complex value", State::Complex([0.5, 0.0])),
            ("a text", "0.5".into()),
            ("a tuple", State::Tuple(vec![0.5.into()])),
            ("a list", State::List(vec![0.5.into()])),
            ("a dict", StateDict::from([("loss", 0.5)]).into()),
        ];
        for (found, node) in nodes {
            let metric = metric_of(&StateDict::from([("loss", node)]), "loss");
            assert_eq!(metric, Metric::Unknown(Cause::NotANumber { found }));
            let said = metric.unranked("loss").unwrap().to_string();
            assert_eq!(said, format!("its `loss` is {found}, which is not a number"));
        }
        let nan = metric_of(&StateDict::from([("loss", f64::NAN)]), "loss");
        assert_eq!(nan.unranked("loss").unwrap().to_string(), "its `loss` is NaN");
        assert_eq!(
            metric_of(&StateDict::from([("loss", f64::INFINITY)]), "loss").unranked(""),
            None
        );
    }

    fn number() -> impl Strategy<Value = Metric> {
        let edges = [1_i64 << 53, i64::MAX, i64::MIN, 0, 1 << 62];
        let near = (prop::sample::select(edges.to_vec()), -3_i64..=3)
            .prop_map(|(edge, step)| edge.saturating_add(step));
        let float = prop_oneof![
            any::<f64>().prop_filter("a number", |value| !value.is_nan()),
            near.clone().prop_map(|near| near as f64),
            Just(-0.0),
            Just(f64::INFINITY),
        ];
        prop_oneof![
            any::<i64>().prop_map(Metric::Int),
            near.prop_map(Metric::Int),
            float.prop_map(Metric::Float)
        ]
    }

    /// The whole part and the rest, which are both exact. (With `floor` the rest of a tiny negative number is rounded
    /// to 1.)
    fn exact(metric: &Metric) -> (i128, f64) {
        match metric {
            Metric::Int(value) => (i128::from(*value), 0.0),
            Metric::Float(value) => (value.trunc() as i128, value.fract()),
            Metric::Unknown(_) => unreachable!("only numbers are generated"),
        }
    }

    proptest! {
        #[test]
        fn numbers_are_compared_exactly(one in number(), other in number()) {
            let within = |metric: &Metric| !matches!(metric, Metric::Float(value) if value.abs() > 1e30);
            prop_assume!(within(&one) && within(&other));
            let expected = exact(&one).partial_cmp(&exact(&other)).unwrap();
            prop_assert_eq!(one.compare(&other), expected);
            prop_assert_eq!(other.compare(&one), expected.reverse());
        }
    }
}
