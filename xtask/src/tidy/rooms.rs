//! Rules: inside a crate, too, imports point down.
//!
//! Why: in a crate of forty files the listing shows the architecture only if each folder is one stage
//! and may know nothing but the stages below it. Then a reader of `format/` need not know who saves, and
//! another program can take two folders instead of forty files. Two modules that import each other are
//! one module in two files.
//!
//! ```text
//! qstore-zarr     exchange → save, load → catalog → container → format → workers
//! qstore-parquet  log → publish, read → format → columns
//! ```
//!
//! The files beside the folders (`manager.rs`, `store.rs`) may import everything; of them, the folders
//! may import `error.rs` only. A crate's own code names the module that a thing is in, not the crate
//! root, which would put the root in the middle of the drawing.

use super::finding::Finding;
use super::imports::{Graph, Import, Module};
use super::tree::Tree;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The folders of a crate, from the lowest level to the highest. Those of one level do not know each
/// other.
type Levels = &'static [&'static [&'static str]];

const TABLE: &[(&str, Levels)] = &[
    (
        "crates/qstore-zarr/src/",
        &[
            &["workers"],
            &["format"],
            &["container"],
            &["catalog"],
            &["save", "load"],
            &["exchange"],
        ],
    ),
    ("crates/qstore-parquet/src/", &[&["columns"], &["format"], &["publish", "read"], &["log"]]),
];

/// The file at the root that every folder may import.
const GROUND: &str = "error";

/// Imports between the folders of the table point down, and none goes through the crate root.
pub(super) fn imports_point_down(tree: &Tree) -> Vec<Finding> {
    TABLE
        .iter()
        .flat_map(|(home, levels)| check_rooms(home, levels, &Graph::of(home, &tree.sources)))
        .collect()
}

/// No two modules of a package import each other, directly or around others.
pub(super) fn no_circles(tree: &Tree) -> Vec<Finding> {
    let homes: BTreeSet<_> = tree
        .sources
        .iter()
        .filter_map(|source| source.path.find("/src/").map(|at| &source.path[..at + 5]))
        .collect();
    homes.iter().flat_map(|home| circles(&Graph::of(home, &tree.sources))).collect()
}

fn check_rooms(home: &str, levels: Levels, graph: &Graph) -> Vec<Finding> {
    let level_of = |room: &str| levels.iter().position(|level| level.contains(&room));
    let folders: BTreeSet<_> =
        graph.modules.keys().filter(|module| module.len() > 1).map(|module| &*module[0]).collect();
    // A crate that has no folders yet.
    if folders.iter().filter(|folder| level_of(folder).is_some()).count() < 2 {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for folder in &folders {
        if level_of(folder).is_none() {
            findings.push(Finding::new(
                &format!("{home}{folder}"),
                1,
                "a folder without a level",
                "give it one in xtask/src/tidy/rooms.rs",
            ));
        }
    }
    for room in levels.iter().copied().flatten().filter(|room| !folders.contains(*room)) {
        findings.push(Finding::new(
            &format!("{home}{room}"),
            1,
            "a folder of the table that does not exist",
            "take it out of the table in xtask/src/tidy/rooms.rs",
        ));
    }
    for Import { path, line, from, to, through_root } in &graph.imports {
        // The root itself imports whatever it shows.
        let Some(from) = from.first() else { continue };
        let is_ground = to.first().is_some_and(|to| to == GROUND);
        if let Some(name) = through_root.as_ref().filter(|_| !is_ground) {
            findings.push(Finding::new(
                path,
                *line,
                format!("`{name}` is imported through the crate root"),
                "import it from its own module",
            ));
            continue;
        }
        let (Some(own), Some(to)) = (level_of(from), to.first()) else { continue };
        let is_permitted = match level_of(to) {
            Some(level) => level < own || to == from,
            None => is_ground,
        };
        if !is_permitted {
            findings.push(Finding::new(
                path,
                *line,
                format!("`{from}` must not import `{to}`"),
                "move what both need into a lower folder, or pass it as an argument",
            ));
        }
    }
    findings
}

/// For each module: its children, each with everything below it, import each other in no circle.
fn circles(graph: &Graph) -> Vec<Finding> {
    let mut edges: BTreeMap<Module, BTreeMap<Module, BTreeMap<Module, &Import>>> = BTreeMap::new();
    for import in &graph.imports {
        let Import { from, to, .. } = import;
        let common = from.iter().zip(to).take_while(|(from, to)| from == to).count();
        // A module and what is below it are one thing.
        if common < from.len() && common < to.len() {
            let children = edges.entry(from[..common].to_vec()).or_default();
            let imported = children.entry(from[..=common].to_vec()).or_default();
            imported.entry(to[..=common].to_vec()).or_insert(import);
        }
    }
    let mut findings = Vec::new();
    for children in edges.values() {
        let mut seen = BTreeSet::new();
        for start in children.keys() {
            let Some(circle) = shortest_circle(start, children) else { continue };
            if !circle.iter().any(|import| seen.contains(&unit(import, start.len()))) {
                let way = circle.iter().map(|import| {
                    let to = import.to[..start.len()].join("::");
                    format!("{to} ({}:{})", import.path, import.line)
                });
                let way: Vec<_> = way.collect();
                let (path, line) = (&circle[0].path, circle[0].line);
                findings.push(Finding::new(
                    path,
                    line,
                    format!("a circle of modules: {} → {}", start.join("::"), way.join(" → ")),
                    "move what both sides need into a module of its own",
                ));
            }
            seen.extend(circle.iter().map(|import| unit(import, start.len())));
        }
    }
    findings
}

fn unit(import: &Import, len: usize) -> Module {
    import.from[..len].to_vec()
}

/// The imports that lead from a module back to it, as few as possible.
fn shortest_circle<'g>(
    start: &Module,
    edges: &BTreeMap<Module, BTreeMap<Module, &'g Import>>,
) -> Option<Vec<&'g Import>> {
    let mut ways = VecDeque::from([(start, Vec::new())]);
    let mut seen = BTreeSet::new();
    while let Some((module, way)) = ways.pop_front() {
        for (to, import) in edges.get(module).into_iter().flatten() {
            let mut way = way.clone();
            way.push(*import);
            if to == start {
                return Some(way);
            }
            if seen.insert(to) {
                ways.push_back((to, way));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    const HOME: &str = "crates/a/src/";
    const LEVELS: Levels = &[&["format"], &["catalog"], &["save", "load"]];
    const FILES: &[(&str, &str)] = &[
        ("lib.rs", "pub use save::plan::Plan;\npub use error::Error;\n"),
        ("error.rs", "pub enum Error {}\n"),
        ("manager.rs", "use crate::save::plan::Plan;\nuse crate::Error;\n"),
        ("save/plan.rs", "use crate::catalog::directory::Dir;\nuse super::arena::Arena;\n"),
        ("save/arena.rs", "use crate::format::codec::Codec;\n"),
        ("load/read.rs", "use crate::format::codec::Codec;\nuse crate::Error;\n"),
        ("catalog/directory.rs", "use crate::error::Error;\n"),
        ("format/codec.rs", "pub struct Codec;\n"),
    ];

    fn graph(files: &[(&str, &str)]) -> Graph {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| Source::new(&format!("{HOME}{path}"), text)).collect();
        Graph::of(HOME, &sources)
    }

    /// What is found if one file more is there, or another text in it.
    fn rooms_with(path: &'static str, text: &'static str) -> Vec<String> {
        let mut files: Vec<_> = FILES.iter().copied().filter(|file| file.0 != path).collect();
        files.push((path, text));
        check_rooms(HOME, LEVELS, &graph(&files)).iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(found: &[String], expected: &str) {
        assert!(matches!(found, [only] if only.contains(expected)), "{found:#?}");
    }

    #[test]
    fn down_passes() {
        assert!(check_rooms(HOME, LEVELS, &graph(FILES)).is_empty());
        let test =
            "#[cfg(test)]\nmod tests {\n use crate::save::plan::Plan;\n}\npub struct Codec;\n";
        assert!(rooms_with("format/codec.rs", test).is_empty());
    }

    #[test]
    fn up_and_sideways_fail() {
        let up = "pub struct Codec;\nfn f(_: crate::save::plan::Plan) {}\n";
        check(&rooms_with("format/codec.rs", up), "codec.rs:2: `format` must not import `save`");
        let sideways = "use crate::save::{arena::Arena};\n";
        check(&rooms_with("load/read.rs", sideways), "`load` must not import `save`");
        let to_the_root = "use crate::manager::Manager;\n";
        check(&rooms_with("load/read.rs", to_the_root), "`load` must not import `manager`");
    }

    #[test]
    fn the_crate_root_is_for_others() {
        let through = "use crate::{Error, Plan};\n";
        let expected = "read.rs:1: `Plan` is imported through the crate root";
        check(&rooms_with("load/read.rs", through), expected);
        check(&rooms_with("manager.rs", "use crate::Plan;\n"), "through the crate root");
    }

    #[test]
    fn every_folder_has_a_level_and_every_level_its_folders() {
        check(&rooms_with("exchange/foreign.rs", "fn f() {}\n"), "a folder without a level");
        let mut files = FILES.to_vec();
        files.retain(|(path, _)| !path.starts_with("load/"));
        let found = check_rooms(HOME, LEVELS, &graph(&files));
        assert!(found[0].to_string().contains("src/load:1: a folder of the table"), "{found:?}");
    }

    #[test]
    fn a_crate_without_folders_is_left_alone() {
        let flat = [("save.rs", "use crate::load::A;\n"), ("load.rs", "use crate::save::B;\n")];
        assert!(check_rooms(HOME, LEVELS, &graph(&flat)).is_empty());
    }

    fn found_circles(files: &[(&str, &str)]) -> Vec<String> {
        circles(&graph(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_is_one_finding_with_its_way() {
        assert!(found_circles(FILES).is_empty());
        let files = [
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", "\nuse crate::c::C;\n"),
            ("c.rs", "use super::a::A;\n"),
            ("d.rs", "use crate::a::A;\n"),
        ];
        let expected = "crates/a/src/a.rs:1: a circle of modules: a → b (crates/a/src/a.rs:1) → \
                        c (crates/a/src/b.rs:2) → a (crates/a/src/c.rs:1)";
        check(&found_circles(&files), expected);
    }

    #[test]
    fn circles_of_folders_and_through_the_root_are_found() {
        let folders = [
            ("a/one.rs", "use crate::b::two::Two;\n"),
            ("b/two.rs", "fn f() {}\n"),
            ("b/three.rs", "use crate::a::one::One;\n"),
        ];
        check(&found_circles(&folders), "a → b (crates/a/src/a/one.rs:1) → a");
        let root = [
            ("lib.rs", "pub use a::A;\n"),
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", "use crate::A;\n"),
        ];
        check(&found_circles(&root), "a → b");
    }

    #[test]
    fn a_module_and_what_is_below_it_are_one() {
        let files = [
            ("a.rs", "use self::b::B;\npub struct A;\n"),
            ("a/b.rs", "use super::A;\nuse super::c::C;\n"),
            ("a/c.rs", "use crate::a::A;\n"),
        ];
        assert!(found_circles(&files).is_empty());
        let inside = [("a/b.rs", "use super::c::C;\n"), ("a/c.rs", "use super::b::B;\n")];
        check(&found_circles(&inside), "a::b → a::c");
    }
}
