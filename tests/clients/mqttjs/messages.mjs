// PUBLISH (3.3), QoS (4.3), request and response (4.10), Topic Aliases (3.3.2.3.4).

import { createHash } from "node:crypto";
import { LONG_WAIT_MS, expect } from "./harness.mjs";

const EVERYTHING = {
  payloadFormatIndicator: true,
  contentType: "application/json; größe=1",
  responseTopic: "answers/a b/c",
  correlationData: Buffer.from([0, 1, 2, 254, 255]),
  userProperties: { zebra: ["1", "2", "1"], apple: "", größe: "温度" },
};

/** Delivered is the smaller of the published and the granted QoS. */
export async function everyQosArrives(broker) {
  const publisher = await broker.peer();
  for (const granted of [0, 1, 2]) {
    const subscriber = await broker.peer();
    expect("granted", await subscriber.subscribe(broker.topic("qos/#"), { qos: granted }), [granted]);
    for (const qos of [0, 1, 2]) {
      await publisher.publish(broker.topic("qos/x"), `${qos}`, { qos });
      const { payload, qos: came, retain, dup } = await subscriber.message();
      const expected = [`${qos}`, Math.min(qos, granted), false, false];
      expect(`QoS ${qos} at granted ${granted}`, [payload.toString(), came, retain, dup], expected);
    }
  }
}

/** A dashboard sees the JSON of two sensors and nothing else. */
export async function sensorsReportJson(broker) {
  const [dashboard, kitchen, cellar] = await Promise.all(
    ["dashboard", "kitchen", "cellar"].map((name) => broker.peer(name)),
  );
  await dashboard.subscribe(broker.topic("sensor/+/temperature"), { qos: 1 });
  const readings = { kitchen: { value: 21.5, unit: "°C" }, cellar: { value: 12, ok: [true, null] } };
  await kitchen.publish(broker.topic("sensor/kitchen/humidity"), "no", { qos: 1 });
  await kitchen.publish(broker.topic("sensor/kitchen/temperature"), JSON.stringify(readings.kitchen), {
    qos: 1,
  });
  await cellar.publish(broker.topic("sensor/cellar/temperature"), JSON.stringify(readings.cellar), {
    qos: 1,
  });
  const came = {};
  for (const _ of [1, 2]) {
    const message = await dashboard.message();
    came[message.topic.split("/").at(-2)] = JSON.parse(message.payload);
  }
  expect("the readings", came, readings);
}

/** The second of two; none after an empty payload. */
export async function theLastRetainedMessageStays(broker) {
  const publisher = await broker.peer();
  const topic = broker.topic("retained/door");
  await publisher.publish(topic, "open", { qos: 1, retain: true });
  await publisher.publish(topic, "closed", { qos: 2, retain: true });
  const late = await broker.peer();
  await late.subscribe(topic, { qos: 2 });
  const message = await late.message("the Retained Message");
  expect("it", [message.payload.toString(), message.qos, message.retain], ["closed", 2, true]);
  await publisher.publish(topic, "", { qos: 1, retain: true });
  const later = await broker.peer();
  await later.subscribe(topic, { qos: 1 });
  await later.expectNothingBefore(publisher, topic);
}

/** Response Topic and Correlation Data lead the answer back to who asked. */
export async function aRequestGetsItsResponse(broker) {
  const responder = await broker.peer();
  await responder.subscribe("service/double", { qos: 1 });
  const askers = await Promise.all([0, 1, 2].map(() => broker.peer()));
  for (const [number, asker] of askers.entries()) {
    await asker.subscribe(`answers/${number}`, { qos: 1 });
    const properties = { responseTopic: `answers/${number}`, correlationData: Buffer.from([number, 0, 255]) };
    await asker.publish("service/double", `${number}`, { qos: 1, properties });
  }
  for (const _ of askers) {
    const request = await responder.message("a request");
    const { responseTopic, correlationData } = request.properties;
    await responder.publish(responseTopic, `${2 * Number(request.payload)}`, {
      qos: 1,
      properties: { correlationData },
    });
  }
  for (const [number, asker] of askers.entries()) {
    const answer = await asker.message("the answer");
    const came = [answer.payload.toString(), [...answer.properties.correlationData]];
    expect("the answer", came, [`${2 * number}`, [number, 0, 255]]);
  }
}

