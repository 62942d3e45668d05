//! A threshold of `--fail-if`: `val_loss:min>0.3`.

use crate::metric::Metric;
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Threshold {
    pub(super) metric: Metric,
    relation: Relation,
    bound: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Above,
    NotBelow,
    Below,
    NotAbove,
}

impl Relation {
    /// The longer ones first.
    const ALL: [(Self, &'static str); 4] =
        [(Self::NotBelow, ">="), (Self::NotAbove, "<="), (Self::Above, ">"), (Self::Below, "<")];
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write METRIC:FOLD, one of > >= < <=, and a number: val_loss:min>0.3".to_owned();
        let at = text.rfind(['<', '>']).ok_or_else(wrong)?;
        let (metric, rest) = text.split_at(at);
        let starts = |(_, sign): &&(Relation, &str)| rest.starts_with(sign);
        let (relation, sign) = *Relation::ALL.iter().find(starts).ok_or_else(wrong)?;
        let bound = rest[sign.len()..].trim().parse().map_err(|_| wrong())?;
        Ok(Self { metric: metric.trim().parse()?, relation, bound })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = Relation::ALL.iter().find(|(known, _)| *known == self.relation);
        write!(f, "{}{}{}", self.metric, sign.map_or("", |(_, sign)| sign), self.bound)
    }
}

impl Threshold {
    /// Whether a value is beyond it. NaN is beyond every threshold: it is never what was hoped for.
    pub(super) fn is_crossed(&self, value: f64) -> bool {
        value.is_nan()
            || match self.relation {
                Relation::Above => value > self.bound,
                Relation::NotBelow => value >= self.bound,
                Relation::Below => value < self.bound,
                Relation::NotAbove => value <= self.bound,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_metric_a_relation_and_a_number() {
        let check = |text: &str, crossed: &[f64], fine: &[f64]| {
            let threshold: Threshold = text.parse().unwrap();
            assert!(crossed.iter().all(|value| threshold.is_crossed(*value)), "{text}");
            assert!(!fine.iter().any(|value| threshold.is_crossed(*value)), "{text}");
            assert_eq!(threshold.to_string().parse::<Threshold>().unwrap(), threshold);
        };
        check("val_loss:min>0.3", &[0.31, f64::NAN], &[0.3, 0.1]);
        check("val_loss:min >= 0.3", &[0.3, f64::INFINITY], &[0.29]);
        check("accuracy:max<0.9", &[0.89, f64::NAN], &[0.9]);
        check("a:b:last<=-1e3", &[-1000.0], &[-999.0]);
        for wrong in ["", "loss", "loss>", "loss>x", ">0.3", "loss=0.3"] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
    }
}
