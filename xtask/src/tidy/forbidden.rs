//! Calls, types and attributes that a crate does without.

use crate::finding::Finding;
use crate::project::Project;
use crate::rust_file::RustFile;

/// Crates that are pure: input in, output out, time as an argument.
const PURE: [&str; 3] = ["packet", "protocol", "broker"];
/// The one file of the broker with atomics.
const ATOMICS: &str = "routing/interest.rs";
const PRINTING: [&str; 4] = ["println", "print", "eprintln", "eprint"];
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    project.rust_files.iter().flat_map(check_file).collect()
}

fn check_file(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |line: usize, what: String| findings.push(Finding::new(&file.path, line, what));
    for (name, line) in &file.attributes {
        if name == "ignore" {
            note(*line, "a test that never runs proves nothing: make it pass or remove it".into());
        }
    }
    for path in &file.paths {
        let last = path.segments.last().map_or("", String::as_str);
        if path.is_macro_call && UNFINISHED.contains(&last) {
            note(path.line, format!("`{last}!` is unfinished work: finish or remove it"));
        }
        if path.ends_with(&["thread", "sleep"]) && file.is_test_line(path.line) {
            note(path.line, "a test sleeps: wait for the event instead".into());
        }
        if !file.is_test_line(path.line)
            && let Some(what) = forbidden_in_crate(file, &path.segments, path.is_macro_call)
        {
            note(path.line, what);
        }
    }
    for reference in file.references.iter().filter(|reference| reference.is_import) {
        if reference.segments.ends_with(&["thread".into(), "sleep".into()])
            && file.is_test_line(reference.line)
        {
            note(reference.line, "a test sleeps: wait for the event instead".into());
        }
        if !file.is_test_line(reference.line)
            && let Some(what) = forbidden_in_crate(file, &reference.segments, false)
        {
            note(reference.line, what);
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn forbidden_in_crate(file: &RustFile, segments: &[String], is_macro_call: bool) -> Option<String> {
    let folder = file.crate_folder()?;
    if folder == "sim" {
        return forbidden_in_sim(segments);
    }
    if !PURE.contains(&folder) {
        return None;
    }
    if folder == "broker" && is_atomic(segments) && file.path_in_src() != Some(ATOMICS) {
        return Some(format!("`broker` has atomics only in {ATOMICS}: pass a value or move it there"));
    }
    forbidden_in_pure(segments, is_macro_call)
        .map(|(what, instead)| format!("`{folder}` has no {what}: {instead}"))
}

fn forbidden_in_pure(segments: &[String], is_macro_call: bool) -> Option<(String, &'static str)> {
    let has = |name: &str| segments.iter().any(|segment| segment == name);
    let starts = |second: &str| segments.len() > 1 && segments[0] == "std" && segments[1] == second;
    let last = segments.last()?;
    if has("SystemTime") || segments.ends_with(&["Instant".into(), "now".into()]) {
        return Some(("clock".into(), "take the time as an argument"));
    }
    if let Some(second) = ["net", "fs", "thread"].into_iter().find(|second| starts(second)) {
        return Some((
            format!("`std::{second}`"),
            "say what is wanted in the output and let the server do it",
        ));
    }
    if has("Mutex") || has("RwLock") {
        return Some(("lock".into(), "one owner holds the state behind `&mut self`"));
    }
    if last == "async" || last == "await" {
        return Some(("`async`".into(), "return and be called again"));
    }
    if last == "unsafe" {
        return Some(("`unsafe`".into(), "write it safely, or it belongs in another crate"));
    }
    if is_macro_call && PRINTING.contains(&last.as_str()) {
        return Some((format!("`{last}!`"), "use a `tracing` event in `broker`, a return value elsewhere"));
    }
    None
}

fn forbidden_in_sim(segments: &[String]) -> Option<String> {
    let is_std_net = segments.len() > 1 && segments[0] == "std" && segments[1] == "net";
    let is_tokio = segments.len() > 1 && segments[0] == "tokio";
    (is_std_net || is_tokio).then(|| "`sim` has no real socket and no runtime: simulate it".to_owned())
}

fn is_atomic(segments: &[String]) -> bool {
    let is_type = |segment: &String| {
        segment.strip_prefix("Atomic").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    segments.iter().any(is_type) || segments.ends_with(&["sync".into(), "atomic".into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    fn in_broker(text: &str) -> Vec<String> {
        lines(check, &[("crates/broker/src/shard.rs", text)])
    }

    #[test]
    fn a_pure_crate_has_no_clock() {
        assert_eq!(
            in_broker("fn f() { let _ = Instant::now(); }"),
            ["crates/broker/src/shard.rs:1: `broker` has no clock: take the time as an argument"]
        );
        assert_eq!(in_broker("use std::time::{Duration, SystemTime};").len(), 1);
        assert_eq!(in_broker("fn f(now: Instant) -> Instant { now }").len(), 0);
    }

    #[test]
    fn a_pure_crate_has_no_input_output_threads_or_locks() {
        for text in [
            "use std::{fs, time};",
            "use std::net::TcpStream;",
            "fn f() { std::thread::spawn(|| {}); }",
            "struct S { m: std::sync::Mutex<u8> }",
            "use std::sync::RwLock;",
            "async fn f() {}",
            "fn f() { unsafe { g() } }",
            "fn f() { println!(\"x\"); }",
            "fn f() { vec![std::fs::read(\"x\")]; }",
        ] {
            assert_eq!(in_broker(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn other_crates_and_tests_may() {
        let text = "use std::net::TcpStream;\nasync fn f() {}\n";
        assert_eq!(lines(check, &[("crates/server/src/lobby.rs", text)]).len(), 0);
        assert_eq!(lines(check, &[("crates/broker/tests/play.rs", text)]).len(), 0);
        assert_eq!(in_broker("#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n").len(), 0);
    }

    #[test]
    fn the_broker_has_atomics_in_one_file() {
        let text = "use std::sync::atomic::AtomicU64;";
        assert_eq!(in_broker(text).len(), 1);
        assert_eq!(lines(check, &[("crates/broker/src/routing/interest.rs", text)]).len(), 0);
    }

    #[test]
    fn the_simulator_has_no_socket_and_no_runtime() {
        assert_eq!(lines(check, &[("crates/sim/src/world.rs", "use std::net::SocketAddr;")]).len(), 1);
        assert_eq!(lines(check, &[("crates/sim/src/world.rs", "fn f() { tokio::spawn(g()); }")]).len(), 1);
    }

    #[test]
    fn unfinished_work_and_sleeping_tests_are_found_everywhere() {
        let text = "fn f() { todo!() }\n#[test]\n#[ignore]\nfn t() { std::thread::sleep(d); dbg!(1); }\n";
        let found = lines(check, &[("xtask/src/x.rs", text)]);
        let at: Vec<_> = found.iter().filter_map(|line| line.split(':').nth(1)).collect();
        assert_eq!(at, ["1", "3", "4", "4"], "{found:?}");
        assert_eq!(lines(check, &[("crates/server/src/x.rs", "fn f() { std::thread::sleep(d) }")]).len(), 0);
    }
}
