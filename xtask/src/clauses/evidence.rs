//! Where the tags stand: a line that keeps a statement, or a test that proves it.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Clause;
use super::tags::{Tag, tags};
use crate::finding::Finding;
use crate::project::Project;
use crate::rust_file::RustFile;

/// Folders outside the crates whose every text is a proof.
const PROOF_FOLDERS: [&str; 3] = ["spec/conversations/", "spec/packets/", "tests/"];
/// The simulator's oracle checks what others keep.
const PROVING_CRATE: &str = "sim";

/// A tagged place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Relative to the root.
    pub(crate) path: String,
    /// Function or type around it.
    pub(crate) name: Option<String>,
    /// From 1; the first line under that name.
    pub(crate) line: usize,
}

/// All tags of the project by statement.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    kept: BTreeMap<String, BTreeSet<Place>>,
    proved: BTreeMap<String, BTreeSet<Place>>,
}

impl Evidence {
    /// Where code obeys the statement, sorted, each path and name once.
    pub(crate) fn keepers(&self, id: &str) -> Vec<&Place> {
        once(self.kept.get(id))
    }

    /// Which tests prove the statement, sorted, each path and name once.
    pub(crate) fn proofs(&self, id: &str) -> Vec<&Place> {
        once(self.proved.get(id))
    }

    /// A statement about the Server that nothing proves and no reason excuses.
    pub(crate) fn is_gap(&self, clause: &Clause) -> bool {
        clause.about.is_server() && clause.reason.is_none() && self.proofs(&clause.id).is_empty()
    }

    /// Every tag with its place.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&str, &Place)> {
        let all = self.kept.iter().chain(&self.proved);
        all.flat_map(|(id, places)| places.iter().map(|place| (id.as_str(), place)))
    }
}

fn once(places: Option<&BTreeSet<Place>>) -> Vec<&Place> {
    let mut places: Vec<&Place> = places.into_iter().flatten().collect();
    places.dedup_by(|a, b| a.path == b.path && a.name == b.name);
    places
}

/// Reads every tag; those that cannot be read become findings.
pub(crate) fn gather(project: &Project, findings: &mut Vec<Finding>) -> Evidence {
    let mut evidence = Evidence::default();
    for file in project.rust_files.iter().filter(|file| file.path.starts_with("crates/")) {
        let is_proving_crate = file.crate_folder() == Some(PROVING_CRATE);
        note(&mut evidence, findings, &file.path, &file.text, |line| {
            (is_proving_crate || file.is_test_line(line), file.name_at(line))
        });
    }
    for file in project.texts.iter().filter(|file| is_proof(&file.path)) {
        let rust = project.rust_files.iter().find(|rust| rust.path == file.path);
        note(&mut evidence, findings, &file.path, &file.text, |line| (true, name_in(rust, &file.text, line)));
    }
    evidence
}

/// A page that explains the form of the conversations is no proof.
fn is_proof(path: &str) -> bool {
    PROOF_FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.ends_with(".md")
}

fn note(
    evidence: &mut Evidence,
    findings: &mut Vec<Finding>,
    path: &str,
    text: &str,
    describe: impl Fn(usize) -> (bool, Option<String>),
) {
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        for tag in tags(text) {
            match tag {
                Tag::Clause(id) => {
                    let (is_proof, name) = describe(line);
                    let side = if is_proof { &mut evidence.proved } else { &mut evidence.kept };
                    side.entry(id).or_default().insert(Place { path: path.to_owned(), name, line });
                }
                Tag::Unreadable(what) => {
                    let what = format!("`[{what}` is no tag: write [MQTT-x.y.z-n], several with commas");
                    findings.push(Finding::new(path, line, what));
                }
            }
        }
    }
}

/// The function around a line of a test, also of one in Python or JavaScript.
fn name_in(rust: Option<&RustFile>, text: &str, line: usize) -> Option<String> {
    if let Some(rust) = rust {
        return rust.name_at(line);
    }
    let lines: Vec<&str> = text.lines().take(line).collect();
    lines.iter().rev().find_map(|text| {
        let text = text.trim_start();
        let after = ["def ", "async def ", "function ", "async function "]
            .iter()
            .find_map(|keyword| text.strip_prefix(keyword))?;
        Some(after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(places: Vec<&Place>) -> Vec<String> {
        places
            .iter()
            .map(|place| format!("{} {}", place.path, place.name.as_deref().unwrap_or("-")))
            .collect()
    }

    fn of(files: &[(&str, &str)]) -> Evidence {
        let mut findings = Vec::new();
        let evidence = gather(&Project::of(files), &mut findings);
        assert_eq!(findings, []);
        evidence
    }

    const BROKER: &str = "\
//! Shard.
/// Takes CONNECT. [MQTT-3.1.0-1]
fn connect() {
    // first [MQTT-3.1.0-1]
}
enum Misdeed {
    /// Again. [MQTT-3.1.0-2]
    SecondConnect,
}
impl Shard {
    // It must answer. [MQTT-3.12.4-1]
    fn pingreq(&self) {}
}
#[cfg(test)]
mod tests {
    // Proves it. [MQTT-3.1.0-1]
    #[test]
    fn connect_is_first() {}
    proptest! {
        #[test]
        fn always(x in 0..9) {
            // [MQTT-3.1.0-2]
        }
    }
}
";

    #[test]
    fn code_keeps_and_tests_prove_under_their_names() {
        let evidence = of(&[("crates/broker/src/shard.rs", BROKER)]);
        assert_eq!(shown(evidence.keepers("MQTT-3.1.0-1")), ["crates/broker/src/shard.rs connect"]);
        assert_eq!(shown(evidence.keepers("MQTT-3.1.0-2")), ["crates/broker/src/shard.rs Misdeed"]);
        assert_eq!(shown(evidence.keepers("MQTT-3.12.4-1")), ["crates/broker/src/shard.rs Shard::pingreq"]);
        assert_eq!(shown(evidence.proofs("MQTT-3.1.0-1")), ["crates/broker/src/shard.rs connect_is_first"]);
        assert_eq!(shown(evidence.proofs("MQTT-3.1.0-2")), ["crates/broker/src/shard.rs always"]);
    }

    #[test]
    fn test_folders_conversations_and_the_simulator_prove() {
        let tag = "//! X. [MQTT-3.1.0-1]\n";
        let evidence = of(&[
            ("crates/broker/tests/play.rs", tag),
            ("crates/sim/src/oracle.rs", tag),
            ("spec/conversations/3.1-connect/first.txt", tag),
            ("spec/conversations/README.md", tag),
            ("tests/paho/test_connect.py", "def test_first():\n    \"\"\"[MQTT-3.1.0-1]\"\"\"\n"),
            ("xtask/src/x.rs", tag),
        ]);
        assert_eq!(evidence.keepers("MQTT-3.1.0-1").len(), 0);
        assert_eq!(
            shown(evidence.proofs("MQTT-3.1.0-1")),
            [
                "crates/broker/tests/play.rs -",
                "crates/sim/src/oracle.rs -",
                "spec/conversations/3.1-connect/first.txt -",
                "tests/paho/test_connect.py test_first",
            ]
        );
    }

    #[test]
    fn a_tag_that_cannot_be_read_is_told() {
        let mut findings = Vec::new();
        gather(&Project::of(&[("spec/packets/connect.txt", "\n# [MQTT-3.1.2-11..13]\n")]), &mut findings);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].path.as_str(), findings[0].line), ("spec/packets/connect.txt", 2));
    }
}
