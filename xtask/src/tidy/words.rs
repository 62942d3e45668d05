//! Rule: plain American technical English, one word per idea.
//!
//! Why: error texts, documentation and public names are read by people who know the field, and they know
//! its words. The table is the part of the glossary in CONTRIBUTING.md that a program can check. Code in
//! backticks is left out, so that a page may name what it forbids.

use super::finding::Finding;
use super::lexer::is_word;
use super::source::Source;
use super::tree::{Page, Tree};
use crate::tokens::{self, Token};

/// A phrase that is not used here, and what is written instead.
///
/// The words of a phrase are separated by spaces, alternatives by `|`; `*` is any word. A phrase ends
/// where a sentence or a clause does, but not where a line does.
const PHRASES: &[(&str, &str)] = &[
    ("is|are|was|were no *", "`is not a …`, or `there is no …`"),
    ("that is|are none", "`that is not one`, or what it is"),
    ("make|makes|made no sense", "`is malformed` or `cannot be parsed`"),
    ("beyond all measure", "the value and its limit"),
    ("stand|stands|stood twice", "`is a duplicate` or `is listed twice`"),
    ("one behind the other", "`contiguous` or `back to back`"),
    ("is|are|was|were not there", "`is missing` or `does not exist`"),
    ("is|are|was|were|be|been|being|gets told|said", "`is reported` or `is documented`"),
    ("turned|turn|turns away", "`rejected`"),
    ("no business", "what is wrong with it"),
    ("most so long", "`at most this long`"),
    ("for ever", "`indefinitely` or `forever`"),
    ("so many", "`n` or `count`"),
    ("pinned no more", "`no longer pinned`"),
    ("anew", "`again` or `from scratch`"),
    ("whoever|whomever", "`a waiter`, `a caller`, `anyone who`"),
    ("wish|wishes|wished", "`hint`, or `want`"),
    ("he|him|his|himself", "`it` for a thread or process, `they` for a person"),
    ("whilst", "`while`"),
    ("amongst", "`among`"),
    ("behaviour|behaviours", "`behavior`"),
    ("colour|colours|coloured", "`color`"),
    ("neighbour|neighbours|neighbouring", "`neighbor`"),
    ("favour|favours|favourite", "`favor`"),
    ("honour|honours|honoured", "`honor`"),
    ("labour", "`labor`"),
    ("centre|centres|centred", "`center`"),
    ("metre|metres|litre|litres", "`meter`, `liter`"),
    ("grey", "`gray`"),
    ("licence|licences", "`license`"),
    ("defence|offence", "`defense`, `offense`"),
    ("artefact|artefacts", "`artifact`"),
    ("catalogue|catalogues", "`catalog`"),
    ("judgement|judgements", "`judgment`"),
    ("programme|programmes", "`program`"),
    ("analyse|analysed|analysing", "`analyze`"),
    ("labelled|labelling", "`labeled`"),
    ("modelled|modelling", "`modeled`"),
    ("cancelled|cancelling", "`canceled`"),
    ("signalled|signalling", "`signaled`"),
    ("travelled|travelling", "`traveled`"),
];

/// `is no longer` is English. The first column is the word before `*`.
const GOOD_AFTER_NO: &[&str] = &[
    "better",
    "different",
    "faster",
    "larger",
    "less",
    "longer",
    "more",
    "slower",
    "smaller",
    "worse",
];

/// Verbs that end in `-ize` here.
const STEMS: &[&str] = &[
    "categor", "custom", "final", "general", "initial", "material", "maxim", "memor", "minim",
    "normal", "optim", "organ", "parallel", "prior", "priorit", "quant", "real", "recogn",
    "serial", "special", "standard", "summar", "synchron", "token", "util", "vector", "visual",
];
const ENDINGS: &[&str] =
    &["ise", "ised", "iser", "isers", "ises", "ising", "isable", "isation", "isations"];

/// Where a phrase may stand nevertheless: the beginning of a path, and the phrase (empty: all).
const EXCEPTIONS: &[(&str, &str)] = &[
    // The table itself, and its tests.
    ("xtask/src/tidy/words.rs", ""),
    // The state of a job, which is in the file as IBM Runtime and Braket spell it.
    ("crates/qstore-ledger/", "cancelled|cancelling"),
    ("tests/torture/ledger.rs", "cancelled|cancelling"),
];

/// No comment, string, public name or page has a phrase of the table.
pub(super) fn plain_english(tree: &Tree) -> Vec<Finding> {
    let pages = tree.pages.iter().flat_map(|Page { path, text }| {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        check(path, &words(lines))
    });
    tree.sources.iter().flat_map(of_source).chain(pages).collect()
}