/** Live and retained, all properties of the sender. */
export async function propertiesArriveUnaltered(broker) {
  const live = await broker.peer();
  const publisher = await broker.peer();
  await live.subscribe("props/x", { qos: 2 });
  for (const qos of [0, 1, 2]) {
    await publisher.publish("props/x", "{}", { qos, retain: qos === 2, properties: EVERYTHING });
  }
  const late = await broker.peer();
  await late.subscribe("props/x", { qos: 2 });
  for (const [peer, count] of [
    [live, 3],
    [late, 1],
  ]) {
    for (let number = 0; number < count; number += 1) {
      const { properties } = await peer.message("a message with properties");
      expect("properties", { ...properties, userProperties: { ...properties.userProperties } }, EVERYTHING);
    }
  }
}

/** MQTT.js numbers its topics by itself and leaves their names away; all messages keep their topics. */
export async function topicAliasesOfAPublisher(broker) {
  const subscriber = await broker.peer();
  await subscriber.subscribe("alias/#", { qos: 1 });
  const publisher = await broker.peer("aliasing", { autoUseTopicAlias: true, autoAssignTopicAlias: true });
  const most = publisher.connacks[0].properties.topicAliasMaximum;
  const sent = [];
  publisher.client.on("packetsend", (packet) => {
    if (packet.cmd === "publish") sent.push(packet);
  });
  const topics = [];
  for (let round = 0; round < 4; round += 1) {
    for (let number = 0; number < most + 3; number += 1) topics.push(`alias/${number % (most + round)}`);
  }
  for (const topic of topics) await publisher.publish(topic, topic, { qos: 1 });
  for (const topic of topics) {
    const message = await subscriber.message();
    expect("topic and payload", [message.topic, message.payload.toString()], [topic, topic]);
  }
  const nameless = sent.filter((packet) => packet.topic === "").length;
  expect(`some of ${sent.length} packets had no Topic Name: ${nameless}`, nameless > 0, true);
}

/** The Server numbers topics towards a Client that allows it, never beyond the Client's maximum. */
export async function topicAliasesTowardsASubscriber(broker) {
  const publisher = await broker.peer();
  for (const topicAliasMaximum of [0, 1, 5, 65_535]) {
    const subscriber = await broker.peer(undefined, { properties: { topicAliasMaximum } });
    await subscriber.subscribe("towards/#", { qos: 1 });
    const topics = Array.from({ length: 60 }, (_, number) => `towards/${(number * number) % 11}`);
    for (const topic of topics) await publisher.publish(topic, topic, { qos: 1 });
    for (const topic of topics) {
      const message = await subscriber.message();
      expect("topic and payload", [message.topic, message.payload.toString()], [topic, topic]);
    }
    const aliases = subscriber.received.map((packet) => packet.properties?.topicAlias ?? 0);
    const largest = Math.max(...aliases);
    expect(`the largest Topic Alias is ${largest}`, largest <= topicAliasMaximum, true);
    expect("aliases are used where they are allowed", largest > 0, topicAliasMaximum > 0);
    await subscriber.disconnect();
  }
}

/** Payload and Topic Name are bytes that the Server does not touch. */
export async function payloadsOfAllKinds(broker) {
  const peer = await broker.peer();
  await peer.subscribe(broker.topic("kinds/#"), { qos: 2 });
  const topics = ["plain", "größe/温度/🌡", "/empty//level/", " space /"].map((rest) =>
    broker.topic(`kinds/${rest}`),
  );
  const payloads = ["", "\0", "größe 🌡", "x".repeat(127), "x".repeat(16_384)];
  for (const topic of topics) {
    for (const payload of payloads) {
      await peer.publish(topic, payload, { qos: 2 });
      const message = await peer.message();
      expect("topic and payload", [message.topic, message.payload.toString()], [topic, payload]);
    }
  }
}

/** One and five megabytes, each QoS, live and retained. */
export async function bigPayloadsArrive(broker) {
  const peer = await broker.peer();
  await peer.subscribe(broker.topic("big/#"), { qos: 2 });
  for (const size of [1_000_000, 5_000_000]) {
    const seed = createHash("sha256").update(`${size}`).digest();
    const payload = Buffer.alloc(size, seed);
    for (const qos of [0, 1, 2]) {
      const topic = broker.topic(`big/${size}/${qos}`);
      await peer.publish(topic, payload, { qos, retain: qos === 2 });
      const message = await peer.message(`${size} bytes`, LONG_WAIT_MS);
      expect("topic and QoS", [message.topic, message.qos], [topic, qos]);
      expect("the payload is whole", payload.equals(message.payload), true);
    }
  }
  const late = await broker.peer();
  await late.subscribe(broker.topic("big/#"), { qos: 1 });
  const sizes = [];
  for (const _ of [1, 2])
    sizes.push((await late.message("a big Retained Message", LONG_WAIT_MS)).payload.length);
  expect("both Retained Messages", sizes.sort(), [1_000_000, 5_000_000]);
}
