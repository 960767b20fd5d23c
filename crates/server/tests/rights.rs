//! The matrix of rights, against a Server in this process: what a Client may do, and when it lost the right to it.

#[path = "rights/papers.rs"]
mod papers;
#[path = "rights/world.rs"]
mod world;

mod support;

use std::fs;

use dunlin_auth::chain::Chain;
use dunlin_packet::{packet::Packet, qos::QoS, reason_code::ReasonCode};
use dunlin_server::{config::model::Config, in_process, start_error::StartError};
use papers::{ANNS, NOBODYS};
use support::{Client, bytes_of, publish, until};
use world::{
    ANN, KEPT, Way, World, ann, ann_with_certificate, enter, enter_3_1_1, expect_cut, ping, sees,
    subscribe_to_both, try_publish, try_subscribe,
};

/// When `ann` has no right, if ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    /// She has it all the time: what the test looks at does happen.
    HasIt,
    NeverHadIt,
    WithdrawnWhileConnected,
    WithdrawnWhileOffline,
    UserDeleted,
    CertificateRevoked,
}

const WHEN: [When; 6] = [
    When::HasIt,
    When::NeverHadIt,
    When::WithdrawnWhileConnected,
    When::WithdrawnWhileOffline,
    When::UserDeleted,
    When::CertificateRevoked,
];

/// One right.
#[derive(Clone, Copy)]
struct Right {
    name: &'static str,
    shards: u8,
    /// The rules with it, and without.
    with: &'static str,
    without: &'static str,
    /// What `ann` does while she may, if she may.
    prepare: fn(&mut World, &mut Client),
    /// Whether what the right is about happens; `ann` is not there if her user is deleted or her
    /// certificate is revoked.
    happens: fn(&mut World, Option<Client>) -> bool,
}

const MAY_PUBLISH: &str = "[[rule]]\nallow = \"publish\"\nusers = \"ann\"\ntopics = [\"t/x\", \"$SYS/x\"]\n";
const MAY_SUBSCRIBE: &str =
    "[[rule]]\nallow = \"subscribe\"\nusers = \"ann\"\ntopics = [\"t/#\", \"$SYS/#\"]\n";
const MAY_NOT_RECEIVE: &str = "[[rule]]\ndeny = \"receive\"\nusers = \"ann\"\ntopics = \"t/x\"\n\
                               [[rule]]\nallow = \"subscribe\"\nusers = \"ann\"\ntopics = \"t/#\"\n";

fn nothing(_: &mut World, _: &mut Client) {}

fn subscribe_to_t(_: &mut World, ann: &mut Client) {
    // Whether it is taken is another right.
    try_subscribe(ann, "t/#");
    assert!(!try_subscribe(ann, "base/#").is_error());
}

/// `root` publishes to `t/x`; whether `ann` gets it.
fn gets(world: &mut World, ann: Option<Client>) -> bool {
    let Some(mut ann) = ann else { return false };
    let mut root = enter(&world.server, "root", "root-1", KEPT).unwrap();
    root.publish("t/x", b"x", Some(1));
    root.publish("base/end", b"", Some(2));
    sees(&mut ann, "t/x")
}

/// To subscribe, by SUBSCRIBE.
const SUBSCRIBING: Right = Right {
    name: "subscribe",
    shards: 2,
    with: MAY_SUBSCRIBE,
    without: "",
    prepare: nothing,
    happens: |_, ann| ann.is_some_and(|mut ann| !try_subscribe(&mut ann, "t/x").is_error()),
};

/// To get what a Subscription matches; the Subscription itself stays.
const RECEIVING: Right = Right {
    name: "deliver",
    shards: 2,
    with: MAY_SUBSCRIBE,
    without: MAY_NOT_RECEIVE,
    prepare: subscribe_to_t,
    happens: gets,
};

/// To publish.
const PUBLISHING: Right = Right {
    name: "publish",
    shards: 2,
    with: MAY_PUBLISH,
    without: "",
    prepare: nothing,
    happens: publishes,
};

