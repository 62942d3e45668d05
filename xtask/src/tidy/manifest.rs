//! A `Cargo.toml` as the rules see it: sections of keys and values, each with its line.
//!
//! Not a TOML parser: `cargo` has parsed the file before we look at it, and a parser would not tell
//! on which line a key stands. It knows sections, comments, strings and values of several lines.

/// One file.
pub(super) struct Manifest {
    /// From the top of the workspace, with forward slashes.
    pub(super) path: String,
    entries: Vec<Entry>,
}

/// `key = value` below `[section]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// How a manifest names a dependency.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) name: String,
    /// By `workspace = true`.
    pub(super) inherited: bool,
    pub(super) line: usize,
}

impl Manifest {
    /// Reads the entries of a file.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut section = String::new();
        let mut open = 0;
        for (index, line) in text.lines().enumerate() {
            let line_text = without_comment(line).trim();
            if open > 0 {
                // A value of several lines goes on.
                open = (open + balance(line_text)).max(0);
                if let Some(entry) = entries.last_mut() {
                    entry.value.push_str(line_text);
                }
            } else if let Some(name) = line_text.strip_prefix('[') {
                name.trim_matches(['[', ']']).trim().clone_into(&mut section);
            } else if let Some((key, value)) = line_text.split_once('=') {
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                open = balance(&value).max(0);
                entries.push(Entry { section: section.clone(), key, value, line: index + 1 });
            }
        }
        Self { path: path.to_owned(), entries }
    }

    /// The entries of one section.
    pub(super) fn section(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.section == name)
    }

    /// Does the section take this key from the workspace?
    pub(super) fn inherits(&self, section: &str, key: &str) -> bool {
        self.section(section).any(|entry| match entry.key.strip_prefix(key) {
            Some(".workspace") => entry.value == "true",
            Some("") => says_workspace(&entry.value),
            _ => false,
        })
    }

    /// All dependencies: normal, dev, build, of all targets.
    pub(super) fn dependencies(&self) -> Vec<Mention> {
        let mut mentions: Vec<Mention> = Vec::new();
        for entry in &self.entries {
            let Some((name, inherited)) = dependency(entry) else { continue };
            match mentions.last_mut() {
                // `a.workspace = true` and `a.features = […]` are one dependency.
                Some(last) if last.name == name && last.line + 1 >= entry.line => {
                    last.inherited |= inherited;
                    last.line = entry.line;
                }
                _ => mentions.push(Mention { name, inherited, line: entry.line }),
            }
        }
        mentions
    }
}

/// The dependency an entry speaks of, and whether the entry takes it from the workspace.
fn dependency(entry: &Entry) -> Option<(String, bool)> {
    let inherits = |key: &str| key == "workspace" && entry.value == "true";
    if entry.section.starts_with("workspace") {
        None
    } else if entry.section.ends_with("dependencies") {
        // a = …, a.workspace = true
        let (name, inherited) = match entry.key.split_once('.') {
            Some((name, key)) => (name, inherits(key)),
            None => (entry.key.as_str(), says_workspace(&entry.value)),
        };
        Some((name.trim_matches('"').to_owned(), inherited))
    } else {
        // [dependencies.a]
        let (_, name) = entry.section.split_once("dependencies.")?;
        Some((name.trim_matches('"').to_owned(), inherits(&entry.key)))
    }
}

/// Does an inline table contain `workspace = true`?
fn says_workspace(value: &str) -> bool {
    value.split(['{', ',', '}']).any(|pair| {
        pair.split_once('=')
            .is_some_and(|(key, value)| key.trim() == "workspace" && value.trim() == "true")
    })
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (index, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => return &line[..index],
            _ => {}
        }
    }
    line
}

/// How many brackets the text opens and does not close.
fn balance(text: &str) -> i32 {
    let mut quoted = false;
    text.chars().fold(0, |depth, character| match character {
        '"' => {
            quoted = !quoted;
            depth
        }
        '[' | '{' if !quoted => depth + 1,
        ']' | '}' if !quoted => depth - 1,
        _ => depth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_values_and_lines() {
        let manifest = Manifest::new(
            "Cargo.toml",
            "[package]\nname = \"a#b\" # c\n\n[features]\nx = [\n  \"y\", # z\n]\nw = []\n",
        );
        let entry = |section: &str, key: &str, value: &str, line| Entry {
            section: section.into(),
            key: key.into(),
            value: value.into(),
            line,
        };
        assert_eq!(
            manifest.entries,
            [
                entry("package", "name", "\"a#b\"", 2),
                entry("features", "x", "[\"y\",]", 5),
                entry("features", "w", "[]", 8),
            ]
        );
    }

    #[test]
    fn dependencies_in_every_spelling() {
        let manifest = Manifest::new(
            "Cargo.toml",
            "[dependencies]\n\
             a.workspace = true\n\
             b = { workspace = true, features = [\"x\"] }\n\
             c = \"1\"\n\
             d.workspace = true\n\
             d.optional = true\n\
             [target.\"cfg(unix)\".dev-dependencies]\n\
             e = { version = \"1\" }\n\
             [build-dependencies.f]\n\
             workspace = true\n\
             optional = true\n\
             [dependencies.g]\n\
             version = \"1\"\n",
        );
        let found: Vec<_> = manifest
            .dependencies()
            .into_iter()
            .map(|mention| (mention.name, mention.inherited))
            .collect();
        let expected = [
            ("a", true),
            ("b", true),
            ("c", false),
            ("d", true),
            ("e", false),
            ("f", true),
            ("g", false),
        ];
        assert_eq!(found, expected.map(|(name, inherited)| (name.to_owned(), inherited)));
    }
}
