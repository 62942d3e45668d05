//! Keeps credentials out of messages. A client puts the URL of a request into its errors, and the URL can
//! have a signature; a server may repeat a header.

/// Words before a value that nobody may see. They are compared without regard to case.
const BEFORE: &[&str] = &[
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
    "awsaccesskeyid",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "secret_key",
    "access_key",
    "account_key",
    "authorization",
    "credential",
    "signature",
    "password",
    "token",
    "secret",
    "sig",
];

const HIDDEN: &str = "***";

/// The text without the values of parameters, headers and settings that are credentials, and without names
/// and passwords in URLs.
///
/// ```
/// use qstore_objects::without_secrets;
///
/// let error = "GET https://me:pw@host/b/k?X-Amz-Signature=af12&partNumber=1: connection reset";
/// assert_eq!(
///     without_secrets(error),
///     "GET https://***@host/b/k?X-Amz-Signature=***&partNumber=1: connection reset"
/// );
/// ```
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some((at, len)) = next_value(rest) {
        clean.push_str(&rest[..at]);
        clean.push_str(HIDDEN);
        rest = &rest[at + len..];
    }
    clean.push_str(rest);
    without_users(&clean)
}

/// Where the first value that is a credential begins, and its length.
fn next_value(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut first: Option<(usize, usize)> = None;
    for word in BEFORE {
        let mut from = 0;
        while let Some(found) = lower[from..].find(word).map(|found| from + found) {
            from = found + word.len();
            let before = lower[..found].chars().next_back();
            let is_word = before.is_none_or(|c| !c.is_alphanumeric());
            let Some(value) = is_word.then(|| value_at(text, from)).flatten() else { continue };
            if first.is_none_or(|(at, _)| value.0 < at) {
                first = Some(value);
            }
            break;
        }
    }
    first
}

/// The value after `=`, `:` and quotes, if there is one at `from`.
fn value_at(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let after = rest.trim_start_matches(['"', '\'', ' ']);
    let value = after.strip_prefix('=').or_else(|| after.strip_prefix(':'))?;
    let value = value.trim_start_matches(['"', '\'', ' ']);
    // A header has spaces and commas inside; it ends where the line does.
    let is_header = after.starts_with(':') && !rest.starts_with(['"', '\'']);
    let ends: &[char] = if is_header {
        &['\n', '\r', '"']
    } else {
        &['&', ' ', '"', '\'', ')', ',', ';', '\n', '<']
    };
    let len = value.find(ends).unwrap_or(value.len());
    let hidden = &value[..len];
    (len > 0 && hidden != HIDDEN).then(|| (text.len() - value.len(), len))
}

/// The text without what is before `@` in a URL.
fn without_users(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        clean.push_str(before);
        let host = after.find(['/', ' ', '?', '"']).unwrap_or(after.len());
        rest = match after[..host].rfind('@') {
            Some(user) => {
                clean.push_str(HIDDEN);
                &after[user..]
            }
            None => after,
        };
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_wherever_they_are() {
        for (text, clean) in [
            ("plain text stays", "plain text stays"),
            ("a token is missing", "a token is missing"),
            ("?sig=abc&x=1", "?sig=***&x=1"),
            (
                "X-Amz-Security-Token=S1&X-Amz-Signature=S2 end",
                "X-Amz-Security-Token=***&X-Amz-Signature=*** end",
            ),
            ("{secret_access_key: \"S\"}", "{secret_access_key: \"***\"}"),
            (
                "Authorization: AWS4-HMAC-SHA256 Credential=A/b, Signature=S\nnext",
                "Authorization: ***\nnext",
            ),
            ("http://u:p@h:9000/b and s3://b/k", "http://***@h:9000/b and s3://b/k"),
            ("{\"token\":\"S\"}", "{\"token\":\"***\"}"),
            ("password=S", "password=***"),
            ("assign=1", "assign=1"),
        ] {
            assert_eq!(without_secrets(text), clean);
            assert_eq!(without_secrets(clean), clean, "hidden twice");
        }
    }
}
