//! Modules of one crate that import each other in a loop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::finding::Finding;
use crate::project::Project;
use crate::rust_file::{Reference, RustFile};

/// `crate::a::b` as `["a", "b"]`; the root is empty.
type Module = Vec<String>;
/// From each module to those it imports, with the path and line of one import.
type Graph = BTreeMap<Module, BTreeMap<Module, (String, usize)>>;

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut crates: BTreeMap<String, Vec<(Module, &RustFile)>> = BTreeMap::new();
    for file in project.rust_files.iter().filter(|file| !file.is_test) {
        if let Some((source, module)) = module_of(&file.path) {
            crates.entry(source).or_default().push((module, file));
        }
    }
    crates.values().flat_map(|files| loops(&graph(files))).collect()
}

/// The source folder and the module of a file; a `main.rs` beside a `lib.rs` counts as the same root.
fn module_of(path: &str) -> Option<(String, Module)> {
    let at = path.find("src/")? + "src/".len();
    let (source, inside) = path.split_at(at);
    let mut module: Module = inside.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    match module.last().map(String::as_str) {
        Some("mod") => drop(module.pop()),
        Some("lib" | "main") if module.len() == 1 => drop(module.pop()),
        _ => {}
    }
    Some((source.to_owned(), module))
}

fn graph(files: &[(Module, &RustFile)]) -> Graph {
    let modules: BTreeSet<&Module> = files.iter().map(|(module, _)| module).collect();
    let mut graph = Graph::new();
    for (module, file) in files {
        let edges = graph.entry(module.clone()).or_default();
        for reference in file.references.iter().filter(|reference| !reference.is_test) {
            if let Some(target) = target(&modules, module, reference)
                && target != *module
            {
                edges.entry(target).or_insert_with(|| (file.path.clone(), reference.line));
            }
        }
    }
    graph
}

/// The module of this crate that the reference leads into.
fn target(modules: &BTreeSet<&Module>, module: &Module, reference: &Reference) -> Option<Module> {
    let here: Module = [module.as_slice(), &reference.scope].concat();
    let (mut path, mut rest) = match reference.segments.split_first()? {
        (first, rest) if first == "crate" => (Vec::new(), rest),
        (first, rest) if first == "self" => (here, rest),
        (first, _) if first == "super" => (here, reference.segments.as_slice()),
        (first, _) => {
            let child = [here.as_slice(), std::slice::from_ref(first)].concat();
            if reference.segments.len() < 2 || !modules.contains(&child) {
                return None;
            }
            (here, reference.segments.as_slice())
        }
    };
    while let Some((first, after)) = rest.split_first().filter(|(first, _)| *first == "super") {
        debug_assert_eq!(first, "super");
        path.pop();
        rest = after;
    }
    path.extend_from_slice(rest);
    while !modules.contains(&path) {
        path.pop()?;
    }
    Some(path)
}

/// One finding for each set of modules that reach each other.
fn loops(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: BTreeSet<&Module> = BTreeSet::new();
    for start in graph.keys() {
        if told.contains(start) {
            continue;
        }
        let Some(cycle) = shortest_loop(graph, start) else { continue };
        let from_start = reachable(graph, start);
        told.extend(from_start.into_iter().filter(|module| reachable(graph, module).contains(start)));
        findings.push(describe(graph, &cycle));
    }
    findings
}

fn reachable<'g>(graph: &'g Graph, start: &Module) -> BTreeSet<&'g Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = graph.get(start).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(module) = open.pop() {
        if seen.insert(module) {
            open.extend(graph.get(module).into_iter().flat_map(BTreeMap::keys));
        }
    }
    seen
}

/// The modules of the shortest way from `start` back to it, without the last.
fn shortest_loop<'g>(graph: &'g Graph, start: &'g Module) -> Option<Vec<&'g Module>> {
    let mut before: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(module) = open.pop_front() {
        for next in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let mut cycle = vec![module];
                while cycle[cycle.len() - 1] != start {
                    cycle.push(before[cycle[cycle.len() - 1]]);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if next != start && !before.contains_key(next) {
                before.insert(next, module);
                open.push_back(next);
            }
        }
    }
    None
}

fn describe(graph: &Graph, cycle: &[&Module]) -> Finding {
    let mut text = name(cycle[0]);
    let following = cycle.iter().skip(1).chain(cycle.first());
    for (from, to) in cycle.iter().zip(following) {
        let (path, line) = &graph[*from][*to];
        text += &format!(" -> {} ({path}:{line})", name(to));
    }
    let (path, line) = &graph[cycle[0]][cycle[1 % cycle.len()]];
    let what = format!("modules import each other in a loop: {text}: move what both need into a lower one");
    Finding::new(path, *line, what)
}

fn name(module: &Module) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    const LIB: (&str, &str) = ("crates/a/src/lib.rs", "mod x;\nmod y;\nmod z;\n");

    #[test]
    fn a_loop_is_printed_with_its_imports() {
        let found = lines(
            check,
            &[
                LIB,
                ("crates/a/src/x.rs", "use crate::y::Y;\n"),
                ("crates/a/src/y.rs", "\nuse super::z::Z;\n"),
                ("crates/a/src/z.rs", "fn f() { crate::x::g() }\n"),
            ],
        );
        assert_eq!(
            found,
            ["crates/a/src/x.rs:1: modules import each other in a loop: x -> y (crates/a/src/x.rs:1) -> \
              z (crates/a/src/y.rs:2) -> x (crates/a/src/z.rs:1): move what both need into a lower one"]
        );
    }

    #[test]
    fn a_declaration_is_no_import() {
        let child = ("crates/a/src/x.rs", "use crate::ROOT;\nuse super::Other;\n");
        assert_eq!(lines(check, &[LIB, child]).len(), 0);
    }

    #[test]
    fn parent_and_child_that_use_each_other_are_a_loop() {
        let parent = ("crates/a/src/x.rs", "mod inner;\nuse inner::I;\npub struct X;\n");
        let child = ("crates/a/src/x/inner.rs", "use super::X;\n");
        let found = lines(check, &[LIB, parent, child]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("x -> x::inner"));
    }

    #[test]
    fn tests_may_look_anywhere() {
        let x = ("crates/a/src/x.rs", "use crate::y::Y;\n");
        let y =
            ("crates/a/src/y.rs", "#[cfg(test)]\nmod tests {\n    use crate::x::X;\n    use super::*;\n}\n");
        assert_eq!(lines(check, &[LIB, x, y]).len(), 0);
    }

    #[test]
    fn a_module_inside_the_file_is_the_file() {
        let x = ("crates/a/src/x.rs", "mod part {\n    use super::X;\n}\nuse part::P;\npub struct X;\n");
        assert_eq!(lines(check, &[LIB, x]).len(), 0);
    }
}
