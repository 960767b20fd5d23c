//! The kept seeds of the fuzz targets: one file for each row of spec/packets.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use dunlin_packet::version::ProtocolVersion;

use crate::rows::{self, Kind, Row};

/// Set to have the test write the files instead of comparing them.
const WRITE: &str = "WRITE_FUZZ_CORPUS";

#[test]
fn the_fuzz_corpus_is_what_the_rows_say() {
    check("decode", |_| true);
    check("round_trip", |row| row.kind != Kind::Bad);
}

fn check(target: &str, is_wanted: impl Fn(&Row) -> bool) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut expected = BTreeMap::new();
    for row in rows::all().into_iter().filter(is_wanted) {
        let file = file_name(&row);
        assert!(expected.insert(file.clone(), seed(&row)).is_none(), "{}: {file} twice", row.place);
    }
    if env::var_os(WRITE).is_some() {
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("a folder that can be replaced");
        }
        fs::create_dir_all(&folder).expect("a folder that can be made");
        for (file, bytes) in &expected {
            fs::write(folder.join(file), bytes).expect("a file that can be written");
        }
    }
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let found: BTreeMap<String, Vec<u8>> = entries
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            let file = path.file_name().expect("a name").to_string_lossy().into_owned();
            (file, fs::read(&path).expect("a readable file"))
        })
        .collect();
    assert!(found == expected, "{} differs; {WRITE}=1 and this test again write it", folder.display());
}

/// What the fuzz targets take: the version's number, then the bytes.
fn seed(row: &Row) -> Vec<u8> {
    let version = row.versions.first().copied().unwrap_or(ProtocolVersion::V5_0);
    let mut bytes = vec![version.level() - 3];
    bytes.extend_from_slice(&row.bytes);
    bytes
}

/// File and name of the row: letters, digits and single dashes, as in `publish-qos-1-in-5-0`.
fn file_name(row: &Row) -> String {
    let mut name = format!("{}-", row.file);
    for letter in row.name.chars().map(|letter| letter.to_ascii_lowercase()) {
        match letter {
            'a'..='z' | '0'..='9' => name.push(letter),
            '+' => name.push_str("plus"),
            '#' => name.push_str("hash"),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.trim_end_matches('-').to_owned()
}
