//! What a check finds, and what a repair leaves.

use dunlin_broker::{
    message::Message,
    records::content::{SessionContent, WillContent},
};

use super::*;
use crate::{
    memory::Memory,
    testing::{CLIENT, NUMBER, all, filled, message, owner, packet_id, put, queued, shard},
};

fn checked(store: &dyn Store) -> (Checked, Vec<String>) {
    let mut told = Vec::new();
    let tell = &mut |finding: &Finding| told.push(format!("{}: {}", finding.about, finding.what));
    let checked = check(store, tell).expect("memory can be read");
    (checked, told)
}

/// Changes one bit of the value of a record.
fn damage(store: &Memory, key: Key<'_>, bit: usize) {
    let key = key.to_bytes();
    let mut value = store.find(&key).unwrap().expect("it is there");
    let at = value.len() - 1 - bit / 8;
    value[at] ^= 1 << (bit % 8);
    let mut batch = Batch::new();
    batch.put(&key, &value);
    store.commit(&mut batch.changes(), true).unwrap();
}

/// Repairs, and returns the keys that are gone.
fn repaired(store: &Memory) -> Vec<Vec<u8>> {
    let before = all(store);
    let (found, _) = checked(store);
    assert!(found.can_be_repaired());
    store.commit(&mut found.repair.changes(), true).unwrap();
    let (after, told) = checked(store);
    assert!(after.is_well() && after.leftovers == 0 && after.repair.is_empty(), "{told:?}");
    before.into_iter().map(|(key, _)| key).filter(|key| store.find(key).unwrap().is_none()).collect()
}

#[test]
fn what_is_well_is_counted() {
    let store = filled();
    let (checked, told) = checked(&store);
    assert_eq!((checked.is_well(), checked.leftovers, told.len()), (true, 0, 0));
    assert!(checked.repair.is_empty());
    assert_eq!(checked.kinds.len(), KINDS.len());
    let records = all(&store);
    let bytes: usize = records.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(checked.kinds.values().map(|it| it.records).sum::<u64>(), records.len() as u64);
    assert_eq!(checked.kinds.values().map(|it| it.bytes).sum::<u64>(), bytes as u64);
}

#[test]
fn every_damaged_record_is_named_and_given_up() {
    let owner = owner();
    let cases = [
        (Key::Fact("later"), "the fact `later`: its checksum is wrong", 1),
        (Key::Subscription(owner, "a/#"), "the Subscription of the Client `pump \"7\"` to `a/#`: ", 1),
        (Key::Will(owner), "the Will of the Client `pump \"7\"`, topic `a/ü`: ", 1),
        (Key::Message(owner, NUMBER), "a message in the queue of the Client `pump \"7\"`, topic `a/ü`: ", 1),
        // With its Packet Identifier and its body.
        (Key::Message(owner, NUMBER + 1), "a message in the queue of the Client `pump \"7\"`: ", 3),
        (Key::InFlight(owner, packet_id(3)), "the Packet Identifier 3 in flight to the Client", 1),
        (Key::Retained(0, "a/binary"), "the Retained Message, topic `a/binary`: ", 1),
        (
            Key::Transit { from: ShardId(0), to: ShardId(1), number: 2 },
            "a message on its way from shard 0",
            1,
        ),
    ];
    for (key, expected, gone) in cases {
        let key = match key {
            Key::Retained(_, topic) => Key::Retained(dunlin_broker::slot::slot_of(topic), topic),
            key => key,
        };
        let store = filled();
        damage(&store, key, 0);
        let (checked, told) = checked(&store);
        assert_eq!((checked.findings, told.len()), (1, 1), "{told:?}");
        assert!(told[0].starts_with(expected), "{told:?}\nis not\n{expected}");
        let keys = repaired(&store);
        assert!(keys.contains(&key.to_bytes()));
        assert_eq!(keys.len(), gone, "{expected}: {keys:?}");
    }
}

