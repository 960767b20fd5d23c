//! Certificates of Clients, and files that cannot be used.

use std::fs;

use crate::{
    authority::{Authority, FUTURE, Issued, NOW, PAST},
    support::program::Finished,
    world::{Doors, mosquitto, open, shell},
};

const KINDS: &str = "kind = \"tls\"\n";

fn asking(authority: &Authority, choice: &str, more: &str) -> Doors {
    let ca = authority.ca_file();
    let server = authority.server().settings();
    open(&[&format!("{KINDS}{server}client_certificates = \"{choice}\"\nclient_ca_file = {ca:?}\n{more}")])
}

fn publish(doors: &Doors, authority: &Authority, issued: Option<&Issued>) -> Finished {
    let own = issued.map_or(String::new(), Issued::options);
    let options = format!("--cafile {} {own} -q 1 -t a -m 1", authority.ca_file().display());
    mosquitto("mosquitto_pub", doors.ports[0], &options)
}

#[test]
fn clients_must_show_certificates_that_are_good() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other CA"));
    let revoked = authority.revoke(&[7]);
    let mut doors = asking(&authority, "required", &format!("client_crl_file = {revoked:?}\n"));
    publish(&doors, &authority, Some(&authority.client("good", 6))).assert_success();
    for (issued, reason) in [
        (None, "the Client has shown no certificate, and this listener requires one"),
        (Some(authority.client("stolen", 7)), "the certificate of the Client is revoked"),
        (Some(authority.issue("old", &[], 8, PAST)), "the certificate of the Client has expired"),
        (Some(authority.issue("young", &[], 9, FUTURE)), "the certificate of the Client is not valid yet"),
        (
            Some(other.client("foreign", 6)),
            "the certificate of the Client is of a CA that is not in client_ca_file",
        ),
    ] {
        let refused = publish(&doors, &authority, issued.as_ref());
        assert!(!refused.status.success(), "{reason}: {refused:?}");
        doors.await_log(&["connection refused", reason]);
    }
}

#[test]
fn clients_may_show_certificates_but_only_good_ones() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other CA"));
    let doors = asking(&authority, "optional", "");
    publish(&doors, &authority, None).assert_success();
    publish(&doors, &authority, Some(&authority.client("good", 6))).assert_success();
    let refused = publish(&doors, &authority, Some(&other.client("foreign", 6)));
    assert!(!refused.status.success(), "{refused:?}");
}

/// Starts the program with one listener for TLS; it must not start.
fn refuse(authority: &Authority, text: &str) -> String {
    let config = authority.write("dunlin.toml", &format!("[[listener]]\n{KINDS}port = 0\n{text}"));
    let data = authority.folder().join("data");
    let dunlin = env!("CARGO_BIN_EXE_dunlin");
    shell(&format!("{dunlin} serve -c {} --data-dir {}", config.display(), data.display()))
        .assert_code(1)
        .errors()
}

#[test]
fn what_cannot_be_used_is_named_and_the_server_does_not_start() {
    let authority = Authority::new("CA");
    let (good, other) = (authority.server(), authority.issue("other", &["localhost"], 2, NOW));
    let (old, young) = (authority.issue("old", &[], 3, PAST), authority.issue("young", &[], 4, FUTURE));
    let nonsense = authority.write("nonsense.pem", "nonsense\n");
    let broken =
        authority.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let encrypted = authority.write(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let pair = |certificate, key| Issued { certificate, key }.settings();
    for (text, parts) in [
        (
            pair(good.certificate.clone(), other.key.clone()),
            ["server.pem does not belong to the key in", "other.key"],
        ),
        (
            pair(good.certificate.clone(), nonsense.clone()),
            ["nonsense.pem holds no private key", "-----BEGIN PRIVATE KEY"],
        ),
        (
            pair(good.certificate.clone(), encrypted),
            ["encrypted.key cannot be used: the key is encrypted", "openssl pkey"],
        ),
        (
            pair(nonsense.clone(), good.key.clone()),
            ["nonsense.pem holds no certificate", "-----BEGIN CERTIFICATE"],
        ),
        (pair(broken, good.key.clone()), ["broken.pem cannot be used", "certificate cannot be read"]),
        (pair("missing.pem".into(), good.key.clone()), ["cannot read missing.pem", "No such file"]),
        (old.settings(), ["old.pem has expired", "days ago"]),
        (young.settings(), ["young.pem is not valid yet", "clock of this machine"]),
        (
            format!("{}client_certificates = \"required\"\nclient_ca_file = {nonsense:?}\n", good.settings()),
            ["nonsense.pem holds no certificate", "listener `tls`"],
        ),
    ] {
        let said = refuse(&authority, &text);
        for part in parts {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
    assert!(fs::exists(authority.folder().join("data")).is_ok_and(|is_there| !is_there), "nothing was begun");
}