fn matrix() -> Vec<Right> {
    let not_dollar = "[[rule]]\nallow = \"subscribe\"\nusers = \"ann\"\ntopics = \"#\"\n";
    vec![
        PUBLISHING,
        SUBSCRIBING,
        Right { name: "unsubscribed by the Server", prepare: subscribe_to_t, happens: gets, ..SUBSCRIBING },
        RECEIVING,
        Right { name: "retained", prepare: leave_retained, happens: gets_retained, ..RECEIVING },
        Right { name: "retained by her", prepare: retain, happens: is_retained, ..PUBLISHING },
        Right { name: "resume", without: "", happens: gets_after_resuming, ..RECEIVING },
        Right { name: "resume what waited", happens: gets_after_resuming, ..RECEIVING },
        // In one shard the end comes last.
        Right { name: "shared", shards: 1, prepare: join, happens: shares, ..RECEIVING },
        Right { name: "Response Topic", prepare: nothing, happens: asks, ..RECEIVING },
        Right { name: "$SYS", without: not_dollar, happens: subscribes_to_sys, ..SUBSCRIBING },
    ]
}

fn publishes(world: &mut World, ann: Option<Client>) -> bool {
    let Some(mut ann) = ann else { return false };
    let is_told = try_publish(&mut ann, "t/x", false, None) != ReasonCode::NotAuthorized;
    assert_eq!(world.watcher_sees("t/x"), is_told);
    is_told
}

fn asks(_: &mut World, ann: Option<Client>) -> bool {
    ann.is_some_and(|mut ann| !try_publish(&mut ann, "base/ask", false, Some("t/x")).is_error())
}

fn subscribes_to_sys(_: &mut World, ann: Option<Client>) -> bool {
    ann.is_some_and(|mut ann| !try_subscribe(&mut ann, "$SYS/x").is_error())
}

fn retain(_: &mut World, ann: &mut Client) {
    // Whether it is taken is another right.
    try_publish(ann, "t/x", true, None);
}

/// Whether a new Subscription of `root` gets what `ann` has set.
fn is_retained(world: &mut World, _: Option<Client>) -> bool {
    has_retained(world, "late")
}

fn has_retained(world: &World, client_id: &str) -> bool {
    let mut late = enter(&world.server, "root", client_id, KEPT).unwrap();
    let mut root = enter(&world.server, "root", "root-1", KEPT).unwrap();
    assert!(!try_publish(&mut root, "base/end", true, None).is_error());
    subscribe_to_both(&mut late, "t/x", "base/+");
    sees(&mut late, "t/x")
}

fn leave_retained(world: &mut World, ann: &mut Client) {
    let mut root = enter(&world.server, "root", "root-1", KEPT).unwrap();
    for topic in ["t/x", "base/end"] {
        assert!(!try_publish(&mut root, topic, true, None).is_error());
    }
    ping(ann);
}

fn gets_retained(_: &mut World, ann: Option<Client>) -> bool {
    let Some(mut ann) = ann else { return false };
    // The Retained Messages of the second filter come after those of the first.
    subscribe_to_both(&mut ann, "t/#", "base/+");
    sees(&mut ann, "t/x")
}

fn join(world: &mut World, ann: &mut Client) {
    assert!(!try_subscribe(ann, "$share/g/t/x").is_error());
    assert!(!try_subscribe(ann, "base/#").is_error());
    world.watcher.subscribe("$share/g/t/x", QoS::AtLeastOnce);
}

