//! Laws of merging, and that the fast way finds what the slow one does.

use super::*;
use proptest::prelude::*;

/// A value, often one that is not finite, or equal to another.
pub(crate) fn value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        8 => (-9.0..9.0_f64).prop_map(Some),
        3 => (-2..3_i32).prop_map(|value| Some(f64::from(value))),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        1 => Just(Some(f64::NEG_INFINITY)),
        1 => Just(Some(f64::MAX)),
        1 => Just(None),
    ]
}

fn slow(first: usize, values: &[Option<f64>]) -> Bucket {
    let rows = values.iter().enumerate();
    rows.fold(Bucket::EMPTY, |all, (row, value)| {
        all.merge(&Bucket::of_row((first + row) as f64, *value))
    })
}

/// All that must not depend on the order of merges, with NaN equal to itself.
fn facts(bucket: &Bucket) -> impl PartialEq + std::fmt::Debug + use<> {
    let Bucket { x0, x1, min, max, first, last, argmin, argmax, .. } = *bucket;
    let numbers = [x0, x1, min, max, first, last, argmin, argmax];
    let counts = [bucket.n, bucket.nulls, bucket.nans, bucket.above, bucket.below];
    let bits = numbers.map(|number| if number.is_nan() { u64::MAX } else { number.to_bits() });
    (bits, counts, bucket.is_broken_before, bucket.is_broken_after)
}

fn is_near(one: f64, other: f64) -> bool {
    // Sums of numbers near the largest of all overflow in some orders only.
    one.to_bits() == other.to_bits()
        || !one.is_finite()
        || !other.is_finite()
        || (one - other).abs() <= 1e-9 * one.abs().max(1.0)
}

proptest! {
    #[test]
    fn merges_are_associative_and_nothing_is_neutral(
        values in prop::collection::vec(value(), 0..30),
        cuts: [prop::sample::Index; 2],
    ) {
        let mut cuts = cuts.map(|cut| cut.index(values.len() + 1));
        cuts.sort_unstable();
        let parts = [0..cuts[0], cuts[0]..cuts[1], cuts[1]..values.len()];
        let [a, b, c] = parts.map(|part| slow(part.start, &values[part]));
        let (left, right) = (a.merge(&b).merge(&c), a.merge(&b.merge(&c)));
        prop_assert_eq!(facts(&left), facts(&right));
        prop_assert!(is_near(left.sum, right.sum));
        prop_assert_eq!(facts(&Bucket::EMPTY.merge(&a)), facts(&a));
        prop_assert_eq!(facts(&a.merge(&Bucket::EMPTY)), facts(&a));
    }

    #[test]
    fn the_fast_way_finds_what_the_slow_one_does(
        values in prop_oneof![
            prop::collection::vec(value(), 0..70),
            prop::collection::vec((-9.0..9.0_f64).prop_map(Some), 0..70),
        ],
        has_nulls: bool,
    ) {
        let mut values = values;
        if !has_nulls {
            values.retain(Option::is_some);
        }
        let xs: Vec<_> = (0..values.len()).map(|row| row as f64).collect();
        let present: Vec<_> = values.iter().map(Option::is_some).collect();
        let packed: Vec<_> = values.iter().copied().flatten().collect();
        let found = Bucket::of_rows(&xs, has_nulls.then_some(&present[..]), &packed);
        let expected = slow(0, &values);
        prop_assert_eq!(facts(&found), facts(&expected));
        prop_assert!(is_near(found.sum, expected.sum));
    }
}

#[test]
fn a_gap_at_an_end_breaks_the_line_there_and_one_in_the_middle_does_not() {
    let nan = Some(f64::NAN);
    let check = |values: &[Option<f64>]| {
        let bucket = slow(0, values);
        (bucket.is_broken_before, bucket.is_broken_after)
    };
    assert_eq!(check(&[Some(1.0), nan, Some(2.0)]), (false, false));
    assert_eq!(check(&[nan, Some(1.0)]), (true, false));
    assert_eq!(check(&[Some(1.0), None, nan, None]), (false, true));
    assert_eq!(check(&[None, nan]), (true, true));
    assert_eq!(check(&[None, Some(1.0), None]), (false, false));
}
