//! The log of what is refused: the first lines at once, then a count, whatever a Client does.

use crate::{
    support::{
        WAIT,
        raw::{CONNACK, Came, SUBACK, SUBSCRIBE, connect_3_1_1_with_will, packet, text},
    },
    tool::{connect, publish, quick},
};

#[test]
fn a_storm_of_refusals_is_not_a_storm_of_lines() {
    const STORM: usize = 500;
    let server = quick(2, "[limits]\ntopic_levels_max = 2\nretained_messages_max = 1\n", "");
    let mut client = connect(&server, "storm", &[]);
    assert_eq!(publish(&mut client, "kept", true, b"x") & 0x80, 0);
    for number in 0..STORM {
        assert_eq!(publish(&mut client, "1/2/3", false, b"x"), 0x90, "Topic Name invalid");
        // Each shard has room for one.
        publish(&mut client, &format!("r/{number}"), true, b"x");
        let mut body = vec![0, 1, 0];
        text(&mut body, "1/2/3");
        body.push(0);
        client.send(&packet(SUBSCRIBE, &body));
        let Came::Packet(SUBACK, body) = client.next_within(WAIT) else { panic!("no SUBACK") };
        assert_eq!(body.last(), Some(&0x8F), "Topic Filter invalid");
    }
    let finished = server.stop("TERM", WAIT);
    let log = finished.text() + &finished.errors();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let publishes = log.lines().find(|line| line.contains("PUBLISH refused")).expect("the first at once");
    assert!(publishes.contains("storm") && publishes.contains("1/2/3"), "who and what: {publishes}");
    // One Client has one measure for both.
    assert_eq!(lines("PUBLISH refused") + lines("SUBSCRIBE refused"), 5, "{log}");
    assert!((1..=10).contains(&lines("Retained Message not kept")), "each shard has a measure: {log}");
}

/// Who may not leave a Will is refused at CONNECT, and the log says by which rule.
#[test]
fn the_rule_against_a_will_stands_in_the_log() {
    let rules =
        "[[rule]]\ndeny = \"publish\"\ntopics = \"will/#\"\n[[rule]]\nallow = \"all\"\ntopics = \"#\"\n";
    let mut server = quick(1, "", rules);
    let mut client = server.raw();
    client.send(&connect_3_1_1_with_will("c", 60, "will/c", "gone"));
    assert_eq!(client.next_within(WAIT), Came::Packet(CONNACK, vec![0, 5]));
    let line = server.await_line("why it was refused", |line| line.contains("its Will Topic"));
    assert!(
        line.contains("\"will/c\": ") && line.contains("rules.toml:2") && line.contains("client_id=c"),
        "{line}"
    );
}
