"""CONNECT (3.1), Sessions (4.1), Wills, takeover, DISCONNECT (3.14)."""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from harness import Will, expect, now_s


def a_session_waits_for_its_client(broker):
    """Messages of QoS 1 and 2 wait, each QoS in order; Session Present tells (not in 3.1)."""
    tells = broker.version != "3.1"
    first = broker.peer("phone", clean=False, session_expiry_s=600)
    expect("Session Present of a new Session", first.session_present, False)
    first.subscribe(broker.topic("hall/#"), qos=2)
    first.disconnect()
    publisher = broker.peer()
    for number in range(6):
        publisher.publish(broker.topic("hall/x"), str(number), qos=1 + number % 2)
    back = broker.peer("phone", clean=False, session_expiry_s=600)
    expect("Session Present", back.session_present, tells)
    came = [back.message() for _ in range(6)]  # paho hands QoS 2 out when it is released
    expect("what waited with QoS 1", [m.payload for m in came if m.qos == 1], [b"0", b"2", b"4"])
    expect("what waited with QoS 2", [m.payload for m in came if m.qos == 2], [b"1", b"3", b"5"])
    publisher.publish(broker.topic("hall/x"), "live", 1)
    expect("the Subscription still stands", back.message().payload, b"live")
    back.disconnect()
    fresh = broker.peer("phone", clean=True)
    expect("Session Present after Clean Start", fresh.session_present, False)
    fresh.subscribe(broker.topic("mark"), qos=1)
    publisher.publish(broker.topic("hall/x"), "unwanted", 1)
    fresh.expect_nothing_before(publisher, broker.topic("mark"))


def unacknowledged_messages_come_again(broker):
    """QoS 1 without PUBACK comes again after the return: first, with DUP, same Packet Identifier."""
    publisher = broker.peer()
    publisher.subscribe(broker.topic("gone"), qos=1)
    will = Will(broker.topic("gone"), "the Server has noticed")
    first = broker.peer("again", clean=False, session_expiry_s=600, manual_ack=True, will=will)
    first.subscribe(broker.topic("again/#"), qos=1)
    for payload in ("a", "b", "c"):
        publisher.publish(broker.topic("again/x"), payload, 1)
    held = [first.message() for _ in range(3)]
    first.vanish()
    publisher.message("the Will of who vanished")
    publisher.publish(broker.topic("again/x"), "d", 1)
    back = broker.peer("again", clean=False, session_expiry_s=600)
    came = [back.message() for _ in range(4)]
    expect("payloads", [m.payload for m in came], [b"a", b"b", b"c", b"d"])
    expect("DUP", [bool(m.dup) for m in came], [True, True, True, False])
    expect("Packet Identifiers", [m.mid for m in came[:3]], [m.mid for m in held])


def a_session_expires(broker):
    """After its Session Expiry Interval a Session is gone; its Will tells when."""
    watcher = broker.peer()
    watcher.subscribe("session/over", qos=1)
    will = Will("session/over", "over", WillDelayInterval=3600)
    first = broker.peer("expiring", clean=False, session_expiry_s=1, will=will)
    first.subscribe("session/x", qos=1)
    first.vanish()
    watcher.message("the Will at the end of the Session")
    back = broker.peer("expiring", clean=False, session_expiry_s=3600)
    expect("Session Present after expiry", back.session_present, False)
    back.disconnect(SessionExpiryInterval=0)
    back = broker.peer("expiring", clean=False)
    expect("Session Present after DISCONNECT with expiry 0", back.session_present, False)


