//! What would become of a message: each kind of receiver, and then what becomes of it.

use crate::{
    support::clients::mosquitto_sub,
    support::server::dunlin,
    tool::{SHARDS, away, connect, json, next_topic, publish, quick, row, said, subscribe, subscriber},
};

const RULES: &str = "\
[[rule]]
deny = \"receive\"
client_ids = \"denied\"
topics = \"a/#\"

[[rule]]
deny = \"publish\"
client_ids = \"meter\"
topics = \"a/#\"

[[rule]]
allow = \"all\"
topics = \"#\"
";

#[test]
fn who_gets_it_is_foretold() {
    for shards in SHARDS {
        let server = quick(shards, "", RULES);
        let mut publisher = connect(&server, "publisher", &[]);
        subscribe(&mut publisher, "a/#", 0b0000_0101, None); // No Local
        let mut both = connect(&server, "both", &[]);
        subscribe(&mut both, "a/+", 0, None);
        subscribe(&mut both, "a/b", 0b0000_1010, Some(7)); // QoS 2, Retain As Published
        let _denied = subscriber(&server, "denied", "a/b", 1);
        away(&server, "away", "+/b", 1);
        let mut members: Vec<_> =
            ["m0", "m1"].map(|it| (it, subscriber(&server, it, "$share/g/a/#", 1))).into();
        let wish = "publish --client publisher -t a/b -q 1 --retain";
        let told = json(&server, wish, 0);
        assert_eq!((&told["allowed"], &told["rule"]["line"]), (&true.into(), &12.into()), "{told}");
        assert_eq!((&told["sessions"], &told["subscriptions"]), (&4.into(), &5.into()));
        assert_eq!(told["retained"]["keeping"], "kept");
        let receivers = &told["receivers"];
        let fate = |client_id: &str| row(receivers, client_id)["fate"].as_str().expect("a text");
        let fates = ["publisher", "both", "denied", "away"].map(fate);
        assert_eq!(fates, ["no-local", "sent", "denied", "queued"], "{shards} shards");
        let both_row = row(receivers, "both");
        assert_eq!((&both_row["qos"], &both_row["retain"]), (&1.into(), &true.into()));
        assert_eq!(
            (&both_row["matched"], &row(receivers, "denied")["ruling"]["rule"]["line"]),
            (&2.into(), &2.into())
        );
        let filters = both_row["subscriptions"].as_array().expect("a list");
        let named = filters.iter().find(|it| it["topic_filter"] == "a/b").expect("a/b");
        assert_eq!((&named["qos"], &named["identifier"]), (&2.into(), &7.into()));
        assert!(row(receivers, "away")["why"].as_str().is_some_and(|why| why.contains("it is away")));
        let group = &told["groups"][0];
        assert_eq!((&group["topic_filter"], &group["members"]), (&"$share/g/a/#".into(), &2.into()));
        let next = group["next"]["client_id"].as_str().expect("a member").to_owned();
        assert_eq!(json(&server, wish, 0), told, "nothing changes by asking");
        // Now it happens.
        assert_eq!(publish(&mut publisher, "a/b", true, b"x"), 0);
        assert_eq!(next_topic(&mut both), "a/b");
        let (_, member) = members.iter_mut().find(|(it, _)| *it == next).expect("a member");
        assert_eq!(next_topic(member), "a/b");
        let after = json(&server, wish, 0);
        assert_eq!(row(&after["receivers"], "away")["queue"]["messages"], 1);
        assert_eq!(
            (&after["retained"]["keeping"], &after["retained"]["set_by"]),
            (&"replaces".into(), &"publisher".into())
        );
        assert_ne!(after["groups"][0]["next"]["client_id"], next.as_str(), "it is the other's turn");
        let removal = json(&server, "publish --client publisher -t a/b --retain --size 0", 0);
        assert_eq!(removal["retained"]["keeping"], "removes");
    }
}

#[test]
fn the_text_says_it_in_short() {
    let server = quick(2, "", RULES);
    let mut publisher = connect(&server, "publisher", &[]);
    let _sub = subscriber(&server, "sub", "a/#", 1);
    let _denied = subscriber(&server, "denied", "a/b", 1);
    away(&server, "away", "a/b", 1);
    publish(&mut publisher, "a/b", false, b"x");
    let text = said(&server, "publish --client publisher -t a/b -q 2", 0);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "yes  \"publisher\" may publish to \"a/b\" with QoS 2");
    assert!(
        lines[1].starts_with("     rule        the rule at ")
            && lines[1].ends_with("rules.toml:12 allows it"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("     Client      connected since ") && lines[2].contains("MQTT 5.0"),
        "{text}"
    );
    assert_eq!(lines[3], "     listener    tcp, provider none");
    assert_eq!(lines[5], "matched by 3 Subscriptions of 3 Sessions", "{text}");
    let line =
        |beginning: &str| lines.iter().find(|line| line.starts_with(beginning)).expect("a line").to_string();
    assert!(
        line("yes   sub").contains("  1  sent at once ") && line("yes   sub").ends_with("a/# (QoS 1)"),
        "{text}"
    );
    assert!(line("wait  away").contains("queued behind 1 message: it is away"), "{text}");
    assert!(line("no    denied").contains("rules.toml:2 denies it"), "{text}");
    let limited = json(&server, "publish --client publisher -t a/b -n 1", 0);
    assert_eq!(limited["receivers"].as_array().map(Vec::len), Some(1));
    assert_eq!(limited["sessions"], 3, "all are counted");
}