/// Four messages for the group: none is lost, whoever gets them.
fn shares(world: &mut World, ann: Option<Client>) -> bool {
    let mut root = enter(&world.server, "root", "root-1", KEPT).unwrap();
    for _ in 0..4 {
        assert!(!try_publish(&mut root, "t/x", false, None).is_error());
    }
    root.publish("base/end", b"", Some(2));
    let mut shared = 0;
    loop {
        match world.watcher.next() {
            Some(Packet::Publish(publish)) => match publish.topic_name.map(|name| name.as_str()) {
                Some("base/end") => break,
                _ => shared += 1,
            },
            other => panic!("{other:?}"),
        }
    }
    let has_some = ann.is_some_and(|mut ann| sees(&mut ann, "t/x"));
    // Beside its share the watcher has each message by `t/#`.
    assert_eq!(shared == 8, !has_some, "{shared}");
    has_some
}

fn gets_after_resuming(world: &mut World, ann: Option<Client>) -> bool {
    let Some(gone) = ann else { return false };
    leave(world, gone);
    let mut root = enter(&world.server, "root", "root-1", KEPT).unwrap();
    assert!(!try_publish(&mut root, "t/x", false, None).is_error());
    assert!(!try_publish(&mut root, "base/end", false, None).is_error());
    let mut ann = world::ann(world, KEPT).unwrap();
    sees(&mut ann, "t/x")
}

/// Ends a connection without DISCONNECT; the Server knows it then.
fn leave(world: &World, client: Client) {
    let before = world.server.connections();
    drop(client);
    until("the connection is gone", || world.server.connections() < before);
}

/// Connects `ann` as it is needed for what happens to her.
fn enter_at(world: &World, when: When, way: Way) -> Result<Client, ReasonCode> {
    if when == When::CertificateRevoked { ann_with_certificate(world, way) } else { ann(world, way) }
}

/// Has another certificate revoked, which changes nothing, and then that of `ann`.
fn revoke(world: &World, client: &mut Client) {
    world.revoke(&[NOBODYS]);
    ping(client);
    world.revoke(&[NOBODYS, ANNS]);
    expect_cut(client);
}

/// Plays one right at one time; whether what it is about happens.
fn play(right: &Right, when: When) -> bool {
    let has_it_first = when != When::NeverHadIt;
    let mut world = World::new(right.shards, if has_it_first { right.with } else { right.without });
    let mut client = enter_at(&world, when, KEPT).unwrap();
    (right.prepare)(&mut world, &mut client);
    match when {
        When::HasIt | When::NeverHadIt => {}
        When::WithdrawnWhileConnected => {
            world.change(right.without);
            ping(&mut client);
        }
        When::WithdrawnWhileOffline => {
            leave(&world, client);
            world.change(right.without);
            client = ann(&world, KEPT).unwrap();
        }
        When::UserDeleted => {
            world.delete_ann();
            expect_cut(&mut client);
            assert_eq!(ann(&world, KEPT).unwrap_err(), ReasonCode::NotAuthorized);
            return (right.happens)(&mut world, None);
        }
        When::CertificateRevoked => {
            revoke(&world, &mut client);
            assert!(world.knock_with_certificate().is_closed());
            return (right.happens)(&mut world, None);
        }
    }
    (right.happens)(&mut world, Some(client))
}

#[test]
fn a_right_counts_when_it_is_there_and_at_no_other_time() {
    for right in matrix() {
        for when in WHEN {
            assert_eq!(play(&right, when), when == When::HasIt, "{} {when:?}", right.name);
        }
    }
}

/// The Will of `ann`: her right counts when she leaves it and when it is sent.
#[test]
fn a_will_needs_the_right_when_it_is_left_and_when_it_is_sent() {
    for when in WHEN {
        let mut world = World::new(2, if when == When::NeverHadIt { "" } else { MAY_PUBLISH });
        let delay_s = if when == When::WithdrawnWhileOffline { 3_600 } else { 0 };
        let way = Way { will: Some(("t/x", delay_s)), ..KEPT };
        let mut client = match enter_at(&world, when, way) {
            Ok(client) => client,
            Err(code) => {
                assert_eq!((when, code), (When::NeverHadIt, ReasonCode::NotAuthorized));
                continue;
            }
        };
        match when {
            When::HasIt | When::NeverHadIt => leave(&world, client),
            When::WithdrawnWhileConnected => {
                world.change("");
                ping(&mut client);
                leave(&world, client);
            }
            When::WithdrawnWhileOffline => {
                leave(&world, client);
                world.change("");
                // The end of the Session would send it.
                let anew = Way { clean_start: true, ..KEPT };
                ping(&mut ann(&world, anew).unwrap());
            }
            When::UserDeleted => {
                world.delete_ann();
                expect_cut(&mut client);
            }
            When::CertificateRevoked => revoke(&world, &mut client),
        }
        assert_eq!(world.watcher_sees("t/x"), when == When::HasIt, "{when:?}");
    }
}

