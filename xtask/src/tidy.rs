//! `cargo xtask tidy`: the house rules that a program can check.

mod floors;
mod forbidden;
mod imports;
mod loops;
mod names;
mod size;
mod words;

use crate::finding::Finding;
use crate::project::Project;

/// Every break of a rule, sorted by place.
pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let rules = [
        floors::check,
        forbidden::check,
        imports::check,
        loops::check,
        names::check,
        size::check,
        words::check,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(project)).collect();
    findings.extend(project.unreadable.iter().cloned());
    findings.sort();
    findings.dedup();
    findings
}

/// What one rule says of a project of the given files, one line each.
#[cfg(test)]
fn lines(rule: fn(&Project) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    let project = Project::of(files);
    assert_eq!(project.unreadable, [], "the test's files parse");
    rule(&project).iter().map(ToString::to_string).collect()
}
