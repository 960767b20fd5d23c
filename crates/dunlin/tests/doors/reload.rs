//! Certificates that change while the Server runs.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use crate::{
    authority::{Authority, Issued, NOW, PAST},
    world::{Doors, expect_delivery, mosquitto, open_with, s_client, subscriber},
};

const QUICK: &str = "[tls]\nwatch_interval_s = 1\n";

/// Links `current` to the files of `issued`, as Kubernetes and certbot do.
fn link(authority: &Authority, issued: &Issued) -> Issued {
    let linked = |name: &str, file: &PathBuf| {
        let (link, new) = (authority.folder().join(name), authority.folder().join("new-link"));
        symlink(file, &new).expect("a link can be made");
        fs::rename(&new, &link).expect("a link can be replaced");
        link
    };
    Issued {
        certificate: linked("current.pem", &issued.certificate),
        key: linked("current.key", &issued.key),
    }
}

fn shown(doors: &Doors) -> String {
    let said = s_client(doors.ports[0], "-servername localhost");
    let subject = said.lines().find(|line| line.starts_with("subject="));
    subject.unwrap_or_else(|| panic!("no certificate: {said}")).to_owned()
}

#[test]
fn a_new_certificate_is_shown_to_new_clients_and_nobody_is_dropped() {
    let authority = Authority::new("CA");
    let [first, second, old] = [("first", NOW), ("second", NOW), ("old", PAST)]
        .map(|(name, years)| authority.issue(name, &["localhost", "127.0.0.1"], 1, years));
    let current = link(&authority, &first);
    let mut doors = open_with(QUICK, &[&format!("kind = \"tls\"\n{}", current.settings())]);
    let ca = format!("--cafile {} -t news", authority.ca_file().display());
    let mut receiver = subscriber(doors.ports[0], &ca);
    assert_eq!(shown(&doors), "subject=CN = first");

    link(&authority, &second);
    doors.await_log(&["certificates and keys are read again", "tls"]);
    assert_eq!(shown(&doors), "subject=CN = second");
    expect_delivery(&doors, &mut receiver, "news", "still-here");

    link(&authority, &old);
    doors.await_log(&["the certificates stay as they were", "current.pem has expired"]);
    assert_eq!(shown(&doors), "subject=CN = second");
    expect_delivery(&doors, &mut receiver, "news", "and-now");
}

#[test]
fn a_client_that_is_revoked_cannot_come_again_even_with_its_ticket() {
    let authority = Authority::new("CA");
    let thief = authority.client("thief", 7);
    let revoked = authority.revoke(&[]);
    let text = format!(
        "kind = \"tls\"\n{}client_certificates = \"required\"\nclient_ca_file = {:?}\nclient_crl_file = {revoked:?}\n",
        authority.server().settings(),
        authority.ca_file()
    );
    let mut doors = open_with(QUICK, &[&text]);
    let publish = |doors: &Doors| {
        let own = thief.options();
        let options = format!("--cafile {} {own} -q 1 -t a -m 1", authority.ca_file().display());
        mosquitto("mosquitto_pub", doors.ports[0], &options)
    };
    publish(&doors).assert_success();
    let ticket = authority.folder().join("ticket");
    let own = format!("-tls1_2 -cert {} -key {}", thief.certificate.display(), thief.key.display());
    s_client(doors.ports[0], &format!("{own} -sess_out {}", ticket.display()));
    let again = format!("-tls1_2 -sess_in {}", ticket.display());
    assert!(s_client(doors.ports[0], &again).contains("Reused, TLSv1.2"), "tickets are worth something");

    authority.revoke(&[7]);
    doors.await_log(&["certificates and keys are read again"]);
    assert!(!publish(&doors).status.success());
    doors.await_log(&["the certificate of the Client is revoked"]);
    assert!(!s_client(doors.ports[0], &again).contains("Reused"), "its ticket is worth nothing now");
}

