//! Configurations of any text, ours and mosquitto's: no panic, every mistake with its file, and what is made of mosquitto's is taken.
//!
//! Input: one byte for the kind of file, then the file.
#![no_main]

use std::path::Path;

use dunlin_server::config::{
    load::parse,
    mosquitto::{import_text, outcome::Verdict},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let is_ours = kind % 2 == 0;
    if is_ours {
        return ours(text);
    }
    let wrong = mosquittos(text, kind % 4 == 1);
    if !wrong.is_empty() {
        // What is left is more likely to be used.
        let good: Vec<&str> = (1..)
            .zip(text.lines())
            .filter(|(number, _)| !wrong.contains(number))
            .map(|(_, line)| line)
            .collect();
        mosquittos(&good.join("\n"), kind % 4 == 1);
    }
});

fn ours(text: &str) {
    match parse(Path::new("a.toml"), text) {
        Ok(config) => assert!(!config.listeners.is_empty(), "there is always a way in"),
        Err(error) => assert!(error.to_string().starts_with("a.toml:"), "{error}"),
    }
}

/// Returns the numbers of the wrong lines.
fn mosquittos(text: &str, has_ipv6: bool) -> Vec<usize> {
    let imported = import_text(Path::new("a.conf"), text, has_ipv6);
    for line in &imported.report {
        let told = line.to_string();
        assert!(told.starts_with(&format!("a.conf:{}: ", line.number)), "{told}");
        assert!(!line.note.is_empty() && !told.contains(char::is_control), "{told}");
    }
    if let Err(error) = imported.check() {
        panic!("{}\n{error}", imported.toml);
    }
    // Nobody comes in without a name unless it was said, or it is this machine only. With wrong lines nothing is used.
    let has = |option: &str| imported.report.iter().any(|line| line.text.split(' ').next() == Some(option));
    let is_local = !["listener", "port", "bind_address"].into_iter().any(has);
    let lets_in = imported.toml.lines().any(|line| line == "allow_anonymous = true");
    let is_used = imported.count(Verdict::Wrong) == 0;
    assert!(!is_used || !lets_in || is_local || has("allow_anonymous"), "{}", imported.toml);
    // What is lost is told.
    let is_barred = imported.toml.lines().any(|line| line.starts_with("# Not open"));
    let lost = imported.count(Verdict::NotSupported) + imported.count(Verdict::Wrong);
    assert!(!is_barred || lost > 0, "{}", imported.toml);
    let wrong = imported.report.iter().filter(|line| line.verdict == Verdict::Wrong);
    wrong.map(|line| line.number).collect()
}
