//! Files and functions that are too long, files that do not say what they are.

use crate::finding::Finding;
use crate::project::Project;
use crate::rust_file::RustFile;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 60;

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    project.rust_files.iter().flat_map(check_file).collect()
}

fn check_file(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        let what =
            format!("{lines} lines, at most {FILE_LINES_MAX}: two things live here, give each its file");
        findings.push(Finding::new(&file.path, FILE_LINES_MAX + 1, what));
    }
    if !file.text.starts_with("//! ") {
        let what = "the first line does not say what this file is: begin with `//! what, chapter`";
        findings.push(Finding::new(&file.path, 1, what));
    }
    for function in &file.functions {
        let lines = function.last_line + 1 - function.first_line;
        if lines > FUNCTION_LINES_MAX {
            let what = format!(
                "`{}` has {lines} lines, at most {FUNCTION_LINES_MAX}: name its steps and call them",
                function.name
            );
            findings.push(Finding::new(&file.path, function.first_line, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    #[test]
    fn a_long_function_is_found_and_its_attributes_do_not_count() {
        let body = "    g();\n".repeat(59);
        let long = format!("//! X.\n\n/// Words.\n#[inline]\nfn f() {{\n{body}}}\n");
        assert_eq!(
            lines(check, &[("crates/a/src/x.rs", &long)]),
            ["crates/a/src/x.rs:5: `f` has 61 lines, at most 60: name its steps and call them"]
        );
        let short = format!("//! X.\n\n/// Words.\nfn f() {{\n{}}}\n", "    g();\n".repeat(58));
        assert_eq!(lines(check, &[("crates/a/src/x.rs", &short)]).len(), 0);
    }

    #[test]
    fn a_long_file_is_found() {
        let text = format!("//! X.\n{}", "// line\n".repeat(600));
        let found = lines(check, &[("crates/a/src/x.rs", &text)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/a/src/x.rs:601: 601 lines"));
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert!(lines(check, &[("crates/a/src/x.rs", "fn f() {}\n")])[0].starts_with("crates/a/src/x.rs:1:"));
        assert_eq!(lines(check, &[("crates/a/src/x.rs", "//! X (3.1).\n")]).len(), 0);
    }
}