/// A word of a text, in lower case, with its line.
#[derive(Debug)]
struct Word {
    text: String,
    line: usize,
    /// Whether a clause ends behind it.
    ends: bool,
}

fn of_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Sentences go over several lines of comment, but not over code.
    let mut comments: Vec<(usize, &str)> = Vec::new();
    for (number, line) in source.numbered() {
        if !line.code.trim().is_empty() || line.comment.is_empty() {
            findings.extend(check(&source.path, &words(comments.drain(..))));
        }
        if !line.comment.is_empty() {
            let comment = line.comment.trim_start_matches(['/', '!', '*']);
            comments.push((number, comment));
        }
    }
    findings.extend(check(&source.path, &words(comments)));
    let tokens = tokens::of(&source.text).unwrap_or_default();
    let line_of = |token: &Token| source.text[..token.range.start].matches('\n').count() + 1;
    for token in &tokens {
        let text = &source.text[token.range.clone()];
        // The text of a doc comment looks like a string to the tokenizer.
        let is_string = text.ends_with(['"', '#']) && text.contains('"') && !text.starts_with('/');
        if is_string {
            let text = text.replace("\\n", ". ");
            let lines =
                text.lines().enumerate().map(|(index, line)| (line_of(token) + index, line));
            findings.extend(check(&source.path, &words(lines)));
        }
    }
    for token in names(&tokens) {
        let name = words_of_name(&token.text);
        findings.extend(check(&source.path, &words([(line_of(token), &*name)])));
    }
    findings
}

/// The names of all functions, and of public items and fields.
fn names(tokens: &[Token]) -> Vec<&Token> {
    const ITEMS: &[&str] = &["const", "enum", "mod", "static", "struct", "trait", "type", "union"];
    let mut names = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Some(next) = tokens.get(index + 1) else { break };
        let is_item = token.is("fn")
            || (ITEMS.contains(&&*token.text) && index > 0 && tokens[index - 1].is("pub"));
        let is_field = token.is("pub") && tokens.get(index + 2).is_some_and(|after| after.is(":"));
        if is_item || is_field {
            names.push(next);
        }
    }
    names
}

/// `first_one` and `FirstOne` are two words.
fn words_of_name(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars() {
        if character == '_' || character.is_uppercase() {
            words.push(' ');
        }
        words.extend(Some(character).filter(|character| *character != '_'));
    }
    words
}

/// The words of some lines, without what is in backticks.
fn words<'a>(lines: impl IntoIterator<Item = (usize, &'a str)>) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut is_code = false;
    for (line, text) in lines {
        if text.trim_start().starts_with("```") || text.trim().is_empty() {
            is_code = false;
            end(&mut words);
            continue;
        }
        let mut word = String::new();
        for character in text.chars().chain([' ']) {
            if !is_code && (is_word(character) || "-'’".contains(character)) {
                word.extend(character.to_lowercase());
                continue;
            }
            if !word.is_empty() {
                words.push(Word { text: std::mem::take(&mut word), line, ends: false });
            }
            match character {
                '`' => {
                    is_code = !is_code;
                    // What is left out is a word, too.
                    if is_code {
                        words.push(Word { text: "`".into(), line, ends: false });
                    }
                }
                '.' | ',' | ';' | ':' | '!' | '?' | '(' | ')' | '|' => end(&mut words),
                _ => {}
            }
        }
    }
    words
}

fn end(words: &mut [Word]) {
    if let Some(last) = words.last_mut() {
        last.ends = true;
    }
}

fn check(path: &str, words: &[Word]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_exempt = |phrase: &str| {
        EXCEPTIONS.iter().any(|(start, exempt)| {
            path.starts_with(start) && (exempt.is_empty() || *exempt == phrase)
        })
    };
    for (index, Word { text, line, .. }) in words.iter().enumerate() {
        let before = index.checked_sub(1).map_or("", |before| &words[before].text);
        for (phrase, advice) in PHRASES {
            let Some(found) = occurs(phrase, before, &words[index..]) else { continue };
            if !is_exempt(phrase) {
                let found: Vec<_> = found.iter().map(|word| &*word.text).collect();
                let what = format!("\"{}\"; write {advice}", found.join(" "));
                findings.push(Finding::new(path, *line, what, REMEDY));
            }
        }
        if let Some(american) = american(text).filter(|_| !is_exempt("ise")) {
            let what = format!("\"{text}\"; write `{american}`");
            findings.push(Finding::new(path, *line, what, REMEDY));
        }
    }
    findings
}

const REMEDY: &str = "plain American English, see the glossary in CONTRIBUTING.md";

