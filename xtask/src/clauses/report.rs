//! `docs/CONFORMANCE.md`: the statements with what keeps and what proves them.

use std::fmt::Write;

use super::catalogue::{Clause, Level, Version};
use super::evidence::{Evidence, Place};

const HEAD: &str = "\
# Conformance

<!-- Written by `cargo xtask clauses` from spec/clauses.toml and the tags in the sources. Do not edit. -->

Every numbered normative statement of MQTT 5.0 and MQTT 3.1.1, in our words; the standards are what counts.
*Kept at* is code that obeys or checks a statement, *proved by* a test, a conversation or a row of packet bytes.
A statement about the Server that nothing proves has a reason, or it is a gap, and a gap is a bug.
";

/// The whole page.
pub(crate) fn render(clauses: &[Clause], evidence: &Evidence) -> String {
    let mut page = String::from(HEAD);
    summary(&mut page, clauses, evidence);
    for version in [Version::V5_0, Version::V3_1_1] {
        line(&mut page, format_args!("\n## MQTT {}", version_name(version)));
        let of_version: Vec<&Clause> = clauses.iter().filter(|clause| clause.version() == version).collect();
        for section in of_version.chunk_by(|a, b| a.section() == b.section()) {
            table(&mut page, version, section, evidence);
        }
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("writing to a String cannot fail");
}

fn summary(page: &mut String, clauses: &[Clause], evidence: &Evidence) {
    line(
        page,
        format_args!(
            "\n| | statements | about the Server | proved | with a reason | gaps | only about the Client | proved |"
        ),
    );
    line(page, format_args!("|---|---|---|---|---|---|---|---|"));
    for version in [Version::V5_0, Version::V3_1_1] {
        let of_version: Vec<&Clause> = clauses.iter().filter(|clause| clause.version() == version).collect();
        let is_proved = |clause: &Clause| !evidence.proofs(&clause.id).is_empty();
        let count =
            |is_it: &dyn Fn(&Clause) -> bool| of_version.iter().filter(|clause| is_it(clause)).count();
        line(
            page,
            format_args!(
                "| MQTT {} | {} | {} | {} | {} | {} | {} | {} |",
                version_name(version),
                of_version.len(),
                count(&|clause| clause.about.is_server()),
                count(&|clause| clause.about.is_server() && is_proved(clause)),
                count(&|clause| clause.about.is_server() && clause.reason.is_some()),
                count(&|clause| evidence.is_gap(clause)),
                count(&|clause| !clause.about.is_server()),
                count(&|clause| !clause.about.is_server() && is_proved(clause)),
            ),
        );
    }
}

fn table(page: &mut String, version: Version, section: &[&Clause], evidence: &Evidence) {
    line(page, format_args!("\n### {}\n", heading(version, section[0].section())));
    line(page, format_args!("| Statement | About | Says | Kept at | Proved by |"));
    line(page, format_args!("|---|---|---|---|---|"));
    for clause in section {
        let level = match clause.level {
            Level::Must => String::new(),
            other => format!(" ({})", other.name()),
        };
        line(
            page,
            format_args!(
                "| {} | {}{level} | {} | {} | {} |",
                clause.id,
                clause.about.name(),
                clause.says.replace('|', "\\|"),
                places(&evidence.keepers(&clause.id)),
                proof(clause, evidence),
            ),
        );
    }
}

fn proof(clause: &Clause, evidence: &Evidence) -> String {
    match &clause.reason {
        Some(reason) => format!("*Reason:* {}", reason.replace('|', "\\|")),
        None if evidence.is_gap(clause) => "**gap**".to_owned(),
        None => places(&evidence.proofs(&clause.id)),
    }
}

fn places(places: &[&Place]) -> String {
    places.iter().map(|place| link(place)).collect::<Vec<_>>().join("<br>")
}

/// Relative to `docs/`, without a line number, which would change with every edit.
fn link(place: &Place) -> String {
    let shown = shown_path(&place.path);
    match &place.name {
        Some(name) => format!("[{shown} › {name}](../{})", place.path),
        None => format!("[{shown}](../{})", place.path),
    }
}

/// `crates/broker/src/shard.rs` is `broker/shard.rs`, `spec/conversations/x.txt` is `conversations/x.txt`.
fn shown_path(path: &str) -> String {
    if let Some(rest) = path.strip_prefix("crates/") {
        return rest.replacen("/src/", "/", 1);
    }
    path.strip_prefix("spec/").unwrap_or(path).to_owned()
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::V5_0 => "5.0",
        Version::V3_1_1 => "3.1.1",
    }
}

