"""PUBLISH (3.3), QoS (4.3), flow control (4.9), request and response (4.10)."""

import hashlib
import json

from harness import LONG_WAIT_S, expect, properties

EVERYTHING = {
    "PayloadFormatIndicator": 1,
    "ContentType": "application/json; größe=1",
    "ResponseTopic": "answers/a b/c",
    "CorrelationData": bytes(range(256)),
    "UserProperty": [("zebra", "1"), ("apple", ""), ("zebra", "1"), ("", "4"), ("apple", "温度")],
}


def every_qos_arrives(broker):
    """Delivered is the smaller of the published and the granted QoS."""
    subscribers = []
    for granted in range(3):
        subscriber = broker.peer()
        expect("granted", subscriber.subscribe(broker.topic("qos/#"), qos=granted), [granted])
        subscribers.append(subscriber)
    publisher = broker.peer()
    for qos in range(3):
        for retain in (False, True):
            publisher.publish(broker.topic("qos/x"), f"{qos}{retain}", qos, retain)
    for granted, subscriber in enumerate(subscribers):
        for qos in range(3):
            for retain in (False, True):
                message = subscriber.message(f"QoS {qos} at granted {granted}")
                came = (message.payload.decode(), message.qos, message.retain, message.dup)
                expect("the message", came, (f"{qos}{retain}", min(qos, granted), False, False))


def payloads_of_all_kinds(broker):
    """Payload and Topic Name are bytes that the Server does not touch."""
    peer = broker.peer()
    topics = [
        "kinds/plain",
        "kinds/größe/温度/🌡",
        "kinds//empty//level/",
        "kinds/ space /",
        "kinds/" + "x" * 60_000,
    ]
    payloads = [
        b"",
        b"\x00",
        bytes(range(256)) * 16,
        "größe 🌡".encode(),
        b"x" * 127,
        b"x" * 128,
        b"x" * 16_384,
    ]
    peer.subscribe(broker.topic("kinds/#"), qos=2)
    for topic in topics:
        for payload in payloads:
            peer.publish(broker.topic(topic), payload, qos=2)
    for topic in topics:
        for payload in payloads:
            message = peer.message()
            expect("topic", message.topic, broker.topic(topic))
            expect("payload", message.payload, payload)


def sensors_report_json(broker):
    """A dashboard sees the JSON of two sensors and nothing else."""
    dashboard, kitchen, cellar = broker.peer(), broker.peer("kitchen"), broker.peer("cellar")
    dashboard.subscribe(broker.topic("sensor/+/temperature"), qos=1)
    readings = {"kitchen": {"value": 21.5, "unit": "°C"}, "cellar": {"value": 12, "ok": [True, None]}}
    kitchen.publish(broker.topic("sensor/kitchen/humidity"), "no", qos=1)
    kitchen.publish(broker.topic("sensor/kitchen/temperature"), json.dumps(readings["kitchen"]), qos=1)
    cellar.publish(broker.topic("sensor/cellar/temperature"), json.dumps(readings["cellar"]), qos=1)
    came = {}
    for _ in readings:
        message = dashboard.message()
        came[message.topic.split("/")[-2]] = json.loads(message.payload)
    expect("the readings", came, readings)


def the_last_retained_message_stays(broker):
    """The second of two; none after an empty payload; RETAIN 0 changes nothing."""
    publisher = broker.peer()
    topic = broker.topic("retained/door")
    for payload, retain in (("open", True), ("closed", True), ("passing", False)):
        publisher.publish(topic, payload, qos=1, retain=retain)
    late = broker.peer()
    late.subscribe(topic, qos=1)
    message = late.message("the Retained Message")
    expect("it", (message.payload, message.retain), (b"closed", True))
    publisher.publish(topic, "", qos=1, retain=True)
    message = late.message("the empty message, as any other")
    expect("it", (message.payload, message.retain), (b"", False))
    later = broker.peer()
    later.subscribe(topic, qos=1)
    later.expect_nothing_before(publisher, topic)


def a_request_gets_its_response(broker):
    """Response Topic and Correlation Data lead the answer back to who asked."""
    responder = broker.peer()
    responder.subscribe("service/double", qos=1)
    askers = [broker.peer() for _ in range(3)]
    for number, asker in enumerate(askers):
        asker.subscribe(f"answers/{number}", qos=1)
        ticket = bytes([number, 0, 255])
        values = {"ResponseTopic": f"answers/{number}", "CorrelationData": ticket}
        asker.publish("service/double", str(number), qos=1, **values)
    for _ in askers:
        request = responder.message("a request")
        values = {"CorrelationData": request.properties.CorrelationData}
        answer = str(2 * int(request.payload))
        responder.publish(request.properties.ResponseTopic, answer, qos=1, **values)
    for number, asker in enumerate(askers):
        answer = asker.message("the answer")
        came = (answer.payload, answer.properties.CorrelationData)
        expect("the answer", came, (str(2 * number).encode(), bytes([number, 0, 255])))