#[test]
fn a_damaged_session_takes_all_with_it() {
    let store = filled();
    damage(&store, Key::Session(owner()), CLIENT.len() * 8 + 50);
    let (checked, told) = checked(&store);
    assert_eq!(checked.findings, 2, "{told:?}");
    assert!(told[0].starts_with("the Session of the Client `pump \"7\"`: its checksum is wrong"), "{told:?}");
    let lost = "the Session of the Client `pump \"7\"`: lost with it: 2 Subscriptions to `$share/g/a`, `a/#`; 3 \
                messages (";
    assert!(told[1].starts_with(lost), "{told:?}");
    assert!(told[1].ends_with("; the Will for `a/ü`; 3 Packet Identifiers"), "{told:?}");
    assert_eq!(repaired(&store).len(), 11);
    assert_eq!(all(&store).len(), 9);
}

#[test]
fn a_message_without_its_body_is_lost() {
    let store = filled();
    damage(&store, Key::Body(shard(), NUMBER + 1), 0);
    let (_, told) = checked(&store);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("a message that several Sessions share, topic `a/ü`: its checksum"),
        "{told:?}"
    );
    assert!(told[1].starts_with("a message in the queue of the Client `pump \"7\"`: it shares"), "{told:?}");
    assert_eq!(repaired(&store).len(), 3);
}

#[test]
fn what_nothing_refers_to_is_harmless() {
    let store = filled();
    let gone = Owner { uid: 1, ..owner() };
    let text: Message = message("a", b"x");
    put(
        &store,
        &[
            Record::Will(gone, WillContent { delay_s: 0, expiry_s: None, message: text.clone() }),
            Record::Message(gone, 5, queued(None, BodyContent::Inside(text.clone()))),
            Record::Received(gone, packet_id(1)),
            Record::InFlight(owner(), packet_id(9), InFlightState::Sent, 5),
            Record::Body(shard(), 5, text),
        ],
    );
    let (checked, told) = checked(&store);
    assert_eq!((checked.is_well(), checked.leftovers), (true, 5), "{told:?}");
    assert_eq!(repaired(&store).len(), 5);
}

#[test]
fn nothing_may_be_used_twice() {
    let store = filled();
    let second = Owner { uid: 1, ..owner() };
    let text = message("a", b"x");
    put(
        &store,
        &[
            Record::Session(
                second,
                SessionContent { client_id: CLIENT, expiry_s: 1, left_at: None, owner: None },
            ),
            Record::Message(owner(), NUMBER + 7, queued(Some(packet_id(3)), BodyContent::Inside(text))),
        ],
    );
    let (_, told) = checked(&store);
    // The one with the smaller number is the older one.
    assert!(told[0].starts_with("a second Session of the Client `pump \"7\"`: "), "{told:?}");
    let store = filled();
    let text = message("a", b"x");
    put(
        &store,
        &[Record::Message(owner(), NUMBER + 7, queued(Some(packet_id(3)), BodyContent::Inside(text)))],
    );
    let (_, told) = checked(&store);
    assert!(told[0].contains("its Packet Identifier 3 belongs to another message as well"), "{told:?}");
    assert_eq!(told.len(), 1);
    assert!(repaired(&store).is_empty());
}

#[test]
fn what_is_newer_is_never_taken_away() {
    let store = filled();
    let key = Key::Received(owner(), packet_id(65_535)).to_bytes();
    let mut batch = Batch::new();
    batch.put(&key, &[3, 0, 0, 0, 0]);
    batch.put(b"?new", b"\x03what?");
    store.commit(&mut batch.changes(), true).unwrap();
    let (checked, told) = checked(&store);
    assert_eq!((checked.newer, checked.can_be_repaired()), (2, false));
    let newer = "it has version 3, and this program knows versions up to 2 only";
    assert!(told[0].contains(newer), "{told:?}");
    assert!(told[1].starts_with("a record of no known kind, key `?new`: "), "{told:?}");
}