/// What waited while she was away is judged when it leaves, and what is in flight when it is sent again.
#[test]
fn what_waited_and_what_was_in_flight_is_judged_when_it_is_sent() {
    let world = World::new(2, MAY_SUBSCRIBE);
    let mut client = ann(&world, KEPT).unwrap();
    assert!(!try_subscribe(&mut client, "t/#").is_error());
    assert!(!try_subscribe(&mut client, "base/#").is_error());
    let mut root = enter(&world.server, "root", "root-1", KEPT).unwrap();
    assert!(!try_publish(&mut root, "t/x", false, None).is_error());
    assert!(matches!(client.next(), Some(Packet::Publish(_))), "in flight and not acknowledged");
    leave(&world, client);
    assert!(!try_publish(&mut root, "t/x", false, None).is_error());
    assert!(!try_publish(&mut root, "base/end", false, None).is_error());
    world.change(MAY_NOT_RECEIVE);
    assert!(!sees(&mut ann(&world, KEPT).unwrap(), "t/x"));
}

#[test]
fn members_that_may_not_receive_are_passed_over() {
    let mut world = World::new(2, MAY_SUBSCRIBE);
    let mut client = ann(&world, KEPT).unwrap();
    join(&mut world, &mut client);
    world.change(MAY_NOT_RECEIVE);
    ping(&mut client);
    let mut root = enter(&world.server, "root", "root-1", KEPT).unwrap();
    for _ in 0..10 {
        assert!(!try_publish(&mut root, "t/x", false, None).is_error());
    }
    for number in 0..20 {
        assert!(matches!(world.watcher.next(), Some(Packet::Publish(_))), "{number} of 20");
    }
    // With nobody left who may, the message is for nobody, and nothing goes round and round.
    world.change("");
    ping(&mut client);
    assert!(!try_publish(&mut root, "t/x", false, None).is_error());
    assert_eq!(world.server.panics(), 0);
}

/// `$SYS` is the Server's, whatever the rules say.
#[test]
fn nobody_publishes_to_sys() {
    let world = World::new(1, MAY_PUBLISH);
    let mut client = ann(&world, KEPT).unwrap();
    assert_eq!(try_publish(&mut client, "$SYS/x", true, None), ReasonCode::NotAuthorized);
    assert!(!try_publish(&mut client, "t/x", true, None).is_error());
}

/// Nobody takes a Session over but its owner; the owner stays.
#[test]
fn a_client_identifier_belongs_to_its_user() {
    let world = World::new(2, "");
    let mut client = ann(&world, KEPT).unwrap();
    let by_root = || enter(&world.server, "root", ANN, KEPT);
    assert_eq!(by_root().unwrap_err(), ReasonCode::NotAuthorized);
    ping(&mut client);
    leave(&world, client);
    assert_eq!(by_root().unwrap_err(), ReasonCode::NotAuthorized, "the Session is kept");
    let anew = Way { clean_start: true, expiry_s: 0, will: None };
    leave(&world, ann(&world, anew).unwrap());
    ping(&mut by_root().unwrap());
}