#[test]
fn a_client_that_is_revoked_is_cut_off_and_the_others_stay() {
    // The list is read when its file changes, and when the Server is asked to.
    for (interval, is_asked) in [("1", false), ("0", true)] {
        let authority = Authority::new("CA");
        let [thief, honest] = [("thief", 7), ("honest", 8)].map(|(name, serial)| {
            let own = authority.client(name, serial).options();
            format!("-V 5 --cafile {} {own} -i {name} -q 1 -t kept/{name}", authority.ca_file().display())
        });
        let text = format!(
            "kind = \"tls\"\n{}client_certificates = \"required\"\nclient_ca_file = {:?}\nclient_crl_file = {:?}\n",
            authority.server().settings(),
            authority.ca_file(),
            authority.revoke(&[])
        );
        let mut doors = open_with(&format!("[tls]\nwatch_interval_s = {interval}\n"), &[&text]);
        for own in [&thief, &honest] {
            mosquitto("mosquitto_pub", doors.ports[0], &format!("{own} -r -m retained")).assert_success();
        }
        let mut cut = subscriber(doors.ports[0], &thief);
        let mut staying = subscriber(doors.ports[0], &honest);
        staying.await_line("the Retained Message", |line| line == "retained");

        authority.revoke(&[7]);
        if is_asked {
            doors.server.signal("HUP");
        }
        let line = doors.await_log(&["disconnecting: the certificate is revoked"]);
        for part in ["thief", "127.0.0.1", "CN=CA", "07"] {
            assert!(line.contains(part), "{line}");
        }
        cut.await_line("DISCONNECT 0x87", |line| line.contains("DISCONNECT (135)"));
        let again = mosquitto("mosquitto_pub", doors.ports[0], &format!("{thief} -m again"));
        assert!(!again.status.success());
        doors.await_log(&["the certificate of the Client is revoked"]);
        expect_delivery(&doors, &mut staying, "kept/honest", "still-here");
        let plain = doors.server.address().port();
        let all = mosquitto("mosquitto_sub", plain, "-t 'kept/#' -v -W 2").text();
        assert_eq!(all.trim(), "kept/honest retained");
    }
}

#[test]
fn a_certificate_that_ends_soon_is_told() {
    let authority = Authority::new("CA");
    let text = format!("kind = \"tls\"\n{}", authority.server().settings());
    let mut doors = open_with("[tls]\nexpiry_warning_days = 3650\n", &[&text]);
    // It ends in 2090: nobody is warned. The same with a certificate that is about to end:
    let soon = authority.issue("soon", &["localhost"], 2, (2020, 2028));
    let mut warned =
        open_with("[tls]\nexpiry_warning_days = 3650\n", &[&format!("kind = \"tls\"\n{}", soon.settings())]);
    // The line may come before those that say where it listens.
    warned.server.signal("TERM");
    let said = warned.server.await_end(crate::support::WAIT).errors();
    assert!(said.contains("soon.pem ends in") && said.contains("days: renew it"), "{said}");
    doors.server.signal("TERM");
    let said = doors.server.await_end(crate::support::WAIT).errors();
    assert!(!said.contains("renew it"), "{said}");
}

#[test]
fn a_listener_takes_other_files_when_the_configuration_says_so() {
    let authority = Authority::new("CA");
    let [first, second] = [("first", NOW), ("second", NOW)]
        .map(|(name, years)| authority.issue(name, &["localhost"], 1, years));
    let doors = open_with("", &[&format!("kind = \"tls\"\n{}", first.settings())]);
    assert_eq!(shown(&doors), "subject=CN = first");
    let mut doors = doors;
    let file = doors.server.folder().join("dunlin.toml");
    let text = fs::read_to_string(&file).expect("it was written by this test");
    let other = text.replace(&first.settings(), &second.settings());
    fs::write(&file, &other).expect("a file can be written");
    doors.server.signal("HUP");
    doors.await_log(&["changed now: [[listener]] tls: certificate_file, [[listener]] tls: key_file"]);
    assert_eq!(shown(&doors), "subject=CN = second");
    fs::write(&file, other.replace("second.key", "none.key")).expect("a file can be written");
    doors.server.signal("HUP");
    doors.await_log(&["nothing is changed", "none.key"]);
    assert_eq!(shown(&doors), "subject=CN = second");
}
