//! What becomes of each option, and that nothing opens by it.

use super::*;

fn imported(text: &str) -> Imported {
    let imported = import_text(Path::new("m.conf"), text, true);
    imported.check().unwrap_or_else(|error| panic!("{text}\n{}\n{error}", imported.toml));
    imported
}

fn verdicts(imported: &Imported) -> String {
    let letter = |line: &Reported| match line.verdict {
        Verdict::TakenOver => 't',
        Verdict::NotNeeded => 'n',
        Verdict::NotSupported => 's',
        Verdict::Wrong => 'w',
    };
    imported.report.iter().map(letter).collect()
}

/// The lines of what comes out, without comments.
fn lines(imported: &Imported) -> Vec<&str> {
    imported.toml.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn each_option_of_mosquitto_comes_to_something() {
    for (name, sample) in known::samples() {
        let text = format!("listener 1883\n{name} {sample}\n");
        let imported = imported(&text);
        let last = imported.report.last().unwrap();
        assert!(last.note != NOTHING_KNOWN && !last.note.is_empty(), "{last}");
        if !["persistent_client_expiration", "include_dir"].contains(&name) {
            assert_ne!(last.verdict, Verdict::Wrong, "{last}");
        }
    }
}

#[test]
fn lines_that_mosquitto_would_not_take_are_wrong() {
    for (line, expected) in [
        ("allow_anonymos true", "did you mean `allow_anonymous`?"),
        ("allow_anonymous perhaps", "expected true or false"),
        ("password_file", "expected a path behind the option"),
        ("port 65536", "expected a whole number from 1 to 65535"),
        ("listener 1x", "expected a port from 1 to 65535"),
        ("listener 0", "the path of a socket"),
        ("max_qos 3", "expected a whole number from 0 to 2"),
        ("socket_domain ipv5", "expected one of ipv4, ipv6"),
        ("persistent_client_expiration 7", "expected a whole number with one of h, d, w, m, y"),
    ] {
        let imported = imported(&format!("# first\n{line}\n"));
        let said = imported.report[0].to_string();
        assert_eq!(verdicts(&imported), "w", "{said}");
        assert!(said.starts_with("m.conf:2: WRONG") && said.contains(expected), "{said}");
    }
}

#[test]
fn what_mosquitto_takes_once_or_elsewhere_is_wrong() {
    for (text, wanted) in [
        ("listener 1\ncafile a\ncafile b\n", "ttw"),
        ("listener 1\npassword_file a\nlistener 2\npassword_file b\n", "tttw"),
        ("per_listener_settings true\nlistener 1\npassword_file a\nlistener 2\npassword_file b\n", "ttttt"),
        ("allow_anonymous true\nper_listener_settings true\nport 1\n", "twt"),
        ("log_type error\nlog_type warning\n", "tt"),
    ] {
        assert_eq!(verdicts(&imported(text)).replace('n', "t"), wanted, "{text}");
    }
}

#[test]
fn no_secret_is_told() {
    let text = "connection a\nremote_password hush\nbridge_psk hush\npassword hush\nauth_opt_pw hush\nremote_pasword hush\n";
    for line in &imported(text).report[1..] {
        assert!(!line.to_string().contains("hush"), "{line}");
    }
}

#[test]
fn without_a_listener_it_is_this_machine_only() {
    let imported = imported("max_inflight_messages 0\nmax_packet_size 500\nmax_queued_messages 1000\n");
    assert_eq!(verdicts(&imported), "ttt");
    let wanted = [
        "bind = \"127.0.0.1\"",
        "bind = \"::1\"",
        "allow_anonymous = true",
        "in_flight_max = 65535",
        "maximum_packet_size = 1024",
        "queue_messages_max = 1000",
        "queue_overflow = \"drop-newest\"",
    ];
    for line in wanted {
        assert!(lines(&imported).contains(&line), "{line}\n{}", imported.toml);
    }
    assert!(!imported.toml.contains("\"::\""));
}

#[test]
fn a_listener_is_for_nobody_unless_it_is_said() {
    for (text, allowed) in [
        ("listener 1883\n", false),
        ("port 1883\n", false),
        ("bind_address 127.0.0.1\n", false),
        ("listener 1883\nallow_anonymous true\n", true),
        ("listener 1883\nallow_anonymous 1\nauth_plugin /plugin.so\n", false),
        ("per_listener_settings true\nallow_anonymous true\nlistener 1883\n", false),
    ] {
        let imported = imported(text);
        let line = format!("allow_anonymous = {allowed}");
        assert_eq!(
            lines(&imported).iter().filter(|it| it.starts_with("allow_anonymous")).count(),
            1,
            "{text}"
        );
        assert!(lines(&imported).contains(&&*line), "{text}\n{}", imported.toml);
    }
}

#[test]
fn each_listener_has_its_own_users_if_that_is_said() {
    let imported = imported(
        "per_listener_settings true\nlistener 1883\npassword_file a\nlistener 1884 10.0.0.1\nprotocol websockets\n\
         password_file /b\nallow_anonymous true\nlistener 0 run/s\npassword_file /a\n",
    );
    assert_eq!(verdicts(&imported), "ttttttttt");
    let keys = ["bind", "port", "path", "kind", "auth =", "allow_anonymous", "file"];
    let told: Vec<_> =
        lines(&imported).into_iter().filter(|line| keys.iter().any(|key| line.starts_with(key))).collect();
    let wanted = [
        "bind = \"::\"",
        "port = 1883",
        "kind = \"tcp\"",
        "auth = [\"users\"]",
        "allow_anonymous = false",
        "bind = \"10.0.0.1\"",
        "port = 1884",
        "kind = \"ws\"",
        "auth = [\"users-2\"]",
        "allow_anonymous = true",
        "path = \"/run/s\"",
        "kind = \"unix\"",
        "auth = [\"users\"]",
        "allow_anonymous = false",
        "file = \"/a\"",
        "kind = \"password_file\"",
        "file = \"/b\"",
        "kind = \"password_file\"",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn tls_comes_along() {
    let imported = imported(
        "listener 8883\ncertfile c\nkeyfile k\ncafile ca\nrequire_certificate true\nuse_identity_as_username true\n\
         tls_version tlsv1.3\ncrlfile r\nlistener 8884\nprotocol websockets\ncertfile c\nkeyfile k\ncafile ca\n",
    );
    assert_eq!(verdicts(&imported), "ttttttttttttn");
    for line in [
        "kind = \"tls\"",
        "kind = \"wss\"",
        "certificate_file = [\"/c\"]",
        "key_file = [\"/k\"]",
        "client_certificates = \"required\"",
        "client_ca_file = [\"/ca\"]",
        "client_crl_file = [\"/r\"]",
        "tls_version_min = \"1.3\"",
        "user_name = \"common_name\"",
    ] {
        assert!(lines(&imported).contains(&line), "{line}\n{}", imported.toml);
    }
}

#[test]
fn what_cannot_be_kept_closes_the_listener() {
    for text in [
        "listener 1883\nmount_point a/\n",
        "listener 1883\nuse_username_as_clientid true\n",
        "listener 1883\nbind_interface eth0\n",
        "listener 1883 example.org\n",
        "listener 8883\ncertfile c\n",
        "listener 8883\npsk_hint hint\n",
        "clientid_prefixes a-\n",
        "listener 8883\nrequire_certificate true\ncertfile c\nkeyfile k\n",
        "port 1883\nbind_interface eth0\n",
    ] {
        let text = format!("allow_anonymous true\n{text}");
        let imported = imported(&text);
        assert!(imported.count(Verdict::NotSupported) > 0, "{text}");
        // One that is for nobody, so that there is not the one without any.
        assert_eq!(lines(&imported), ["[[listener]]", "auth = []", "allow_anonymous = false"], "{text}");
        assert!(
            imported.toml.contains("# Not open, for it would let in more than before"),
            "{}",
            imported.toml
        );
    }
}

#[test]
fn rules_of_one_listener_do_not_vanish_at_another() {
    let same = imported("acl_file a\nlistener 1883\nlistener 1884\n");
    assert_eq!(verdicts(&same), "ttt");
    let other =
        imported("per_listener_settings true\nlistener 1883\nacl_file a\nlistener 1884\nacl_file b\n");
    assert_eq!(verdicts(&other), "tttss");
    assert!(!lines(&other).contains(&"port = 1884"), "{}", other.toml);
    let none = imported("per_listener_settings true\nlistener 1883\nacl_file a\nlistener 1884\n");
    assert_eq!(verdicts(&none), "ttst");
}

#[test]
fn data_stay_on_the_disk_that_was_chosen() {
    for (text, verdict, line) in [
        ("persistence true\npersistence_location /data/m/\n", "tt", Some("data_dir = \"/data/m/dunlin\"")),
        ("persistence_location /var/lib/mosquitto\npersistence true\n", "nt", None),
        ("persistence_location /data\n", "n", None),
        ("persistence false\npersistence_location /data\n", "tn", None),
    ] {
        let imported = imported(text);
        assert_eq!(verdicts(&imported), verdict, "{text}");
        let told = lines(&imported).into_iter().find(|line| line.starts_with("data_dir"));
        assert_eq!(told, line, "{text}");
    }
}

#[test]
fn more_listeners_than_there_may_be_are_told() {
    let text: String = (1..=400).map(|port| format!("listener {port} localhost\n")).collect();
    let imported = imported(&text);
    assert!(imported.count(Verdict::NotSupported) > 200);
    assert!(imported.count(Verdict::TakenOver) > 100);
}

#[test]
fn a_limit_of_one_of_several_listeners_is_not_that_of_all() {
    assert_eq!(verdicts(&imported("listener 1\nmax_connections 5\nmax_qos 1\nmax_topic_alias 0\n")), "tttt");
    assert_eq!(
        verdicts(&imported("listener 1\nmax_connections 5\nlistener 2\nmax_connections -1\n")),
        "tstn"
    );
    assert_eq!(verdicts(&imported("max_connections 5\nlistener 2\n")), "nt", "it is of no listener");
}
