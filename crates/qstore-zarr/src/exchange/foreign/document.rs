//! The JSON of Zarr documents, as their writers have it.
//!
//! Python writes the numbers that JSON does not have as bare words: `NaN`, `Infinity` and `-Infinity`. They
//! are floats here. zarrs, which reads the metadata of arrays by itself, gets them as Zarr spells them: as
//! texts.

use qstore_schema::{Key, State};
use serde_json::Value;

const WORDS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// What begins the text that stands for such a word. No text of an attribute begins so.
const MARK: char = '\0';

/// Parses a document; each word becomes a text that [`state_of`] turns into a float.
pub(super) fn parse(bytes: &[u8]) -> serde_json::Result<Value> {
    let parsed = serde_json::from_slice(bytes);
    match parsed.is_err().then(|| rewritten(bytes, |word| format!("\"\\u0000{word}\""))).flatten() {
        Some(text) => serde_json::from_slice(&text),
        None => parsed,
    }
}

/// The document as Zarr has it; unchanged if it has none of the words.
pub(super) fn standard(bytes: Vec<u8>) -> Vec<u8> {
    rewritten(&bytes, |word| format!("\"{word}\"")).unwrap_or(bytes)
}

/// The `.zarray` of an array without dimensions has order C, whatever it says: zarrs relies on a dimension
/// where the order is F.
pub(super) fn with_an_order(document: Vec<u8>) -> Vec<u8> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&document) else { return document };
    let is_scalar = fields.get("shape").and_then(Value::as_array).is_some_and(Vec::is_empty);
    if !is_scalar || fields.get("order").and_then(Value::as_str) != Some("F") {
        return document;
    }
    fields.insert("order".into(), "C".into());
    Value::Object(fields).to_string().into_bytes()
}

/// The text with another text in the place of each word outside of quotes; `None` if there is none.
fn rewritten(bytes: &[u8], place: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            at = end_of_string(bytes, at);
            continue;
        }
        match word_at(bytes, at) {
            Some(word) => {
                text.extend_from_slice(&bytes[copied..at]);
                text.extend_from_slice(place(word).as_bytes());
                at += word.len();
                copied = at;
            }
            None => at += 1,
        }
    }
    (copied > 0).then(|| {
        text.extend_from_slice(&bytes[copied..]);
        text
    })
}

/// The position after the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'\\' => 2,
            b'"' => return at + 1,
            _ => 1,
        };
    }
    bytes.len()
}

/// The word at this position, if it is a whole value there.
fn word_at(bytes: &[u8], at: usize) -> Option<&'static str> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    let before = bytes[..at].last();
    if !before.is_none_or(|byte| is_blank(byte) || b":,[".contains(byte)) {
        return None;
    }
    WORDS.into_iter().find(|word| {
        let after = bytes[at..].strip_prefix(word.as_bytes());
        after.is_some_and(|rest| {
            rest.first().is_none_or(|byte| is_blank(byte) || b",]}".contains(byte))
        })
    })
}

/// A value of an attribute as a state.
pub(super) fn state_of(value: Value) -> State {
    match value {
        Value::Null => State::Null,
        Value::Bool(flag) => State::Bool(flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => State::Int(number),
            None => State::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => match text.strip_prefix(MARK) {
            Some("NaN") => State::Float(f64::NAN),
            Some("Infinity") => State::Float(f64::INFINITY),
            Some("-Infinity") => State::Float(f64::NEG_INFINITY),
            _ => State::Text(text.into()),
        },
        Value::Array(nodes) => State::List(nodes.into_iter().map(state_of).collect()),
        Value::Object(nodes) => {
            let node = |(key, node): (String, Value)| (Key::Name(key.into()), state_of(node));
            State::Dict(nodes.into_iter().map(node).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_words_of_python_are_floats() {
        let text = br#"{"a": NaN, "b": [Infinity,-Infinity , {"c":NaN}], "d": "NaN, [NaN]", "e\\": "\"NaN"}"#;
        let State::Dict(state) = state_of(parse(text).unwrap()) else { panic!("an object") };
        assert!(state.float("a").unwrap().is_nan());
        let list = state.list("b").unwrap();
        assert_eq!(list[..2], [State::Float(f64::INFINITY), State::Float(f64::NEG_INFINITY)]);
        assert!(list[2].as_dict().unwrap().float("c").unwrap().is_nan());
        assert_eq!(state.text("d"), Some("NaN, [NaN]"));
        assert_eq!(state.text("e\\"), Some("\"NaN"));
        let State::Float(alone) = state_of(parse(b" NaN\n").unwrap()) else { panic!("a float") };
        assert!(alone.is_nan());
    }

    #[test]
    fn the_words_become_texts_for_zarr() {
        let standard = |text: &str| String::from_utf8(standard(text.into())).unwrap();
        assert_eq!(
            standard(r#"{"fill_value":NaN,"x":[-Infinity]}"#),
            r#"{"fill_value":"NaN","x":["-Infinity"]}"#
        );
        for unchanged in
            [r#"{"a": "NaN"}"#, r#"{"a": "\\\"NaN"}"#, "{\"a\": NaNa}", "[xNaN]", "", "\"NaN"]
        {
            assert_eq!(standard(unchanged), unchanged);
        }
    }

    #[test]
    fn only_an_array_without_dimensions_gets_another_order() {
        let order = |text: &str| {
            let document: Value = serde_json::from_slice(&with_an_order(text.into())).unwrap();
            document["order"].as_str().map(ToOwned::to_owned)
        };
        assert_eq!(order(r#"{"shape":[],"order":"F"}"#).as_deref(), Some("C"));
        assert_eq!(order(r#"{"shape":[2,3],"order":"F"}"#).as_deref(), Some("F"));
        assert_eq!(order(r#"{"shape":[1],"order":"F"}"#).as_deref(), Some("F"));
        assert_eq!(order(r#"{"shape":[]}"#), None);
        assert_eq!(with_an_order(b"{".to_vec()), b"{");
    }

    #[test]
    fn what_is_not_json_stays_an_error() {
        for text in
            ["{NaN: 1}", "[NaN", "[nan]", "[+Infinity]", "[--Infinity]", "[NaN NaN]", "[NaN,]"]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_document_without_the_words_is_not_changed(texts in prop::collection::vec(".*", 0..6)) {
            let value = json!({ "texts": texts, "words": ["NaN", "a\"NaN\""] });
            prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value.clone());
            prop_assert_eq!(standard(value.to_string().into()), value.to_string().into_bytes());
        }
    }
}
