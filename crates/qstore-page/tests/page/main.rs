//! The page itself: its script in node, and the whole in a browser, where there is one.

/// The page in Chromium.
mod browser;
/// More of the page in Chromium: many metrics and runs, accessibility, both themes, and the pictures of the documentation.
mod looks;
/// Programs that may not be on this machine.
mod programs;
/// The functions of the script that need no document, in node.
mod script;
/// How large what is handed on is.
mod sizes;
