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
    if is_ours { ours(text) } else { mosquittos(text, kind % 4 == 1) }
});

fn ours(text: &str) {
    match parse(Path::new("a.toml"), text) {
        Ok(config) => assert!(!config.listeners.is_empty(), "there is always a way in"),
        Err(error) => assert!(error.to_string().starts_with("a.toml:"), "{error}"),
    }
}

fn mosquittos(text: &str, has_ipv6: bool) {
    let imported = import_text(Path::new("a.conf"), text, has_ipv6);
    for line in &imported.report {
        let told = line.to_string();
        assert!(told.starts_with(&format!("a.conf:{}: ", line.number)), "{told}");
        assert!(!line.note.is_empty() && !told.contains(char::is_control), "{told}");
    }
    if let Err(error) = imported.check() {
        panic!("{}\n{error}", imported.toml);
    }
    // Nobody comes in without a name unless it was said, or it is this machine only.
    let is_said = text.contains("allow_anonymous");
    let is_local = !["listener", "port", "bind_address"].iter().any(|word| text.contains(word));
    let lets_in = imported.toml.lines().any(|line| line == "allow_anonymous = true");
    assert!(!lets_in || is_said || is_local, "{}", imported.toml);
    // What is lost is told.
    let is_barred = imported.toml.lines().any(|line| line.starts_with("# Not open"));
    let lost = imported.count(Verdict::NotSupported) + imported.count(Verdict::Wrong);
    assert!(!is_barred || lost > 0, "{}", imported.toml);
}
