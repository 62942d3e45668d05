//! The page: its HTML, its style and its script, put together once.
//!
//! The script and the style are inside the page, so that a report is one file. The policy names both by their hash;
//! nothing else may run.

use crate::digest::source_hash;
use std::sync::LazyLock;

const HTML: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");
/// In the order in which they need each other. All of them are one script with one scope.
const SCRIPTS: [&str; 7] = [
    include_str!("../page/format.js"),
    include_str!("../page/axis.js"),
    include_str!("../page/curve.js"),
    include_str!("../page/chart.js"),
    include_str!("../page/source.js"),
    include_str!("../page/panels.js"),
    include_str!("../page/app.js"),
];

/// A page and the policy that it is sent with.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    pub(crate) policy: String,
}

struct Parts {
    script: String,
    sources: String,
}

static PARTS: LazyLock<Parts> = LazyLock::new(|| {
    let script = format!("\"use strict\";\n{}", SCRIPTS.concat());
    let sources =
        format!("script-src '{}'; style-src '{}'", source_hash(&script), source_hash(STYLE));
    Parts { script, sources }
});

/// The page that asks a server for its data.
pub(crate) static SERVED: LazyLock<Page> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; {}; img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        PARTS.sources
    );
    Page { html: html("", ""), policy }
});

/// The page with its data inside: a JSON text. It may ask nobody for anything.
pub(crate) fn report(title: &str, json: &str) -> String {
    let policy = format!(
        "default-src 'none'; {}; img-src data: blob:; base-uri 'none'; form-action 'none'",
        PARTS.sources
    );
    let meta = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
    let title = format!("<title>{}</title>", escaped(title));
    let data = format!("<script type=\"application/json\" id=\"data\">{}</script>", harmless(json));
    html(&format!("{meta}\n{title}"), &data)
}

fn html(head: &str, data: &str) -> String {
    let mut page =
        String::with_capacity(HTML.len() + STYLE.len() + PARTS.script.len() + data.len());
    // From front to back, so that nothing in one part is taken for the place of another.
    let mut rest = HTML;
    for (place, part) in [
        ("<!-- head -->", head),
        ("/* style */", STYLE),
        ("<!-- data -->", data),
        ("/* script */", &PARTS.script),
    ] {
        let (before, after) =
            rest.split_once(place).expect("the page has all places, in this order");
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// JSON that cannot end the element that it is in, nor begin a comment or another script. Inside a text of JSON, an
/// escape is the same character; outside of one, JSON has none of these.
fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// With the chart library of a peer alone it would be a third of this.
    const BYTES_MAX: usize = 120 * 1024;

    #[test]
    fn the_page_is_small() {
        assert!(SERVED.html.len() <= BYTES_MAX, "{} bytes", SERVED.html.len());
    }

    #[test]
    fn the_policy_allows_two_hashes_and_nothing_inline() {
        let report = report("t", "{}");
        for policy in [&SERVED.policy, &report] {
            assert!(policy.contains("default-src 'none'"));
            assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"));
            assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
        }
        assert!(!report.contains("connect-src"));
    }

    /// A name becomes text by `textContent`; none of these ways to make it markup, or a script, exists.
    #[test]
    fn the_script_has_no_way_to_turn_text_into_markup() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "eval(",
            "new Function",
            "setTimeout(\"",
            "srcdoc",
            "javascript:",
            "setHTMLUnsafe",
        ] {
            assert!(!SERVED.html.contains(word), "{word}");
        }
        let handlers = HTML.split_whitespace().filter(|word| word.starts_with("on"));
        assert_eq!(handlers.filter(|word| word.contains('=')).count(), 0);
        assert!(!HTML.contains("style=") && !HTML.contains("http:") && !HTML.contains("https:"));
    }

    #[test]
    fn a_page_is_whole() {
        for page in [&SERVED.html, &report("a <b>", "{\"x\":\"</script>\"}")] {
            assert_eq!(page.matches("</script>").count(), page.matches("<script").count());
            assert!(page.contains("\"use strict\"") && page.ends_with("</html>\n"));
            for place in ["<!-- head -->", "/* style */", "<!-- data -->", "/* script */"] {
                assert!(!page.contains(place), "{place}");
            }
        }
    }

    proptest! {
        #[test]
        fn data_never_end_their_element(text in "(</script>|<!--|<script|&|\"|\\\\|.){0,20}") {
            let json = serde_json::to_string(&text).unwrap();
            let safe = harmless(&json);
            prop_assert!(!safe.contains(['<', '>', '&']));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }

        #[test]
        fn a_title_is_text(title in ".{0,20}") {
            let escaped = escaped(&title);
            prop_assert!(!escaped.contains(['<', '>', '"']));
        }
    }
}
