"""SUBSCRIBE (3.8), UNSUBSCRIBE (3.10), Topic Filters (4.7)."""

import os

from harness import LONG_WAIT_S, expect

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "topic_filters.tsv")


def topic_filters_match_as_the_table_says(broker):
    """Every row of the table, one Client a filter, one publisher for all."""
    with open(TABLE, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    rows = [line.split("\t") for line in lines if line and not line.startswith("//")]
    end = "the/end/of/this/table"
    subscribers = {}
    for topic_filter, _, _ in rows:
        if topic_filter not in subscribers:
            subscribers[topic_filter] = broker.peer()
            subscribers[topic_filter].subscribe(topic_filter, end, qos=1)
    publisher = broker.peer()
    for topic in sorted({topic for _, topic, _ in rows}) + [end]:
        publisher.publish(topic, "x", qos=1)
    came = {}
    for topic_filter, subscriber in subscribers.items():
        came[topic_filter] = []
        while end not in came[topic_filter]:
            came[topic_filter].append(subscriber.message("the end of the table").topic)
    for topic_filter, topic, matches in rows:
        expect(f"{topic_filter} and {topic}", came[topic_filter].count(topic), int(matches == "yes"))


def many_filters_in_one_subscribe(broker):
    """A thousand Topic Filters, a thousand Reason Codes in order, each filter at work."""
    peer, publisher = broker.peer(), broker.peer()
    filters = [broker.topic(f"many/{number}/+") for number in range(1_000)]
    expect("the Reason Codes", peer.subscribe(*filters, qos=1), [1] * 1_000)
    for number in range(0, 1_000, 7):
        publisher.start_publish(broker.topic(f"many/{number}/x"), str(number), qos=1)
    expect("all messages", peer.payloads(143, within_s=LONG_WAIT_S), [str(n) for n in range(0, 1_000, 7)])
    codes = peer.unsubscribe(*filters[:500])
    expect("UNSUBACK", codes, [0] * 500 if broker.has_properties else [])
    publisher.publish(broker.topic("many/7/x"), "gone", qos=1)
    publisher.publish(broker.topic("many/700/x"), "still there", qos=1)
    expect("the next message", peer.payloads(1), ["still there"])


def unsubscribing_ends_delivery(broker):
    """No message after UNSUBACK; a filter that never was gives 0x11 in 5.0."""
    peer, publisher = broker.peer(), broker.peer()
    first, second = broker.topic("un/first"), broker.topic("un/second")
    peer.subscribe(first, second, qos=1)
    codes = peer.unsubscribe(first, broker.topic("un/never"))
    expect("UNSUBACK", codes, [0, 0x11] if broker.has_properties else [])
    publisher.publish(first, "unwanted", qos=1)
    peer.expect_nothing_before(publisher, second)


def a_subscription_is_replaced(broker):
    """The same filter again: new QoS, Retained Messages again, one copy of each message."""
    peer, publisher = broker.peer(), broker.peer()
    topic = broker.topic("again/x")
    publisher.publish(topic, "kept", qos=2, retain=True)
    for qos in (0, 2, 1):
        expect("granted", peer.subscribe(topic, qos=qos), [qos])
        message = peer.message("the Retained Message, again")
        expect("it", (message.payload, message.qos, message.retain), (b"kept", qos, True))
    publisher.publish(topic, "live", qos=2)
    message = peer.message()
    expect("the live one", (message.payload, message.qos), (b"live", 1))
    peer.expect_nothing_before(publisher, topic)


def subscription_identifiers_come_along(broker):
    """Each message tells by which Subscriptions it came, live and retained; replacing replaces."""
    peer, publisher = broker.peer(), broker.peer()
    largest = 268_435_455
    peer.subscribe("ids/#", qos=1, identifier=1)
    peer.subscribe("ids/+/x", qos=1, identifier=largest)
    peer.subscribe("ids/a/y", qos=1)
    publisher.publish("ids/a/x", "two", qos=1, retain=True)
    found = []
    while sorted(found) != [1, largest]:  # one message with both, or one message for each
        found += peer.message("the identifiers 1 and 268435455").properties.SubscriptionIdentifier
        expect("no identifier comes twice", len(found), len(set(found)))
    publisher.publish("ids/b", "one", qos=1)
    expect("ids/b", peer.message().properties.SubscriptionIdentifier, [1])
    peer.subscribe("ids/#", qos=1, identifier=7)
    message = peer.message("the Retained Message")
    came = (message.retain, message.properties.SubscriptionIdentifier)
    expect("by the new Subscription alone", came, (True, [7]))
    peer.subscribe("ids/#", qos=1, retainHandling=2)
    publisher.publish("ids/c", "none", qos=1)
    expect("no identifier", hasattr(peer.message().properties, "SubscriptionIdentifier"), False)


def retain_handling_is_obeyed(broker):
    """0 always, 1 only for a new Subscription, 2 never."""
    peer, publisher = broker.peer(), broker.peer()
    publisher.publish("handling/x", "kept", qos=1, retain=True)
    for handling, comes in ((2, False), (1, False), (0, True), (0, True), (1, False)):
        peer.subscribe("handling/x", qos=1, retainHandling=handling)
        if comes:
            message = peer.message(f"the Retained Message with Retain Handling {handling}")
            expect("it", (message.payload, message.retain), (b"kept", True))
        peer.expect_nothing_before(publisher, "handling/x")
    peer.unsubscribe("handling/x")
    peer.subscribe("handling/x", qos=1, retainHandling=1)
    expect("new again", peer.message("the Retained Message").payload, b"kept")


def retain_as_published_keeps_the_flag(broker):
    """RETAIN of a live message reaches who asked for it."""
    keeping, plain, publisher = broker.peer(), broker.peer(), broker.peer()
    keeping.subscribe("rap/x", qos=1, retainAsPublished=True)
    plain.subscribe("rap/x", qos=1)
    for retain in (True, False):
        publisher.publish("rap/x", str(retain), qos=1, retain=retain)
        expect("with Retain As Published", keeping.message().retain, retain)
        expect("without", plain.message().retain, False)


def no_local_keeps_own_messages_away(broker):
    """One's own messages do not come back, those of others do, and without the option one's own do too."""
    peer, other = broker.peer(), broker.peer()
    peer.subscribe("local/quiet", qos=1, noLocal=True)
    peer.subscribe("local/loud", qos=1)
    peer.publish("local/quiet", "own", qos=1)
    peer.publish("local/loud", "own", qos=1)
    expect("the first", peer.message().topic, "local/loud")
    other.publish("local/quiet", "another's", qos=1)
    expect("the second", peer.message().payload, b"another's")


def a_shared_subscription_spreads(broker):
    """Each message reaches one of the group, everyone gets some; a second group gets all as well."""
    members = [broker.peer() for _ in range(3)]
    alone, publisher = broker.peer(), broker.peer()
    for member in members:
        member.subscribe("$share/workers/" + broker.topic("jobs/+"), qos=1)
    alone.subscribe("$share/other/" + broker.topic("jobs/#"), qos=1)
    for number in range(300):
        publisher.start_publish(broker.topic(f"jobs/{number % 7}"), str(number), qos=1)
    everything = sorted(str(number) for number in range(300))
    expect("the other group", sorted(alone.payloads(300)), everything)
    for member in members:
        publisher.publish(broker.topic("jobs/end"), "end", qos=1)  # one for each, whoever gets it
    alone.payloads(3)
    publisher.await_all(lambda: sum(len(member.messages) for member in members) >= 303, "303 in the group")
    came = sorted(message.payload.decode() for member in members for message in member.messages)
    expect("the group together", came, sorted(everything + ["end"] * 3))
    fair = all(len(member.messages) >= 50 for member in members)
    expect(f"everyone works: {[len(member.messages) for member in members]}", fair, True)
