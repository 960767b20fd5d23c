//! Reads the rows of spec/packets; README.md there tells the format.

use std::{fs, path::Path};

use dunlin_packet::version::ProtocolVersion;

/// One paragraph of a file.
pub(crate) struct Row {
    /// File and number of the first line, for messages.
    pub(crate) place: String,
    /// The name of the file, without ending.
    pub(crate) file: String,
    /// Good, legal or bad.
    pub(crate) kind: Kind,
    /// The versions it holds for.
    pub(crate) versions: Vec<ProtocolVersion>,
    /// What the row shows.
    pub(crate) name: String,
    /// The packet.
    pub(crate) bytes: Vec<u8>,
    /// The packet in short form, or Reason Code and text of the error.
    pub(crate) outcome: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Good,
    Legal,
    Bad,
}

/// Reads all rows, sorted by file.
pub(crate) fn all() -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/packets");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    let rows: Vec<Row> = paths.iter().flat_map(|path| read_file(path)).collect();
    assert!(rows.len() > 300, "only {} rows in {}", rows.len(), folder.display());
    rows
}

fn read_file(path: &Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut rows = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    for (index, line) in text.lines().chain([""]).enumerate() {
        match line.trim() {
            "" if paragraph.is_empty() => {}
            "" => rows.push(parse_row(&file, index + 1 - paragraph.len(), &std::mem::take(&mut paragraph))),
            comment if comment.starts_with('#') => {}
            line => paragraph.push(line),
        }
    }
    rows
}

fn parse_row(file: &str, line: usize, lines: &[&str]) -> Row {
    let place = format!("spec/packets/{file}.txt:{line}");
    let head = lines[0].split_once("  [").map_or(lines[0], |(head, _)| head);
    let mut words = head.splitn(3, ' ');
    let kind = match words.next() {
        Some("good") => Kind::Good,
        Some("legal") => Kind::Legal,
        Some("bad") => Kind::Bad,
        other => panic!("{place}: {other:?} is no kind of row"),
    };
    let versions =
        words.next().expect("versions").split(',').map(|word| parse_version(&place, word)).collect();
    let name = words.next().unwrap_or_else(|| panic!("{place}: what does the row show?")).to_owned();
    let is_outcome = |line: &&str| line.starts_with("= ") || line.starts_with("! ");
    let cut = lines.iter().position(is_outcome).unwrap_or_else(|| panic!("{place}: no outcome"));
    assert_eq!(lines[cut].starts_with('!'), kind == Kind::Bad, "{place}: kind and outcome differ");
    let bytes = parse_bytes(&place, &lines[1..cut].join(" "));
    let outcome = lines[cut..].join(" ")[2..].to_owned();
    Row { place, file: file.to_owned(), kind, versions, name, bytes, outcome }
}

fn parse_version(place: &str, word: &str) -> ProtocolVersion {
    match word {
        "3.1" => ProtocolVersion::V3_1,
        "3.1.1" => ProtocolVersion::V3_1_1,
        "5.0" => ProtocolVersion::V5_0,
        other => panic!("{place}: {other} is no version"),
    }
}

/// `3F`, `3F*20` and `"text"`, one after the other.
fn parse_bytes(place: &str, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        for word in part.split_whitespace() {
            let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
            let byte =
                u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{place}: {word} is no byte"));
            let times = times.parse().unwrap_or_else(|_| panic!("{place}: {word} is no repetition"));
            bytes.extend(std::iter::repeat_n(byte, times));
        }
    }
    bytes
}
