//! A request and its answer, without a socket.
//!
//! Invariant: a query is a list of names and values and nothing else; no part of a request becomes a path.

use serde::Serialize;

/// What a browser asks for.
///
/// ```
/// use qstore_page::Request;
///
/// let request = Request::get("/api/runs").header("Host", "127.0.0.1:7777");
/// assert_eq!(request.find("host"), Some("127.0.0.1:7777"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// `GET`, and others that are refused.
    pub method: String,
    /// The path with the query, as it was sent.
    pub target: String,
    /// Names as they were sent, and values.
    pub headers: Vec<(String, String)>,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values, without `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for 304.
    pub body: Vec<u8>,
}

impl Request {
    /// A request by any method.
    #[must_use]
    pub fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new() }
    }

    /// The usual request.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// The same with one header more.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The value of a header that was sent exactly once.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        let named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        let mut found = self.headers.iter().filter(named).map(|(_, value)| value.as_str());
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let named = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// The path, which is compared and never opened.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn query(&self) -> Query {
        let text = self.target.split_once('?').map_or("", |(_, query)| query);
        let parts = text.split('&').filter(|part| !part.is_empty());
        Query(
            parts
                .map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        )
    }
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    pub(crate) fn json(document: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::new(200, "application/json", serde_json::to_vec(document)?))
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The names and values behind a question mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.find(name) == Some("1")
    }

    /// A finite number.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.find(name)?.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

/// Percent signs and plus signs as forms have them. What is not UTF-8 is replaced: it names nothing.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digits = (ahead.next().and_then(digit), ahead.next().and_then(digit));
                if let (Some(high), Some(low)) = digits {
                    bytes.push(high << 4 | low);
                    rest = ahead;
                } else {
                    bytes.push(byte);
                }
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_query_is_names_and_values() {
        let request = Request::get("/api/series?y=a%2Fb+c&y=%C3%A9&run=1&flag&x=%zz%4");
        assert_eq!(request.path(), "/api/series");
        let query = request.query();
        assert_eq!(query.all("y").collect::<Vec<_>>(), ["a/b c", "é"]);
        assert_eq!((query.number("run"), query.find("flag")), (Some(1.0), Some("")));
        assert_eq!(query.find("x"), Some("%zz%4"));
        assert_eq!(Request::get("/?from=inf&to=NaN").query().number("from"), None);
    }

    #[test]
    fn a_header_that_was_sent_twice_is_none() {
        let request = Request::get("/").header("Host", "a").header("HOST", "b");
        assert_eq!(request.find("host"), None);
    }

    proptest! {
        #[test]
        fn what_a_page_encodes_is_decoded(name in ".{0,20}", value in ".{0,20}") {
            let encode = |text: &str| {
                text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"))
            };
            let target = format!("/?{}={}", encode(&name), encode(&value));
            let query = Request::get(target).query();
            prop_assert_eq!(query.find(&name), Some(&*value));
        }

        #[test]
        fn any_target_can_be_taken_apart(target in ".{0,60}") {
            let request = Request::get(target);
            let _ = (request.path(), request.query());
        }
    }
}
