//! What must not be written into `run.json`: passwords and keys in arguments, parameters, variables and URLs.
//!
//! Names decide, so a secret under a harmless name is not recognized. The environment is recorded by a list of
//! what may be, never by a list of what may not.

use serde_json::Value;

/// What a secret is replaced by.
pub(crate) const MASK: &str = "***";

/// The last words of names whose values are secrets.
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "auth",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "key",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pat",
    "pwd",
    "secret",
    "secrets",
    "token",
];

/// The prefixes of variables that are recorded.
const VARIABLES: &[&str] = &["CUDA_", "NCCL_", "OMP_", "QSTORE_", "RUST", "SLURM_"];

/// Words that are also found at the end of a word: `dbpassword`, `authtoken`.
const SECRET_ENDS: &[&str] =
    &["accesskey", "apikey", "passwd", "password", "privatekey", "secret", "secretkey", "token"];

/// Whether a name is that of a secret: `api-key`, `HF_TOKEN`, `db.password`, `secretKey`, `authtoken`.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| !c.is_alphanumeric());
    let last = name.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or(name);
    // `secretKey`: the word begins at the last capital that follows a small letter.
    let pairs = last.char_indices().zip(last.chars().skip(1));
    let words = pairs.filter(|((_, one), next)| one.is_lowercase() && next.is_uppercase());
    let camel = words.last().map_or(last, |((at, one), _)| &last[at + one.len_utf8()..]);
    let is_end = |word: &str| SECRET_ENDS.iter().any(|end| word.ends_with(end));
    is_end(&last.to_lowercase())
        || [last, camel].iter().any(|word| SECRET_WORDS.contains(&word.to_lowercase().as_str()))
}

/// A value without the secrets of a URL in it, or only a mask if its name is that of a secret.
pub(crate) fn masked(name: &str, value: &str) -> String {
    if is_secret(name) { MASK.to_owned() } else { without_secrets(value) }
}

