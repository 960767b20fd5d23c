//! Which crate may import which: manifests against the table of floors.

use crate::finding::Finding;
use crate::project::{Project, TextFile};

/// The crates, each with those of ours it may import.
const FLOORS: [(&str, &[&str]); 15] = [
    ("packet", &[]),
    ("net", &[]),
    ("passwords", &[]),
    ("admin-api", &[]),
    ("protocol", &["packet"]),
    ("broker", &["packet", "protocol"]),
    ("client", &["protocol", "packet", "net", "passwords"]),
    ("store", &["packet", "protocol", "broker"]),
    ("auth", &["packet", "broker", "passwords"]),
    ("cli", &["client", "packet", "net", "admin-api", "passwords"]),
    ("bench", &["packet", "net"]),
    ("cluster", &["broker", "store"]),
    ("sim", &["broker", "protocol", "packet", "store", "cluster"]),
    ("server", &["packet", "protocol", "broker", "net", "admin-api", "client", "store", "auth", "cluster"]),
    ("dunlin", &["server", "store", "cli", "bench"]),
];
/// What the simulator does without even in its tests.
const NEVER_IN_SIM: [&str; 3] = ["dunlin-server", "dunlin-cli", "tokio"];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    project.texts.iter().filter_map(|file| Some((file, crate_of_manifest(&file.path)?))).fold(
        Vec::new(),
        |mut findings, (file, name)| {
            findings.extend(check_manifest(file, name));
            findings
        },
    )
}

fn crate_of_manifest(path: &str) -> Option<&str> {
    let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (!name.contains('/')).then_some(name)
}

fn check_manifest(file: &TextFile, name: &str) -> Vec<Finding> {
    let Some((_, allowed)) = FLOORS.iter().find(|(floor, _)| *floor == name) else {
        let what = format!("the crate `{name}` stands on no floor: give it one in xtask/src/tidy/floors.rs");
        return vec![Finding::new(&file.path, 1, what)];
    };
    let manifest: toml::Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(&file.path, 1, format!("not a manifest: {error}"))],
    };
    let mut findings = Vec::new();
    for dependency in dependencies(&manifest) {
        let line = line_of(&file.text, &dependency.key);
        let ours = dependency.package.strip_prefix("dunlin-");
        if let Some(ours) = ours
            && !dependency.is_dev
            && !allowed.contains(&ours)
        {
            let may = if allowed.is_empty() { "nothing of ours".into() } else { allowed.join(", ") };
            let what = format!("`{name}` imports `{ours}`, but may import {may}: turn the arrow round");
            findings.push(Finding::new(&file.path, line, what));
        }
        if name == "sim" && NEVER_IN_SIM.contains(&dependency.package.as_str()) {
            let what =
                format!("the simulator imports `{}`: simulate what it does instead", dependency.package);
            findings.push(Finding::new(&file.path, line, what));
        }
    }
    findings
}

struct Dependency {
    key: String,
    package: String,
    is_dev: bool,
}

/// Those of the package and those of each `[target.*]`.
fn dependencies(manifest: &toml::Table) -> Vec<Dependency> {
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let mut found = Vec::new();
    for table in tables {
        for (section, is_dev) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let Some(section) = table.get(section).and_then(toml::Value::as_table) else { continue };
            for (key, value) in section {
                let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned();
                found.push(Dependency { key: key.clone(), package, is_dev });
            }
        }
    }
    found
}

fn line_of(text: &str, key: &str) -> usize {
    let is_it = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    text.lines().position(is_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    #[test]
    fn an_arrow_that_runs_up_is_found() {
        let manifest = "[dependencies]\ndunlin-packet.workspace = true\ndunlin-server.workspace = true\n";
        let found = lines(check, &[("crates/broker/Cargo.toml", manifest)]);
        assert_eq!(
            found,
            ["crates/broker/Cargo.toml:3: `broker` imports `server`, but may import packet, protocol: \
              turn the arrow round"]
        );
    }

    #[test]
    fn a_renamed_dependency_is_seen_through() {
        let manifest = "[dependencies]\nwire = { package = \"dunlin-net\", path = \"../net\" }\n";
        let found = lines(check, &[("crates/protocol/Cargo.toml", manifest)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/protocol/Cargo.toml:2: `protocol` imports `net`"));
    }

    #[test]
    fn dev_dependencies_are_free_except_in_sim() {
        let manifest = "[dev-dependencies]\ndunlin-server.workspace = true\ntokio.workspace = true\n";
        assert_eq!(lines(check, &[("crates/client/Cargo.toml", manifest)]), [] as [&str; 0]);
        assert_eq!(lines(check, &[("crates/sim/Cargo.toml", manifest)]).len(), 2);
    }

    #[test]
    fn a_crate_without_a_floor_is_told() {
        let found = lines(check, &[("crates/attic/Cargo.toml", "[package]\nname = \"dunlin-attic\"\n")]);
        assert!(found[0].contains("stands on no floor"));
    }
}