/// The exit code is the Reason Code that the Client gets.
#[test]
fn what_refuses_it_is_told() {
    let more =
        "[mqtt]\nqueue_messages_max = 1\nqueue_overflow = \"reject\"\n[limits]\ntopic_levels_max = 4\n";
    for shards in SHARDS {
        let server = quick(shards, more, RULES);
        let mut meter = connect(&server, "meter", &[]);
        let denied = json(&server, "publish --client meter -t a/x -q 1", 135);
        assert_eq!((&denied["allowed"], &denied["rule"]["line"]), (&false.into(), &7.into()));
        assert_eq!(publish(&mut meter, "a/x", false, b"x"), 135);
        let deep = json(&server, "publish --client meter -t 1/2/3/4/5 -q 1", 144);
        assert_eq!(deep["reason"], "a topic has at most 4 levels");
        assert_eq!(publish(&mut meter, "1/2/3/4/5", false, b"x"), 144);
        away(&server, "full", "q", 1);
        json(&server, "publish --client meter -t q -q 1", 0);
        assert_eq!(publish(&mut meter, "q", false, b"x"), 0);
        let refused = json(&server, "publish --client meter -t q -q 1", 151);
        assert!(refused["reason"].as_str().is_some_and(|why| why.contains("\"full\"")), "{refused}");
        assert_eq!(publish(&mut meter, "q", false, b"x"), 151);
        json(&server, "publish --client meter -t q -q 0", 0);
        let large = json(&server, "publish --client meter -t q --size 900000000", 149);
        assert_eq!(large["allowed"], false);
        assert!(said(&server, "publish --client meter -t a/+", 1).is_empty());
    }
}

/// The listener, the provider and the user are those of the connection; what is stated goes over them.
#[test]
fn who_the_client_is_comes_from_its_connection() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("passwords").display().to_string();
    dunlin(&["passwd", "-b", "-c", &file, "ann", "secret"]).await_exit().assert_success();
    let more = format!("[[auth]]\nname = \"staff\"\nkind = \"password_file\"\nfile = \"{file}\"\n");
    let rules = "[[rule]]\nallow = \"all\"\nusers = \"ann\"\ntopics = \"%u/#\"\n";
    let server = quick(3, &more, rules);
    let _sub = mosquitto_sub(&server, "-i c1 -u ann -P secret -t ann/#");
    let told = json(&server, "publish --client c1 -t ann/x", 0);
    let connection = &told["who"]["session"]["connection"];
    assert_eq!(
        (&connection["listener"], &connection["provider"]),
        (&"tcp".into(), &"staff".into()),
        "{told}"
    );
    assert_eq!((&told["who"]["user_name"], &told["who"]["address"]), (&"ann".into(), &"127.0.0.1".into()));
    let text = said(&server, "publish --client c1 -t bob/x", 135);
    assert!(text.contains("listener    tcp, provider staff") && text.contains("user \"ann\""), "{text}");
    // Somebody else who would come.
    json(&server, "publish --client c2 --user ann -t ann/x", 0);
    let nobody = json(&server, "publish --client c2 --user bob -t ann/x", 135);
    assert_eq!(nobody["reason"], "no provider knows such a user");
    let other = json(&server, "publish --client c1 --address 192.0.2.9 -t ann/x", 0);
    assert_eq!((&other["who"]["address"], &other["who"]["is_stated"]), (&"192.0.2.9".into(), &true.into()));
}

/// A topic with very many receivers is answered page by page, with all of them counted.
#[test]
fn very_many_receivers_are_counted() {
    const CLIENTS: usize = 1_500;
    let server = quick(3, "", "");
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = server.raw();
        client.connect(&format!("c{number}"));
        client.subscribe("all");
        clients.push(client);
    }
    let told = json(&server, "publish --client c0 -t all", 0);
    assert_eq!((&told["sessions"], told["receivers"].as_array().map(Vec::len)), (&CLIENTS.into(), Some(100)));
    let told = json(&server, "publish --client c0 -t all -n 5000", 0);
    let rows = told["receivers"].as_array().expect("a list");
    let ids: std::collections::HashSet<&str> =
        rows.iter().filter_map(|row| row["client_id"].as_str()).collect();
    assert_eq!((rows.len(), ids.len()), (CLIENTS, CLIENTS), "each once");
}