/// The words that the phrase is made of, if the text begins with it.
fn occurs<'w>(phrase: &str, before: &str, words: &'w [Word]) -> Option<&'w [Word]> {
    let parts: Vec<_> = phrase.split(' ').collect();
    let found = words.get(..parts.len())?;
    let fits = parts.iter().zip(found).all(|(part, word)| {
        *part == "*" || part.split('|').any(|alternative| alternative == word.text)
    });
    let is_one_clause = found[..found.len() - 1].iter().all(|word| !word.ends);
    // `there is no test` and `it is no longer` are English.
    let is_good = phrase.ends_with("no *")
        && (matches!(before, "there" | "where")
            || GOOD_AFTER_NO.contains(&&*found[found.len() - 1].text));
    (fits && is_one_clause && !is_good).then_some(found)
}

/// The American spelling of a verb in `-ise`, or of a word made from one.
fn american(word: &str) -> Option<String> {
    let stem = ["un", "de", "re", "pre", ""].iter().find_map(|prefix| {
        let rest = word.strip_prefix(prefix)?;
        STEMS.iter().find(|stem| {
            rest.strip_prefix(**stem).is_some_and(|ending| ENDINGS.contains(&ending))
        })?;
        Some(())
    });
    stem?;
    let at = word.rfind("is")?;
    Some(format!("{}iz{}", &word[..at], &word[at + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(text: &str) -> Vec<String> {
        of_source(&Source::new("crates/a/src/b.rs", text)).iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn fails(text: &str, expected: &str) {
        let found = of_text(text);
        assert!(matches!(&*found, [only] if only.contains(expected)), "{text:?}: {found:#?}");
    }

    #[track_caller]
    fn passes(text: &str) {
        let found = of_text(text);
        assert!(found.is_empty(), "{text:?}: {found:#?}");
    }

    #[test]
    fn every_phrase_is_found_in_a_comment() {
        for (phrase, _) in PHRASES {
            let one: Vec<_> =
                phrase.split(' ').map(|part| part.split('|').next().unwrap()).collect();
            let text = one.join(" ").replace('*', "checkpoint");
            fails(&format!("// It {text}.\nfn f() {{}}\n"), "b.rs:1: ");
        }
    }

    #[test]
    fn comments_strings_and_names_are_read() {
        fails(
            "//! A ring.\n\n/// It waits for\n/// ever.\nfn f() {}\n",
            "b.rs:3: \"for ever\"; write",
        );
        fails(
            "fn f() { g(\"a\"); g(\"`{x}` is no known codec\") }\n",
            "\"is no known\"; write `is not",
        );
        fails("fn f() {\n    g(\"all is well, \\\n       which makes no sense\")\n}\n", "b.rs:3: ");
        fails("pub struct A { pub names_turned_away: u64 }\n", "\"turned away\"; write `rejected`");
        fails("fn a_flush_is_told_the_error() {}\n", "\"is told\"");
        fails("pub struct ColourMap;\n", "`color`");
        fails("struct A; // his own\n", "`it` for a thread");
    }

    #[test]
    fn english_passes() {
        passes("// There is no test. It is no longer here: is. No one.\nfn f() {}\n");
        passes("//! Names what is forbidden: `whoever`, `for ever`.\nfn f() { whoever(); }\n");
        passes("// Optimistic, precise, otherwise, promised, revised, advertised, size.\n");
        passes("struct A { neighbour: u64 }\n");
        passes("// waits for\nfn ever() {}\n");
    }

    #[test]
    fn verbs_have_a_z() {
        for (british, expected) in [
            ("optimiser", "optimizer"),
            ("unoptimised", "unoptimized"),
            ("serialise", "serialize"),
            ("deserialisation", "deserialization"),
            ("synchronisation", "synchronization"),
            ("initialising", "initializing"),
        ] {
            assert_eq!(american(british).as_deref(), Some(expected));
        }
        for word in ["optimistic", "precise", "promise", "noise", "specialist", "optimizer"] {
            assert_eq!(american(word), None, "{word}");
        }
    }

    #[test]
    fn pages_are_read_line_by_line() {
        let text = "# Colours\n\nIt stands\ntwice.\n\n```\nlet a = 1; // whoever\n```\n";
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let found = check("docs/a.md", &words(lines));
        let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].starts_with("docs/a.md:1: \"colours\""), "{lines:#?}");
        assert!(lines[1].starts_with("docs/a.md:3: \"stands twice\""), "{lines:#?}");
        assert!(lines[2].starts_with("docs/a.md:7: \"whoever\""), "{lines:#?}");
    }
}
