//! `cargo xtask clauses`: what the specification demands, where it is kept and what proves it.

mod catalogue;
mod evidence;
mod report;
mod tags;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::finding::Finding;
use crate::project::Project;
use catalogue::{Clause, Version};
use evidence::Evidence;

const CATALOGUE: &str = "spec/clauses.toml";
const REPORT: &str = "docs/CONFORMANCE.md";

/// What to do with the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write it, and print the gaps.
    Write,
    /// Compare it with the file on disk; gaps are failures.
    Check,
}

/// Returns true if all is well.
///
/// # Errors
/// If the catalogue cannot be read or the report not be written.
pub(crate) fn run(project: &Project, root: &Path, mode: Mode) -> Result<bool> {
    let text = project.text(CATALOGUE).with_context(|| format!("{CATALOGUE} is missing"))?;
    let clauses = catalogue::parse(text).with_context(|| format!("reading {CATALOGUE}"))?;
    let mut findings: Vec<Finding> = project.unreadable.clone();
    let evidence = evidence::gather(project, &mut findings);
    findings.extend(unknown_tags(&clauses, &evidence));
    findings.extend(stale_reasons(&clauses, &evidence, text));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    let gaps: Vec<&Clause> = clauses.iter().filter(|clause| evidence.is_gap(clause)).collect();
    for clause in &gaps {
        println!("gap: [{}] {}", clause.id, clause.says);
    }
    let report = report::render(&clauses, &evidence);
    let is_current = project.text(REPORT) == Some(report.as_str());
    match mode {
        Mode::Write if !is_current => {
            fs::write(root.join(REPORT), &report).with_context(|| format!("writing {REPORT}"))?;
        }
        Mode::Check if !is_current => println!("{REPORT} is out of date: run `cargo xtask clauses`"),
        Mode::Write | Mode::Check => {}
    }
    println!("{}", summary(&clauses, &evidence, gaps.len()));
    Ok(match mode {
        Mode::Write => findings.is_empty(),
        Mode::Check => findings.is_empty() && gaps.is_empty() && is_current,
    })
}

fn unknown_tags(clauses: &[Clause], evidence: &Evidence) -> Vec<Finding> {
    let is_unknown = |id: &str| clauses.iter().all(|clause| clause.id != id);
    let unknown = evidence.tags().filter(|(id, _)| is_unknown(id));
    unknown
        .map(|(id, place)| {
            Finding::new(
                &place.path,
                place.line,
                format!("no statement is called {id}: look it up in {CATALOGUE}"),
            )
        })
        .collect()
}

fn stale_reasons(clauses: &[Clause], evidence: &Evidence, text: &str) -> Vec<Finding> {
    let is_stale = |clause: &&Clause| clause.reason.is_some() && !evidence.proofs(&clause.id).is_empty();
    clauses
        .iter()
        .filter(is_stale)
        .map(|clause| {
            let line = text.lines().position(|line| line.contains(&format!("\"{}\"", clause.id)));
            let what = format!("{} is proved now: take its reason away", clause.id);
            Finding::new(CATALOGUE, line.map_or(1, |index| index + 1), what)
        })
        .collect()
}

fn summary(clauses: &[Clause], evidence: &Evidence, gaps: usize) -> String {
    let of = |version: Version| clauses.iter().filter(move |clause| clause.version() == version).count();
    let proved = clauses.iter().filter(|clause| !evidence.proofs(&clause.id).is_empty()).count();
    format!(
        "clauses: {} of 5.0 and {} of 3.1.1; {proved} proved, {gaps} about the Server without a test or a reason",
        of(Version::V5_0),
        of(Version::V3_1_1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAUSES: &str = r#"
[[clause]]
id = "MQTT-3.1.0-1"
about = "server"
level = "must"
says = "CONNECT comes first."

[[clause]]
id = "MQTT-6.0.0-4"
about = "server"
level = "must"
says = "The subprotocol is mqtt."
reason = "None yet."
"#;

    fn evidence(text: &str) -> Evidence {
        let mut findings = Vec::new();
        let project = Project::of(&[("spec/conversations/a.txt", text)]);
        let evidence = evidence::gather(&project, &mut findings);
        assert_eq!(findings, []);
        evidence
    }

    #[test]
    fn a_gap_is_a_statement_about_the_server_without_test_and_reason() {
        let clauses = catalogue::parse(CLAUSES).expect("the catalogue is well-formed");
        let gaps = |evidence: &Evidence| clauses.iter().filter(|clause| evidence.is_gap(clause)).count();
        assert_eq!(gaps(&evidence("# nothing")), 1);
        assert_eq!(gaps(&evidence("# first packet [MQTT-3.1.0-1]")), 0);
    }

    #[test]
    fn a_reason_for_a_proved_statement_is_stale() {
        let clauses = catalogue::parse(CLAUSES).expect("the catalogue is well-formed");
        let stale = stale_reasons(&clauses, &evidence("[MQTT-6.0.0-4]"), CLAUSES);
        assert_eq!(stale.len(), 1);
        assert_eq!((stale[0].path.as_str(), stale[0].line), (CATALOGUE, 9));
        assert_eq!(stale_reasons(&clauses, &evidence("[MQTT-3.1.0-1]"), CLAUSES), []);
    }

    #[test]
    fn an_unknown_tag_is_told_with_its_place() {
        let clauses = catalogue::parse(CLAUSES).expect("the catalogue is well-formed");
        let unknown = unknown_tags(&clauses, &evidence("\n# [MQTT-3.1.0-9]"));
        assert_eq!(unknown.len(), 1);
        assert_eq!((unknown[0].path.as_str(), unknown[0].line), ("spec/conversations/a.txt", 2));
    }
}
