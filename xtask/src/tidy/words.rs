//! Words that stand in no file: notes to oneself, and paths of somebody's machine.

use crate::finding::Finding;
use crate::project::Project;

// Put together here, so that this file does not hold them itself.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const PRIVATE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &project.texts {
        let is_source = file.path.ends_with(".rs");
        for (index, line) in file.text.lines().enumerate() {
            if let Some(path) = PRIVATE_PATHS.into_iter().find(|path| line.contains(path)) {
                let what = format!("`{path}` is a path of one machine: use a relative path");
                findings.push(Finding::new(&file.path, index + 1, what));
            }
            if let Some(note) = NOTES.into_iter().find(|note| is_source && has_word(line, note)) {
                let what = format!("`{note}`: do it, or leave it out");
                findings.push(Finding::new(&file.path, index + 1, what));
            }
        }
    }
    findings
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    #[test]
    fn a_note_to_oneself_is_found_in_sources_only() {
        let note = format!("// {}: later\n", NOTES[0]);
        assert_eq!(lines(check, &[("crates/a/src/x.rs", &note)]).len(), 1);
        assert_eq!(lines(check, &[("STYLE.md", &note)]).len(), 0);
        let part = format!("const {}S: u8 = 1;\n", NOTES[0]);
        assert_eq!(lines(check, &[("crates/a/src/x.rs", &part)]).len(), 0);
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_any_text() {
        let text = format!("run {}me/x\n", PRIVATE_PATHS[2]);
        let found = lines(check, &[("docs/guide/start.md", &text)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("docs/guide/start.md:1: "));
    }
}