/// A parameter without secrets, at any depth.
pub(crate) fn masked_value(name: &str, value: &Value) -> Value {
    match value {
        _ if is_secret(name) => MASK.into(),
        Value::String(text) => without_secrets(text).into(),
        // The items of a list have its name.
        Value::Array(items) => items.iter().map(|item| masked_value(name, item)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.map(|(name, value)| (name.clone(), masked_value(name, value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The arguments of a command without secrets: `--token=x`, `--token x` and `token=x`.
pub(crate) fn masked_arguments(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut masked = Vec::new();
    let mut is_value_of_secret = false;
    for argument in arguments {
        let is_option = argument.starts_with('-');
        // A secret may begin with a dash.
        if is_value_of_secret && !argument.starts_with("--") {
            masked.push(MASK.to_owned());
            is_value_of_secret = is_option && is_secret(&argument);
            continue;
        }
        let pair = argument.split_once('=').filter(|(name, _)| !name.contains("://"));
        if let Some((name, value)) = pair {
            is_value_of_secret = false;
            masked.push(format!("{name}={}", self::masked(name, value)));
        } else {
            is_value_of_secret = is_option && is_secret(&argument);
            masked.push(without_secrets(&argument));
        }
    }
    masked
}

/// The variables that may be recorded.
pub(crate) fn permitted_variables(
    variables: impl Iterator<Item = (String, String)>,
) -> impl Iterator<Item = (String, String)> {
    let is_permitted = |name: &str| VARIABLES.iter().any(|prefix| name.starts_with(prefix));
    variables.filter(move |(name, _)| is_permitted(name)).map(|(name, value)| {
        let value = masked(&name, &value);
        (name, value)
    })
}

/// The text, in which no URL has a user, a password, or the value of a secret in its query.
pub(crate) fn without_secrets(text: &str) -> String {
    let is_end = |c: char| matches!(c, '"' | '\'' | '<' | '>') || c.is_whitespace();
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let mut rest = text;
    let mut cleaned = String::with_capacity(text.len());
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        cleaned.push_str(before);
        // A URL in the query of another one begins with its own scheme.
        let next = after.find("://").map(|at| after[..at].trim_end_matches(is_scheme).len());
        let end = after.find(is_end).unwrap_or(after.len()).min(next.unwrap_or(after.len()));
        push_url(&mut cleaned, &after[..end]);
        rest = &after[end..];
    }
    cleaned.push_str(rest);
    cleaned
}

/// Adds a URL, from behind its scheme.
fn push_url(cleaned: &mut String, url: &str) {
    const ENDS: [char; 3] = ['/', '?', '#'];
    let segment = |from: usize| url[from..].find(ENDS).map_or(url.len(), |end| from + end);
    let authority = &url[..segment(0)];
    // A password may have an `@` or a `/` of its own; then what comes before the slash is not a host and a port.
    let port = authority.rsplit_once(':').map(|(_, port)| port).unwrap_or_default();
    let is_host = port.bytes().all(|byte| byte.is_ascii_digit()) || authority.starts_with('[');
    let user = match authority.rfind('@') {
        None if !is_host => url.find('@').and_then(|at| url[..segment(at)].rfind('@')),
        found => found,
    };
    let url = &url[user.map_or(0, |user| user + 1)..];
    let query = url.find(['?', '#']).unwrap_or(url.len());
    cleaned.push_str(&url[..query]);
    for pair in url[query..].split_inclusive(['?', '#', '&', ';']) {
        let end = pair.find(['?', '#', '&', ';']).unwrap_or(pair.len());
        match pair[..end].split_once('=').filter(|(name, _)| is_secret_of_a_query(name)) {
            Some((name, _)) => cleaned.extend([name, "=", MASK, &pair[end..]]),
            None => cleaned.push_str(pair),
        }
    }
}

/// A signature in a URL is as good as a password.
fn is_secret_of_a_query(name: &str) -> bool {
    let last = name.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or(name);
    is_secret(name) || ["sig", "signature"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognized_by_their_last_word() {
        for name in [
            "key",
            "api-key",
            "--api_key",
            "HF_TOKEN",
            "db.password",
            "secretKey",
            "AWS_SECRET",
            "SLURM_JWT",
            "accessToken",
            "token_",
            "Password",
            "dbpassword",
            "AUTHTOKEN",
            "accesskey",
            "db.clientsecret",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["", "keys_per_head", "monkey", "tokens", "token_count", "lr", "keyboard"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn arguments_lose_their_secrets_and_nothing_else() {
        let masked = |text: &str| masked_arguments(text.split(' ').map(str::to_owned)).join(" ");
        for (given, expected) in [
            ("train --lr 0.1 --token abc x", "train --lr 0.1 --token *** x"),
            ("train --token=abc -k v", "train --token=*** -k v"),
            ("train --token --lr 0.1", "train --token --lr 0.1"),
            ("train password=abc lr=0.1", "train password=*** lr=0.1"),
            ("train --url=https://me:pw@host/a=b", "train --url=https://host/a=b"),
            ("train https://me:p@w@host/a@b", "train https://host/a@b"),
            ("train --token -abc -k v", "train --token *** -k v"),
            ("train --token -pass abc x", "train --token *** *** x"),
            ("train https://me:pw@host/a?b=c&token=d", "train https://host/a?b=c&token=***"),
        ] {
            assert_eq!(masked(given), expected);
        }
    }

    #[test]
    fn urls_lose_their_secrets_and_nothing_else() {
        for (given, expected) in [
            ("https://me:p/w@host/a@b", "https://host/a@b"),
            ("https://me:p?w@host", "https://host"),
            ("at https://me:p#/w@host: refused", "at https://host: refused"),
            ("https://host:8080/@scope/x", "https://host:8080/@scope/x"),
            ("https://[::1]/a@b", "https://[::1]/a@b"),
            ("https://host/a?b=c&token=d;sig=e#f", "https://host/a?b=c&token=***;sig=***#f"),
            (
                "s3://b/k?X-Amz-Signature=a&X-Amz-Date=b",
                "s3://b/k?X-Amz-Signature=***&X-Amz-Date=b",
            ),
            ("https://host/#access_token=a", "https://host/#access_token=***"),
            ("https://a/?to=https://me:pw@b/c", "https://a/?to=https://b/c"),
            ("http://a,http://me:pw@b", "http://a,http://b"),
            ("no://", "no://"),
            ("me@host: no URL?token=a", "me@host: no URL?token=a"),
        ] {
            assert_eq!(without_secrets(given), expected, "{given}");
        }
    }

    #[test]
    fn secrets_of_parameters_are_found_at_any_depth() {
        let given = serde_json::json!({
            "login": {"user": "me", "password": 7, "hosts": ["https://me:pw@a", {"apikey": [1]}]},
            "tokens": [1, 2],
        });
        let expected = serde_json::json!({
            "login": {"user": "me", "password": "***", "hosts": ["https://a", {"apikey": "***"}]},
            "tokens": [1, 2],
        });
        assert_eq!(masked_value("config", &given), expected);
    }

    #[test]
    fn only_variables_of_the_list_are_recorded() {
        let variables = [
            ("RUST_LOG", "info"),
            ("PATH", "/bin"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("SLURM_JWT", "x"),
            ("SLURM_JOB_ID", "7"),
            ("QSTORE_URL", "s3://me:pw@host/x"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found: Vec<_> = permitted_variables(variables.into_iter())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            found,
            ["RUST_LOG=info", "SLURM_JWT=***", "SLURM_JOB_ID=7", "QSTORE_URL=s3://host/x"]
        );
    }
}
