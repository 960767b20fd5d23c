// SUBSCRIBE (3.8), UNSUBSCRIBE (3.10), Topic Filters (4.7).

import { readFileSync } from "node:fs";
import { LONG_WAIT_MS, expect } from "./harness.mjs";

/** Every row of the table, one Client a filter, one publisher for all. */
export async function topicFiltersMatchAsTheTableSays(broker) {
  const text = readFileSync(new URL("../topic_filters.tsv", import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line && !line.startsWith("//"));
  const rows = lines.map((line) => line.split("\t"));
  const end = "the/end/of/this/table";
  const subscribers = new Map();
  for (const [filter] of rows) {
    if (subscribers.has(filter)) continue;
    subscribers.set(filter, await broker.peer());
    await subscribers.get(filter).subscribe([filter, end], { qos: 1 });
  }
  const publisher = await broker.peer();
  for (const topic of [...new Set(rows.map(([, topic]) => topic)), end])
    await publisher.publish(topic, "x", { qos: 1 });
  const came = new Map();
  for (const [filter, subscriber] of subscribers) {
    came.set(filter, []);
    while (!came.get(filter).includes(end))
      came.get(filter).push((await subscriber.message("the end of the table")).topic);
  }
  for (const [filter, topic, matches] of rows) {
    const count = came.get(filter).filter((name) => name === topic).length;
    expect(`${filter} and ${topic}`, count, matches === "yes" ? 1 : 0);
  }
}

/** A thousand Topic Filters, a thousand Reason Codes in order, each filter at work. */
export async function manyFiltersInOneSubscribe(broker) {
  const peer = await broker.peer();
  const publisher = await broker.peer();
  const filters = Array.from({ length: 1_000 }, (_, number) => broker.topic(`many/${number}/+`));
  expect(
    "the Reason Codes",
    await peer.subscribe(filters, { qos: 1 }),
    filters.map(() => 1),
  );
  const chosen = Array.from({ length: 112 }, (_, number) => number * 9);
  const sent = chosen.map((number) =>
    publisher.publish(broker.topic(`many/${number}/x`), `${number}`, { qos: 1 }),
  );
  await Promise.all(sent);
  expect("all messages", await peer.payloads(chosen.length, LONG_WAIT_MS), chosen.map(String));
  await peer.unsubscribe(filters.slice(0, 500));
  await publisher.publish(broker.topic("many/7/x"), "gone", { qos: 1 });
  await publisher.publish(broker.topic("many/700/x"), "still there", { qos: 1 });
  expect("the next message", await peer.payloads(1), ["still there"]);
}

/** Each message tells by which Subscriptions it came, live and retained. */
export async function subscriptionIdentifiersComeAlong(broker) {
  const peer = await broker.peer();
  const publisher = await broker.peer();
  await peer.subscribe("ids/#", { qos: 1, properties: { subscriptionIdentifier: 1 } });
  await peer.subscribe("ids/+/x", { qos: 1, properties: { subscriptionIdentifier: 268_435_455 } });
  await publisher.publish("ids/a/x", "two", { qos: 1, retain: true });
  const found = [];
  while (found.length < 2) {
    found.push(...[(await peer.message("both identifiers")).properties.subscriptionIdentifier].flat());
  }
  expect("both identifiers", found.sort(), [1, 268_435_455]);
  await peer.subscribe("ids/#", { qos: 1, properties: { subscriptionIdentifier: 7 } });
  const message = await peer.message("the Retained Message");
  expect(
    "by the new Subscription alone",
    [message.retain, message.properties.subscriptionIdentifier],
    [true, 7],
  );
}

/** 0 always, 1 only for a new Subscription, 2 never. */
export async function retainHandlingIsObeyed(broker) {
  const peer = await broker.peer();
  const publisher = await broker.peer();
  await publisher.publish("handling/x", "kept", { qos: 1, retain: true });
  for (const [rh, comes] of [
    [2, false],
    [1, false],
    [0, true],
    [0, true],
    [1, false],
  ]) {
    await peer.subscribe("handling/x", { qos: 1, rh });
    if (comes)
      expect(
        `Retain Handling ${rh}`,
        (await peer.message("the Retained Message")).payload.toString(),
        "kept",
      );
    await peer.expectNothingBefore(publisher, "handling/x");
  }
}

/** One's own messages do not come back, and RETAIN comes as published to who asked for it. */
export async function noLocalAndRetainAsPublished(broker) {
  const peer = await broker.peer();
  const other = await broker.peer();
  await peer.subscribe("local/quiet", { qos: 1, nl: true, rap: true });
  await peer.subscribe("local/loud", { qos: 1 });
  await peer.publish("local/quiet", "own", { qos: 1 });
  await peer.publish("local/loud", "own", { qos: 1, retain: true });
  let message = await peer.message();
  expect("the first", [message.topic, message.retain], ["local/loud", false]);
  await other.publish("local/quiet", "another's", { qos: 1, retain: true });
  message = await peer.message();
  expect("the second", [message.payload.toString(), message.retain], ["another's", true]);
}

/** Each message reaches one of the group, and everyone gets some. */
export async function aSharedSubscriptionSpreads(broker) {
  const members = await Promise.all([1, 2, 3].map(() => broker.peer()));
  const publisher = await broker.peer();
  for (const member of members)
    await member.subscribe(`$share/workers/${broker.topic("jobs/+")}`, { qos: 1 });
  const everything = Array.from({ length: 300 }, (_, number) => `${number}`);
  await Promise.all(
    everything.map((number) => publisher.publish(broker.topic(`jobs/${number % 7}`), number, { qos: 1 })),
  );
  const all = () => members.flatMap((member) => member.messages.map((message) => message.payload.toString()));
  await broker.wait(
    () => all().length >= 300,
    "300 messages in the group",
    LONG_WAIT_MS,
    () => `${all().length} came`,
  );
  expect("the group together", all().sort(), everything.sort());
  const counts = members.map((member) => member.messages.length);
  expect(`everyone works: ${counts}`, Math.min(...counts) >= 50, true);
}