/// The owner of a Session and the publisher of a Retained Message are known after a restart; so is what a Will needs.
#[test]
fn what_is_kept_remembers_whose_it_is() {
    let world = World::durable(2, MAY_PUBLISH);
    let mut client = ann(&world, Way { will: Some(("t/x", 3_600)), ..KEPT }).unwrap();
    assert!(!try_publish(&mut client, "t/x", true, None).is_error());
    leave(&world, client);
    let mut world = world.restarted("");
    assert!(!has_retained(&world, "late-1"));
    assert_eq!(enter(&world.server, "root", ANN, KEPT).unwrap_err(), ReasonCode::NotAuthorized);
    let anew = Way { clean_start: true, ..KEPT };
    ping(&mut ann(&world, anew).unwrap());
    assert!(!world.watcher_sees("t/x"), "the end of her Session sends no Will");
    // The right is back, and so is what she has set.
    world.change(MAY_PUBLISH);
    assert!(has_retained(&world, "late-2"));
}

/// Who is revoked while the Server does not run has no right after that either.
#[test]
fn a_list_of_revoked_certificates_counts_from_the_start() {
    let world = World::durable(2, MAY_PUBLISH);
    let way = Way { will: Some(("t/x", 3_600)), ..KEPT };
    let mut client = ann_with_certificate(&world, way).unwrap();
    assert!(!try_publish(&mut client, "t/x", true, None).is_error());
    leave(&world, client);
    world.write_revoked(&[ANNS]);
    let mut world = world.restarted(MAY_PUBLISH);
    assert!(!has_retained(&world, "late-1"));
    let anew = Way { clean_start: true, ..KEPT };
    ping(&mut ann(&world, anew).unwrap());
    assert!(!world.watcher_sees("t/x"), "the end of her Session sends no Will");
    // The list was wrong: she had the right all the time.
    world.revoke(&[]);
    assert!(has_retained(&world, "late-2"));
    ping(&mut ann_with_certificate(&world, KEPT).unwrap());
}

/// 3.x cannot be told: what it may not publish is acknowledged and dropped, SUBACK of 3.1.1 says 0x80.
#[test]
fn an_older_client_is_answered_as_far_as_it_can_be() {
    let mut world = World::new(1, "");
    let mut client = enter_3_1_1(&world.server, "ann", ANN);
    client.publish("t/x", b"x", Some(3));
    assert!(matches!(client.next(), Some(Packet::Puback(_))));
    assert_eq!(try_subscribe(&mut client, "t/x"), ReasonCode::UnspecifiedError);
    assert!(!world.watcher_sees("t/x"));
}

/// QoS 0 has no answer: dropped, and the connection goes on.
#[test]
fn qos_0_is_dropped_without_a_word() {
    let mut world = World::new(2, "");
    let mut client = ann(&world, KEPT).unwrap();
    client.send_bytes(&bytes_of(
        &Packet::Publish(publish("t/x", b"x", None)),
        dunlin_packet::version::ProtocolVersion::V5_0,
    ));
    ping(&mut client);
    assert!(!world.watcher_sees("t/x"));
}

/// CVE-2018-12550, CVE-2017-7652: broken rules never count for none.
#[test]
fn broken_rules_prevent_the_start_and_leave_what_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acl");
    for text in ["", "topics read a\n"] {
        fs::write(&file, text).unwrap();
        let mut config = Config::default();
        config.rights.acl_file = Some(file.clone());
        let refused = in_process::start_with(config, Chain::default());
        assert!(matches!(refused, Err(StartError::Rights(_))), "{text:?}");
    }
    let world = World::new(1, MAY_PUBLISH);
    let mut client = ann(&world, KEPT).unwrap();
    for text in ["", "[[rule]]\nallow = \"everything\"\ntopics = \"#\"\n", "user ann\n"] {
        assert!(!world.replace(text), "{text:?}");
        ping(&mut client);
        assert!(!try_publish(&mut client, "t/x", false, None).is_error());
        assert_eq!(try_publish(&mut client, "t/y", false, None), ReasonCode::NotAuthorized);
    }
}
