//! `spec/clauses.toml`: the statements of both versions.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// One numbered normative statement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clause {
    /// `MQTT-3.1.0-1` for 5.0, `MQTT3-3.1.0-1` for 3.1.1.
    pub(crate) id: String,
    pub(crate) about: About,
    pub(crate) level: Level,
    /// One sentence of our own.
    pub(crate) says: String,
    /// Why no line or no test of ours exists.
    pub(crate) reason: Option<String>,
}

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum About {
    Server,
    Client,
    Both,
    Nobody,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Must,
    Should,
    May,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V5_0,
    V3_1_1,
}

impl Clause {
    pub(crate) fn version(&self) -> Version {
        if self.id.starts_with("MQTT3-") { Version::V3_1_1 } else { Version::V5_0 }
    }

    /// The first two numbers of the id: chapter and section.
    pub(crate) fn section(&self) -> (u32, u32) {
        let [chapter, section, ..] = sort_key(&self.id).1;
        (chapter, section)
    }
}

impl About {
    pub(crate) fn is_server(self) -> bool {
        matches!(self, About::Server | About::Both)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            About::Server => "Server",
            About::Client => "Client",
            About::Both => "both",
            About::Nobody => "nobody",
        }
    }
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Must => "must",
            Level::Should => "should",
            Level::May => "may",
        }
    }
}

/// Reads the statements and puts them in the order of their numbers, 5.0 first.
///
/// # Errors
/// If the text is not TOML of this form, an id is malformed or comes twice, or a sentence is empty.
pub(crate) fn parse(text: &str) -> Result<Vec<Clause>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Catalogue {
        clause: Vec<Clause>,
    }
    let mut clauses = toml::from_str::<Catalogue>(text)?.clause;
    let mut ids = BTreeSet::new();
    for clause in &clauses {
        ensure!(is_id(&clause.id), "`{}` is not an id: write MQTT-x.y.z-n or MQTT3-x.y.z-n", clause.id);
        ensure!(ids.insert(&clause.id), "{} stands twice: remove one", clause.id);
        ensure!(!clause.says.trim().is_empty(), "{} says nothing: give it a sentence", clause.id);
        let is_empty_reason = clause.reason.as_ref().is_some_and(|reason| reason.trim().is_empty());
        ensure!(!is_empty_reason, "{} has an empty reason: write it or leave it out", clause.id);
    }
    clauses.sort_by_key(|clause| sort_key(&clause.id));
    Ok(clauses)
}

/// True for `MQTT-x.y.z-n` and `MQTT3-x.y.z-n`.
pub(crate) fn is_id(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("MQTT-").or_else(|| text.strip_prefix("MQTT3-")) else {
        return false;
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let Some((section, number)) = numbers.split_once('-') else { return false };
    section.split('.').count() == 3 && section.split('.').all(is_number) && is_number(number)
}

/// Version, then the four numbers.
pub(crate) fn sort_key(id: &str) -> (Version, [u32; 4]) {
    let version = if id.starts_with("MQTT3-") { Version::V3_1_1 } else { Version::V5_0 };
    let numbers = id.split_once('-').map_or("", |(_, numbers)| numbers);
    let mut key = [0; 4];
    for (place, part) in key.iter_mut().zip(numbers.split(['.', '-'])) {
        *place = part.parse().unwrap_or(u32::MAX);
    }
    (version, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(id: &str) -> String {
        format!("[[clause]]\nid = \"{id}\"\nabout = \"both\"\nlevel = \"must\"\nsays = \"It is so.\"\n")
    }

    #[test]
    fn statements_come_in_the_order_of_their_numbers() {
        let text = ["MQTT3-1.5.3-1", "MQTT-3.10.1-1", "MQTT-3.2.0-1"].map(clause).concat();
        let ids: Vec<_> = parse(&text).expect("well-formed").into_iter().map(|clause| clause.id).collect();
        assert_eq!(ids, ["MQTT-3.2.0-1", "MQTT-3.10.1-1", "MQTT3-1.5.3-1"]);
    }

    #[test]
    fn a_malformed_or_repeated_id_is_refused() {
        assert!(parse(&clause("MQTT-3.1-1")).is_err());
        assert!(parse(&clause("MQTT4-3.1.0-1")).is_err());
        assert!(parse(&[clause("MQTT-3.1.0-1"), clause("MQTT-3.1.0-1")].concat()).is_err());
    }

    #[test]
    fn the_catalogue_of_the_project_is_complete() {
        let clauses =
            parse(include_str!("../../../spec/clauses.toml")).expect("the catalogue is well-formed");
        let count = |version| clauses.iter().filter(|clause| clause.version() == version).count();
        assert_eq!((count(Version::V5_0), count(Version::V3_1_1)), (251, 141));
    }
}