def a_broken_connection_leaves_the_will(broker):
    """The Will comes once, live and retained; a DISCONNECT discards it."""
    watcher = broker.peer()
    watcher.subscribe(broker.topic("will/#"), qos=2)
    for name, retain in (("a", True), ("b", False)):
        will = Will(broker.topic(f"will/{name}"), f"{name} gone", qos=2, retain=retain)
        broker.peer(will=will).vanish()
        message = watcher.message("the Will")
        came = (message.topic, message.payload.decode(), message.qos, message.retain)
        expect("the Will", came, (broker.topic(f"will/{name}"), f"{name} gone", 2, False))
    publisher = broker.peer(will=Will(broker.topic("will/c"), "unwanted"))
    publisher.disconnect()
    publisher = broker.peer()
    watcher.expect_nothing_before(publisher, broker.topic("will/mark"))
    late = broker.peer()
    late.subscribe(broker.topic("will/+"), qos=1)
    message = late.message("the retained Will")
    expect("it", (message.payload, message.retain), (b"a gone", True))
    late.expect_nothing_before(publisher, broker.topic("will/mark"))


def a_disconnect_can_ask_for_the_will(broker):
    """DISCONNECT 0x04 publishes the Will, with all its properties."""
    watcher = broker.peer()
    watcher.subscribe("asked/#", qos=1)
    values = {
        "ContentType": "text/plain",
        "UserProperty": [("b", "1"), ("a", "2")],
        "PayloadFormatIndicator": 1,
        "ResponseTopic": "r/t",
        "CorrelationData": b"\x00\xff",
        "MessageExpiryInterval": 500,
    }
    peer = broker.peer(will=Will("asked/x", "bye", **values))
    peer.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
    message = watcher.message("the Will that was asked for")
    expect("it", message.payload, b"bye")
    expired = message.properties.MessageExpiryInterval
    expect(f"the remaining expiry, {expired}", 480 <= expired <= 500, True)
    for name in values:
        if name != "MessageExpiryInterval":
            expect(name, getattr(message.properties, name, None), values[name])


def a_will_waits_for_its_delay(broker):
    """The Will comes after its delay; a return before that cancels it; Clean Start ends the wait."""
    watcher = broker.peer()
    watcher.subscribe("delay/#", qos=1)
    start = now_s()
    will = Will("delay/slow", "late", WillDelayInterval=2)
    broker.peer("slow", session_expiry_s=600, will=will).vanish()
    will = Will("delay/returning", "unwanted", WillDelayInterval=1)
    broker.peer("returning", session_expiry_s=600, will=will).vanish()
    returned = broker.peer("returning", clean=False, session_expiry_s=600)
    expect("the Session", returned.session_present, True)
    expect("the only Will", watcher.message("the Will after 2 s").topic, "delay/slow")
    waited = now_s() - start
    expect(f"the Will waited {waited:.2f} s", 1.9 <= waited <= 6, True)
    will = Will("delay/ended", "at once", WillDelayInterval=600)
    broker.peer("ended", session_expiry_s=600, will=will).vanish()
    broker.peer("ended", clean=True)
    expect("the Will of the ended Session", watcher.message().topic, "delay/ended")


def a_newer_client_takes_over(broker):
    """The older Network Connection ends, with 0x8E in 5.0; the Session goes on with the newer one."""
    older = broker.peer("twin", clean=False, session_expiry_s=600)
    older.subscribe(broker.topic("twin/#"), qos=1)
    newer = broker.peer("twin", clean=False, session_expiry_s=600)
    expect("what the older was told", older.await_end(), 0x8E if broker.has_properties else None)
    expect("Session Present", newer.session_present, broker.version != "3.1")
    broker.peer().publish(broker.topic("twin/x"), "for the newer", qos=1)
    expect("the message", newer.message().payload, b"for the newer")


def an_empty_client_identifier_is_assigned(broker):
    """Two Clients without a name get one each; 5.0 tells which."""
    peers = [broker.stranger() for _ in range(2)]
    for peer in peers:
        peer.client._client_id = b""
        peer.connect()
    peers[0].subscribe(broker.topic("nameless"), qos=1)
    peers[1].publish(broker.topic("nameless"), "hello", qos=1)
    expect("the message", peers[0].message().payload, b"hello")
    if broker.has_properties:
        names = {peer.connack[2].AssignedClientIdentifier for peer in peers}
        expect("two different names", len(names), 2)
