//! The law of names, for any values of any ranks.

use super::*;
use crate::columns::rows::Omission;
use proptest::prelude::*;
use qstore_schema::{Field, Row, Timestamp, TimestampUnit, Value};
use std::collections::BTreeMap;

fn rows(announced: &[Field]) -> Rows {
    Rows::new(announced, &[]).of_rank(3)
}

fn push(rows: &mut Rows, row: &Row) -> Vec<Omission> {
    rows.push(row, &mut |_| panic!("nothing is ever widened")).unwrap()
}

/// The columns that these rows make, with their types.
fn columns(rows: &Rows) -> Vec<(String, DataType)> {
    rows.fields().iter().map(|field| (field.name.to_string(), field.data_type)).collect()
}

fn columns_of(values: &[(&'static str, Value)]) -> Vec<(String, DataType)> {
    let mut rows = rows(&[]);
    for (name, value) in values {
        assert!(push(&mut rows, &Row::from([(*name, value.clone())])).is_empty(), "{name}");
    }
    columns(&rows)
}

#[test]
fn a_number_is_a_float_from_its_first_row_and_every_other_kind_has_a_column_of_its_own() {
    let large = (1_i64 << 53) + 1;
    for values in [
        [1.into(), 0.5.into(), large.into(), true.into(), "warmup".into()],
        ["warmup".into(), true.into(), large.into(), 0.5.into(), 1.into()],
    ] {
        let values: Vec<_> = values.map(|value: Value| ("lr", value)).into();
        let mut found = columns_of(&values);
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let expected = [
            ("lr", DataType::Float64),
            ("lr__flag", DataType::Bool),
            ("lr__integer", DataType::Int64),
            ("lr__text", DataType::Utf8),
        ];
        assert_eq!(found, expected.map(|(name, data_type)| (name.to_owned(), data_type)));
    }
    for exact in [1_i64 << 53, -(1_i64 << 53)] {
        assert_eq!(columns_of(&[("n", exact.into())]), [("n".into(), DataType::Float64)]);
    }
    for large in [large, -large, i64::MIN, i64::MAX] {
        assert_eq!(columns_of(&[("n", large.into())]), [("n__integer".into(), DataType::Int64)]);
    }
}

#[test]
fn lists_and_times_have_columns_of_their_own_and_times_one_unit() {
    let time = Timestamp::new(1_700_000_000_123, TimestampUnit::Millis);
    let values = [
        ("x", Value::from(&[0.5, 1.0][..])),
        ("x", time.into()),
        ("x", time.local().into()),
        ("x", 0.5.into()),
    ];
    let micros = |is_utc| DataType::Timestamp { unit: TimestampUnit::Micros, is_utc };
    let expected = [
        ("x__list", DataType::FloatList),
        ("x__time", micros(true)),
        ("x__local_time", micros(false)),
        ("x", DataType::Float64),
    ];
    let expected = expected.map(|(name, data_type)| (name.to_owned(), data_type));
    assert_eq!(columns_of(&values), expected);
    let finer = Timestamp::new(1_700_000_000_123_456_789, TimestampUnit::Nanos);
    let omitted = push(&mut rows(&[]), &Row::from([("x", Value::from(finer))]));
    assert_eq!(omitted.len(), 1, "it is not a whole number of microseconds, and that is reported");
}

#[test]
fn a_name_that_ends_in_a_suffix_has_the_type_that_the_suffix_says() {
    let values = [("x__text", 0.5.into()), ("x", "text".into()), ("x__integer", 0.5.into())];
    let expected = [
        ("x__text__number", DataType::Float64),
        ("x__text", DataType::Utf8),
        ("x__integer__number", DataType::Float64),
    ];
    let expected = expected.map(|(name, data_type)| (name.to_owned(), data_type));
    assert_eq!(columns_of(&values), expected);
}

#[test]
fn an_announced_column_keeps_its_type_and_its_name() {
    let mut rows = rows(&[
        Field::nullable("phase", DataType::Utf8),
        Field::nullable("tokens", DataType::Int64),
        Field::nullable("Loss", DataType::Float64),
    ]);
    let mut row = Row::from([("phase", "warmup")]);
    row.set("tokens", i64::MAX).set("Loss", 1);
    assert!(push(&mut rows, &row).is_empty());
    let mut row = Row::from([("phase", 1)]);
    row.set("tokens", 0.5).set("Loss", i64::MAX);
    assert!(push(&mut rows, &row).is_empty());
    let names: Vec<_> = columns(&rows).into_iter().map(|(name, _)| name).collect();
    let more = ["phase__number", "tokens__number", "Loss__integer"];
    assert_eq!(names, [&["phase", "tokens", "Loss"][..], &more].concat());
}

#[test]
fn names_that_differ_in_case_only_are_refused_with_a_reason() {
    let mut rows = rows(&[Field::nullable("Loss", DataType::Float64)]);
    let mut row = Row::from([("accuracy", 0.5)]);
    row.set("Accuracy", 0.25).set("ACCURACY", "text").set("loss", 1.0).set("ÉTAPE", 1);
    let omitted = push(&mut rows, &row);
    let names: Vec<_> = omitted.iter().map(|omission| omission.column.as_str()).collect();
    assert_eq!(names, ["Accuracy", "loss"]);
    assert!(omitted.iter().all(|omission| omission.why == Why::OtherSpelling));
    // Its texts are a column of their own, which has this spelling.
    assert_eq!(columns(&rows).len(), 4, "{:?}", columns(&rows));
    let omitted = push(&mut rows, &Row::from([("étape", 2)]));
    assert_eq!(omitted[0].why, Why::OtherSpelling);
    // It is refused for every row, and its reason says what to do.
    let again = push(&mut rows, &row);
    assert!(again[0].why.to_string().contains("use one spelling"), "{}", again[0].why);
}

#[test]
fn the_partition_column_is_refused_unless_it_says_the_same() {
    let mut rows = rows(&[]);
    let mut row = Row::from([("rank", 3)]);
    row.set("loss", 1.0);
    assert!(push(&mut rows, &row).is_empty(), "readers show it already");
    for (name, value) in [
        ("rank", Value::from(4)),
        ("Rank", 0.5.into()),
        ("RANK", "three".into()),
        ("rank", true.into()),
    ] {
        let mut row = Row::from([("loss", 1.0)]);
        row.set(name, value);
        assert_eq!(push(&mut rows, &row)[0].why, Why::Partition);
    }
    assert_eq!(columns(&rows), [("loss".into(), DataType::Float64)]);
}

#[test]
fn a_rejected_row_leaves_no_spelling_behind() {
    let declared = [Field::required("step", DataType::Int64)];
    let mut rows = Rows::new(&declared, &declared).of_rank(0);
    // Not a record of these declared columns: the row lacks `step`.
    assert!(rows.push(&Row::from([("Late", 1.0)]), &mut |_| Ok(0)).is_err());
    let mut row = Row::from([("late", 2.0)]);
    row.set("step", 1);
    assert!(push(&mut rows, &row).is_empty());
    assert_eq!(columns(&rows)[1], ("late".into(), DataType::Float64));
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        (-9_i64..9).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ]
}

fn metric() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "A",
        "a__text",
        "a__number",
        "a__integer",
        "a__flag",
        "a__text__number",
        "b",
        "rank",
        "a__integer__integer",
        "A__text",
    ])
}

proptest! {
    /// Whatever each rank logs first, no two of them have a column of one name with two types.
    #[test]
    fn a_column_has_one_type_in_every_rank(
        ranks in prop::collection::vec(prop::collection::vec((metric(), value()), 1..20), 1..5),
    ) {
        let mut types = BTreeMap::new();
        for metrics in ranks {
            let mut rows = rows(&[]);
            for (name, value) in metrics {
                let mut row = Row::from([("step", 1.0)]);
                row.set(name, value);
                push(&mut rows, &row);
            }
            for (name, data_type) in columns(&rows) {
                let known = *types.entry(name.clone()).or_insert(data_type);
                prop_assert_eq!(known, data_type, "{}", name);
            }
        }
    }
}
