//! Imports come from the file that defines a thing, never through `lib.rs`.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::project::Project;
use crate::rust_file::{Reference, RustFile};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let in_lib = |file: &&RustFile| file.path_in_src() == Some("lib.rs");
    let roots: BTreeMap<&str, &RustFile> = project
        .rust_files
        .iter()
        .filter(in_lib)
        .filter_map(|file| Some((file.crate_folder()?, file)))
        .collect();
    let mut findings = Vec::new();
    for file in &project.rust_files {
        for reference in &file.references {
            if let Some(what) = through_root(&roots, file, reference) {
                findings.push(Finding::new(&file.path, reference.line, what));
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn through_root(roots: &BTreeMap<&str, &RustFile>, file: &RustFile, reference: &Reference) -> Option<String> {
    let [first, second, ..] = reference.segments.as_slice() else { return None };
    let folder = match first.strip_prefix("dunlin_") {
        Some(name) => name.replace('_', "-"),
        None if first == "crate" && file.path_in_src().is_some() => file.crate_folder()?.to_owned(),
        None => return None,
    };
    let root = roots.get(folder.as_str())?;
    let is_glob = root.brought_in.iter().any(|name| name == "*") && !root.root_items.contains(second);
    (is_glob || root.brought_in.contains(second)).then(|| {
        format!("`{first}::{second}` comes through lib.rs: import it from the module that defines it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    const LIB: (&str, &str) =
        ("crates/packet/src/lib.rs", "pub mod connect;\npub use connect::Connect;\npub fn decode() {}\n");

    #[test]
    fn a_reexport_is_not_imported() {
        let user = ("crates/broker/src/shard.rs", "use dunlin_packet::Connect;\n");
        assert_eq!(
            lines(check, &[LIB, user]),
            ["crates/broker/src/shard.rs:1: `dunlin_packet::Connect` comes through lib.rs: \
              import it from the module that defines it"]
        );
    }

    #[test]
    fn modules_and_items_of_the_root_are() {
        let user = (
            "crates/broker/src/shard.rs",
            "use dunlin_packet::connect::{self, Connect};\nuse dunlin_packet::decode;\n",
        );
        assert_eq!(lines(check, &[LIB, user]).len(), 0);
    }

    #[test]
    fn inside_the_crate_the_rule_is_the_same() {
        let inside = ("crates/packet/src/other.rs", "fn f(c: crate::Connect) { crate::decode() }\n");
        let found = lines(check, &[LIB, inside]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("`crate::Connect`"));
    }
}
