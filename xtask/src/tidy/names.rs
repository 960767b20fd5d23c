//! Names that the house does not use.

use crate::finding::Finding;
use crate::project::Project;
use crate::rust_file::{Definition, RustFile};

/// Words of a type name that say nothing.
const EMPTY_TYPE_WORDS: [&str; 6] = ["Manager", "Managers", "Helper", "Helpers", "Util", "Utils"];
const EMPTY_MODULE_NAMES: [&str; 6] = ["manager", "managers", "helper", "helpers", "util", "utils"];
/// Short forms, each with the specification's word.
const SHORT_FORMS: [(&str, &str); 3] = [("pkid", "packet_id"), ("mid", "packet_id"), ("lwt", "will")];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    project.rust_files.iter().flat_map(check_file).collect()
}

fn check_file(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in &file.functions {
        let is_free = function.is_in_trait_impl || file.is_test_line(function.first_line);
        if let Some(rest) = function.name.strip_prefix("get_").filter(|_| !is_free) {
            let what = format!("`{}`: name an accessor after what it gives, `{rest}`", function.name);
            findings.push(Finding::new(&file.path, function.first_line, what));
        }
    }
    findings.extend(file.definitions.iter().filter_map(|definition| {
        let word = empty_word(definition)?;
        let what = format!("`{}`: `{word}` says nothing, name what it is or does", definition.name);
        Some(Finding::new(&file.path, definition.line, what))
    }));
    findings.extend(short_forms(file));
    findings
}

fn empty_word(definition: &Definition) -> Option<&'static str> {
    if definition.is_module {
        return EMPTY_MODULE_NAMES.into_iter().find(|name| *name == definition.name);
    }
    EMPTY_TYPE_WORDS.into_iter().find(|word| has_camel_word(&definition.name, word))
}

/// True if `word` stands in `name` and does not go on in lower case.
fn has_camel_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| {
        let next = name[at + word.len()..].chars().next();
        !next.is_some_and(|c| c.is_ascii_lowercase())
    })
}

fn short_forms(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in &file.paths {
        for segment in &path.segments {
            let lower = segment.to_ascii_lowercase();
            if let Some((short, word)) = SHORT_FORMS.iter().find(|(short, _)| is_short_form(&lower, short)) {
                let what = format!("`{segment}`: not `{short}` but the specification's word, `{word}`");
                findings.push(Finding::new(&file.path, path.line, what));
            }
        }
    }
    findings.dedup();
    findings
}

/// `mid` is also a part of ordinary words and names (`mid_level`), so it counts only when it stands alone.
fn is_short_form(name: &str, short: &str) -> bool {
    name == short || (short != "mid" && name.split('_').any(|part| part == short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    fn found(text: &str) -> Vec<String> {
        lines(check, &[("crates/a/src/x.rs", text)])
    }

    #[test]
    fn accessors_have_no_get() {
        assert_eq!(
            found("impl X { fn get_name(&self) -> &str { self.name } }"),
            ["crates/a/src/x.rs:1: `get_name`: name an accessor after what it gives, `name`"]
        );
        assert_eq!(found("impl Other for X { fn get_name(&self) {} }").len(), 0);
        assert_eq!(found("fn get(&self) {}\nfn forget_name() {}").len(), 0);
    }

    #[test]
    fn types_and_modules_are_named_for_what_they_are() {
        assert_eq!(found("struct SessionManager;").len(), 1);
        assert_eq!(found("enum TopicUtils {}").len(), 1);
        assert_eq!(found("trait HelperOf {}").len(), 1);
        assert_eq!(found("mod util {}").len(), 1);
        assert_eq!(found("struct Utilization;").len(), 0);
    }

    #[test]
    fn the_specifications_words_are_used() {
        assert_eq!(found("fn f(pkid: u16) { g!(last_lwt) }").len(), 2);
        assert_eq!(found("let_it!(mid);").len(), 1);
        assert_eq!(found("fn middle(midnight: u16, mid_level: u8) {}").len(), 0);
    }
}
