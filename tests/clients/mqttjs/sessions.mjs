// CONNECT (3.1), Sessions (4.1), Wills, takeover, reconnection.

import { expect } from "./harness.mjs";

const KEPT = { clean: false, properties: { sessionExpiryInterval: 600 } };

/** Messages wait for a Client with a kept Session; Session Present tells (not in 3.1). */
export async function aSessionWaitsForItsClient(broker) {
  const first = await broker.peer("phone", KEPT);
  expect("Session Present of a new Session", first.sessionPresent, false);
  await first.subscribe(broker.topic("hall/#"), { qos: 1 });
  await first.disconnect();
  const publisher = await broker.peer();
  for (const text of ["one", "two", "three"])
    await publisher.publish(broker.topic("hall/x"), text, { qos: 1 });
  const back = await broker.peer("phone", KEPT);
  expect("Session Present", back.sessionPresent, broker.version !== "3.1");
  expect("what waited", await back.payloads(3), ["one", "two", "three"]);
  await back.disconnect();
  const fresh = await broker.peer("phone", { clean: true });
  expect("Session Present after Clean Start", fresh.sessionPresent, false);
}

/** MQTT.js comes back by itself after a broken connection; nothing of QoS 1 and 2 is lost or doubled. */
export async function aBrokenConnectionHeals(broker) {
  const options = { ...KEPT, reconnectPeriod: 1, resubscribe: false };
  const subscriber = await broker.peer("healing-subscriber", options);
  const publisher = await broker.peer("healing-publisher", options);
  await subscriber.subscribe(broker.topic("heal/#"), { qos: 2 });
  // The PUBCOMP for a PUBREL that is sent again may say 0x92: no error here, but MQTT.js calls it one (3.7.2.1).
  const wasReleased = (failure) => {
    if (!failure.message.includes("Packet Identifier not found")) throw failure;
  };
  const sent = [];
  for (let number = 0; number < 200; number += 1) {
    sent.push(publisher.publish(broker.topic("heal/x"), `${number}`, { qos: 2 }).catch(wasReleased));
    if (number % 50 === 25) {
      await sent[number - 10];
      const connects = [subscriber.connacks.length, publisher.connacks.length];
      subscriber.client.stream.destroy();
      publisher.client.stream.destroy();
      await subscriber.awaitConnected(connects[0] + 1);
      await publisher.awaitConnected(connects[1] + 1);
    }
  }
  await Promise.all(sent);
  const came = await subscriber.payloads(200);
  expect(
    "all, each once",
    came.sort((a, b) => a - b),
    Array.from({ length: 200 }, (_, number) => `${number}`),
  );
}

/** The Will comes live and retained when the connection breaks; DISCONNECT discards it. */
export async function aBrokenConnectionLeavesTheWill(broker) {
  const watcher = await broker.peer();
  await watcher.subscribe(broker.topic("will/#"), { qos: 2 });
  const will = { topic: broker.topic("will/a"), payload: Buffer.from("gone"), qos: 2, retain: true };
  await (await broker.peer(undefined, { will })).vanish();
  const message = await watcher.message("the Will");
  expect("the Will", [message.payload.toString(), message.qos, message.retain], ["gone", 2, false]);
  const leaving = await broker.peer(undefined, { will: { ...will, payload: Buffer.from("unwanted") } });
  await leaving.disconnect();
  const late = await broker.peer();
  await late.subscribe(broker.topic("will/+"), { qos: 1 });
  expect("the retained Will", (await late.message()).payload.toString(), "gone");
  await watcher.expectNothingBefore(late, broker.topic("will/mark"));
}

/** A Will keeps its properties, comes after its delay, and not at all if its Client returns. */
export async function aWillWaitsForItsDelay(broker) {
  const watcher = await broker.peer();
  await watcher.subscribe("delay/#", { qos: 1 });
  const dying = (name, willDelayInterval) => ({
    ...KEPT,
    will: {
      topic: `delay/${name}`,
      payload: Buffer.from(name),
      qos: 1,
      properties: { willDelayInterval, contentType: "text/plain", userProperties: { a: ["1", "2"] } },
    },
  });
  const start = performance.now();
  await (await broker.peer("slow", dying("slow", 2))).vanish();
  await (await broker.peer("returning", dying("returning", 1))).vanish();
  await broker.peer("returning", dying("returning", 1));
  const will = await watcher.message("the Will after 2 s");
  const waited = performance.now() - start;
  expect("the only Will", will.payload.toString(), "slow");
  expect(`the Will waited ${waited} ms`, waited >= 1_900 && waited < 6_000, true);
  expect("Content Type", will.properties.contentType, "text/plain");
  expect("User Properties", { ...will.properties.userProperties }, { a: ["1", "2"] });
}

/** The older Network Connection ends, with 0x8E in 5.0. */
export async function aNewerClientTakesOver(broker) {
  const older = await broker.peer("twin");
  const newer = await broker.peer("twin");
  await older.awaitClosed();
  expect("what the older was told", older.disconnects, broker.hasProperties ? [0x8e] : []);
  await newer.subscribe(broker.topic("twin"), { qos: 1 });
  await newer.publish(broker.topic("twin"), "alive", { qos: 1 });
  expect("the newer one works", await newer.payloads(1), ["alive"]);
}
