//! What must not be written into `run.json`: passwords and keys in arguments, parameters, variables and URLs.
//!
//! Names decide, so a secret under a harmless name is not recognized. The environment is recorded by a list of
//! what may be, never by a list of what may not.

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

/// Whether a name is that of a secret: `api-key`, `HF_TOKEN`, `db.password`, `secretKey`.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| !c.is_alphanumeric());
    let last = name.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or(name);
    // `secretKey`: the word begins at the last capital that follows a small letter.
    let pairs = last.char_indices().zip(last.chars().skip(1));
    let words = pairs.filter(|((_, one), next)| one.is_lowercase() && next.is_uppercase());
    let camel = words.last().map_or(last, |((at, one), _)| &last[at + one.len_utf8()..]);
    [last, camel].iter().any(|word| SECRET_WORDS.contains(&word.to_lowercase().as_str()))
}

/// A value without the user and the password of a URL in it, or only a mask if its name is that of a secret.
pub(crate) fn masked(name: &str, value: &str) -> String {
    if is_secret(name) { MASK.to_owned() } else { without_user(value) }
}

/// The arguments of a command without secrets: `--token=x`, `--token x` and `token=x`.
pub(crate) fn masked_arguments(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut masked = Vec::new();
    let mut is_value_of_secret = false;
    for argument in arguments {
        let is_option = argument.starts_with('-');
        if is_value_of_secret && !is_option {
            masked.push(MASK.to_owned());
            is_value_of_secret = false;
            continue;
        }
        if let Some((name, value)) = argument.split_once('=') {
            is_value_of_secret = false;
            masked.push(format!("{name}={}", self::masked(name, value)));
        } else {
            is_value_of_secret = is_option && is_secret(&argument);
            masked.push(without_user(&argument));
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

/// The text, where `https://user:password@host` becomes `https://host`.
pub(crate) fn without_user(text: &str) -> String {
    let mut rest = text;
    let mut cleaned = String::with_capacity(text.len());
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        cleaned.push_str(before);
        let is_end = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace();
        let end = after.find(is_end).unwrap_or(after.len());
        // A password may have an `@` of its own.
        let host = after[..end].rfind('@').map_or(0, |user| user + 1);
        cleaned.push_str(&after[host..end]);
        rest = &after[end..];
    }
    cleaned.push_str(rest);
    cleaned
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
        ] {
            assert_eq!(masked(given), expected);
        }
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