fn heading(version: Version, (chapter, section): (u32, u32)) -> String {
    let title = title(version, (chapter, section));
    match section {
        0 => format!("{chapter} {title}"),
        _ => format!("{chapter}.{section} {title}"),
    }
}

fn title(version: Version, section: (u32, u32)) -> &'static str {
    let is_5_0 = version == Version::V5_0;
    match section {
        (1, _) => "Data representation",
        (2, 1) => "Structure of a Control Packet",
        (2, 2) if is_5_0 => "Packet Identifier and properties",
        (2, 2) => "Fixed header",
        (2, _) => "Packet Identifier",
        (3, 1) => "CONNECT",
        (3, 2) => "CONNACK",
        (3, 3) => "PUBLISH",
        (3, 4) => "PUBACK",
        (3, 5) => "PUBREC",
        (3, 6) => "PUBREL",
        (3, 7) => "PUBCOMP",
        (3, 8) => "SUBSCRIBE",
        (3, 9) => "SUBACK",
        (3, 10) => "UNSUBSCRIBE",
        (3, 11) => "UNSUBACK",
        (3, 12) => "PINGREQ",
        (3, 14) => "DISCONNECT",
        (3, 15) => "AUTH",
        (4, 1) => "Session State",
        (4, 2) => "Network Connection",
        (4, 3) => "Quality of Service",
        (4, 4) => "Sending again",
        (4, 5) => "Message receipt",
        (4, 6) => "Message order",
        (4, 7) => "Topic Names and Topic Filters",
        (4, 8) if is_5_0 => "Shared Subscriptions",
        (4, 9) => "Flow control",
        (4, 12) => "Enhanced authentication",
        (4, _) => "Errors",
        (6, _) => "WebSocket",
        _ => "Conformance",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clauses::{catalogue, evidence};
    use crate::project::Project;

    fn page(reason: &str, conversation: &str) -> String {
        let catalogue = format!(
            "[[clause]]\nid = \"MQTT-3.12.4-1\"\nabout = \"server\"\nlevel = \"must\"\nsays = \"An answer comes.\"\n{reason}"
        );
        let clauses = catalogue::parse(&catalogue).expect("the catalogue is well-formed");
        let project = Project::of(&[
            ("spec/conversations/3.12-ping/ping.txt", conversation),
            (
                "crates/broker/src/packets/ping.rs",
                "//! PINGREQ (3.12).\n/// [MQTT-3.12.4-1]\nfn receive() {}\n",
            ),
        ]);
        render(&clauses, &evidence::gather(&project, &mut Vec::new()))
    }

    const KEPT: &str = "[broker/packets/ping.rs › receive](../crates/broker/src/packets/ping.rs)";

    #[test]
    fn a_proved_statement_links_to_code_and_conversation() {
        let page = page("", "# [MQTT-3.12.4-1]");
        let proof = "[conversations/3.12-ping/ping.txt](../spec/conversations/3.12-ping/ping.txt)";
        let row = format!("| MQTT-3.12.4-1 | Server | An answer comes. | {KEPT} | {proof} |");
        assert!(page.contains(&row), "{page}");
        assert!(page.contains("### 3.12 PINGREQ"));
        assert!(page.contains("| MQTT 5.0 | 1 | 1 | 1 | 0 | 0 | 0 | 0 |"), "{page}");
    }

    #[test]
    fn a_gap_is_shown_and_a_reason_takes_its_place() {
        let gap = page("", "# nothing");
        assert!(gap.contains(&format!("{KEPT} | **gap** |")), "{gap}");
        let reasoned = page("reason = \"Not yet.\"", "# nothing");
        assert!(reasoned.contains("| *Reason:* Not yet. |"), "{reasoned}");
    }
}
