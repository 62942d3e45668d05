//! Rule: the Python package never pickles.
//!
//! Why: unpickling runs code that the file chooses. A checkpoint or a run that somebody sends must be as
//! harmless to open as a text, so nothing in the package may load or save by pickle, not even as a fallback.

use super::finding::Finding;
use super::tree::{Page, Tree};

/// What people get. Its tests pickle errors, because processes pass them to each other.
const PACKAGE: &[&str] = &["crates/qstore-python/python/", "crates/qstore-python/src/"];

/// Modules that unpickle, or run code in another way.
const MODULES: &[&str] = &["cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"];

/// Calls of other libraries that unpickle.
const CALLS: &[&str] = &["torch.load(", "torch.save(", "allow_pickle=True", "read_pickle("];

/// No file of the package imports such a module or makes such a call.
pub(super) fn is_never_used(tree: &Tree) -> Vec<Finding> {
    let rust = tree.sources.iter().map(|source| (&*source.path, &*source.text));
    let python = tree.scripts.iter().map(|Page { path, text }| (&**path, &**text));
    rust.chain(python)
        .filter(|(path, _)| PACKAGE.iter().any(|home| path.starts_with(home)))
        .flat_map(|(path, text)| check(path, text))
        .collect()
}

fn check(path: &str, text: &str) -> Vec<Finding> {
    let is_import = |line: &str, module: &str| {
        let line = line.trim_start();
        let statement = ["import ", "from "].iter().find_map(|word| line.strip_prefix(word));
        let is_named = |name: &str| name.trim().split(['.', ' ']).next() == Some(module);
        // `import a, pickle` and `py.import("pickle")`.
        statement.is_some_and(|names| names.split(',').any(is_named))
            || line.contains(&format!("import(\"{module}\")"))
            || line.contains(&format!("import_module(\"{module}\")"))
    };
    let is_unsafe = |line: &str| {
        MODULES.iter().any(|module| is_import(line, module))
            || CALLS.iter().any(|call| line.replace("qstore.torch.", "").contains(call))
    };
    let lines = (1..).zip(text.lines()).filter(|(_, line)| is_unsafe(line));
    let remedy = "save it as a value, bytes or an array, or refuse it with its path";
    lines
        .map(|(number, _)| Finding::new(path, number, "this can run code of a file", remedy))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes() {
        for text in [
            "\"\"\"Nothing is pickled.\"\"\"",
            "import json",
            "from .load import pickles",
            "qstore.torch.save(manager)",
        ] {
            assert!(check("a.py", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn fails() {
        for text in [
            "import pickle",
            "    import json, pickle as p",
            "from pickle import loads",
            "import joblib.memory",
            "let module = py.import(\"pickle\")?;",
            "module = importlib.import_module(\"dill\")",
            "state = torch.load(path)",
        ] {
            assert_eq!(check("a.py", text).len(), 1, "{text}");
        }
    }
}