def properties_arrive_unaltered(broker):
    """Live, retained and queued, all properties of the sender, User Properties in order."""
    sleeper = broker.peer("sleeper", clean=False, session_expiry_s=600)
    sleeper.subscribe("props/x", qos=2)
    sleeper.disconnect()
    live, publisher = broker.peer(), broker.peer()
    live.subscribe("props/x", qos=2)
    for qos in range(3):
        publisher.publish("props/x", "{}", qos, qos == 2, **EVERYTHING)
    late = broker.peer()
    late.subscribe("props/x", qos=2)
    back = broker.peer("sleeper", clean=False, session_expiry_s=0)
    for peer, count in ((live, 3), (late, 1), (back, 2)):
        for _ in range(count):
            came = peer.message("a message with properties").properties
            for name, value in EVERYTHING.items():
                expect(f"{peer.client_id}, {name}", getattr(came, name, None), value)


def a_message_expires(broker):
    """The remaining seconds are forwarded; what has expired is not delivered."""
    sleeper = broker.peer("expiry", clean=False, session_expiry_s=600)
    sleeper.subscribe("expiry/#", qos=1)
    sleeper.disconnect()
    publisher = broker.peer()
    for payload, expiry_s in (("short", 1), ("long", 100), ("short", 2)):
        publisher.publish("expiry/x", payload, qos=1, MessageExpiryInterval=expiry_s)
    publisher.publish("expiry/kept", "retained short", qos=1, retain=True, MessageExpiryInterval=1)
    publisher.publish("expiry/x", "forever", qos=1)
    broker.let_seconds_pass(3)
    back = broker.peer("expiry", clean=False)
    message = back.message("the message with 100 s")
    expect("it", message.payload, b"long")
    left = message.properties.MessageExpiryInterval
    expect(f"3 to 30 s are gone, {left} s are left", 70 <= left <= 97, True)
    message = back.message("the message without expiry")
    expect("it", (message.payload, hasattr(message.properties, "MessageExpiryInterval")), (b"forever", False))
    late = broker.peer()
    late.subscribe("expiry/#", qos=1)
    late.expect_nothing_before(publisher, "expiry/mark")


def topic_aliases_of_a_publisher(broker):
    """A Topic Alias stands for its topic, can be set anew, and is not forwarded."""
    publisher, subscriber = broker.peer(), broker.peer()
    most = publisher.connack[2].TopicAliasMaximum
    subscriber.subscribe("alias/#", qos=1)
    for alias in (1, most):
        publisher.publish(f"alias/{alias}/first", "named", qos=1, TopicAlias=alias)
        publisher.publish("", "by number", qos=1, TopicAlias=alias)
        publisher.publish(f"alias/{alias}/second", "named anew", qos=1, TopicAlias=alias)
        publisher.publish("", "by number again", qos=1, TopicAlias=alias)
    for alias in (1, most):
        for place in ("first", "first", "second", "second"):
            message = subscriber.message()
            expect("the topic", message.topic, f"alias/{alias}/{place}")
            expect("no alias is forwarded", hasattr(message.properties, "TopicAlias"), False)
    values = properties("PUBLISH", {"TopicAlias": most + 1})
    publisher.client.publish(
        "alias/x", "too high", 1, properties=values
    )  # perhaps closed before this returns
    expect("a Topic Alias above the maximum", publisher.await_end(), 0x94)


def receive_maximum_is_kept(broker):
    """Three unacknowledged messages and no more; each acknowledgement lets one follow."""
    slow = broker.peer(manual_ack=True, connect_properties={"ReceiveMaximum": 3})
    slow.subscribe("quota/#", qos=1)
    slow.subscribe("mark", qos=0)
    publisher = broker.peer("quota-publisher")
    for number in range(10):
        publisher.publish("quota/x", str(number), qos=1)
    publisher.publish("mark", "m", qos=0)
    held = [slow.message() for _ in range(4)]
    payloads = sorted(message.payload for message in held)
    expect("three and the QoS 0 message, which needs no quota", payloads, [b"0", b"1", b"2", b"m"])
    held = [message for message in held if message.qos]
    for number in range(3, 10):
        slow.acknowledge(held.pop(0))
        held.append(slow.message(f"message {number} after an acknowledgement"))
        expect("the next in order", held[-1].payload.decode(), str(number))


def maximum_packet_size_is_kept(broker):
    """What is too large for this Client is left out, and the next message comes."""
    small = broker.peer(connect_properties={"MaximumPacketSize": 200})
    large, publisher = broker.peer(), broker.peer()
    for peer in (small, large):
        peer.subscribe("size/#", qos=1)
    for size in (10, 1_000, 20):
        publisher.publish("size/x", "x" * size, qos=1)
    expect("the small ones", [len(payload) for payload in small.payloads(2)], [10, 20])
    expect("all", [len(payload) for payload in large.payloads(3)], [10, 1_000, 20])


def big_payloads_arrive(broker):
    """One and five megabytes, each QoS, live and retained."""
    peer = broker.peer()
    peer.subscribe(broker.topic("big/#"), qos=2)
    for size in (1_000_000, 5_000_000):
        payload = hashlib.sha256(str(size).encode()).digest() * (size // 32)
        for qos in range(3):
            topic = broker.topic(f"big/{size}/{qos}")
            peer.start_publish(topic, payload, qos, retain=qos == 2)
            message = peer.message(f"{size} bytes", LONG_WAIT_S)
            expect("topic and QoS", (message.topic, message.qos), (topic, qos))
            expect("the payload is whole", message.payload == payload, True)
    late = broker.peer()
    late.subscribe(broker.topic("big/#"), qos=1)
    sizes = {len(late.message("a big Retained Message", LONG_WAIT_S).payload) for _ in range(2)}
    expect("both Retained Messages", sizes, {1_000_000, 5_000_000 // 32 * 32})
