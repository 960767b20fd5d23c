// Many messages, many Retained Messages, many Clients.

import { LONG_WAIT_MS, expect } from "./harness.mjs";

const MESSAGES = 10_000;
const ENTITIES = 2_000;
const CROWD = 500;

/** 10,000 messages a QoS from one publisher: none lost, doubled or out of order. */
export async function tenThousandArriveInOrder(broker) {
  const publisher = await broker.peer();
  const subscriber = await broker.peer();
  const everything = Array.from({ length: MESSAGES }, (_, number) => `${number}`);
  for (const qos of [0, 1, 2]) {
    const topic = broker.topic(`order/${qos}`);
    await subscriber.subscribe(topic, { qos });
    for (let first = 0; first < MESSAGES; first += 100) {
      const batch = everything.slice(first, first + 100);
      await Promise.all(batch.map((number) => publisher.publish(topic, number, { qos })));
    }
    const came = await subscriber.payloads(MESSAGES, LONG_WAIT_MS);
    const wrong = came.findIndex((payload, number) => payload !== `${number}`);
    expect(`QoS ${qos}: the first message that is out of order`, wrong, -1);
    subscriber.received.length = 0;
  }
}

/** 2,000 retained discovery messages reach whoever subscribes. */
export async function homeAssistantStarts(broker) {
  const devices = await broker.peer();
  const configs = new Map();
  for (let number = 0; number < ENTITIES; number += 1) {
    const topic = broker.topic(`homeassistant/sensor/node${number % 50}/entity${number}/config`);
    configs.set(topic, JSON.stringify({ name: `Entity ${number}`, about: "x".repeat(400) }));
  }
  const all = [...configs];
  for (let first = 0; first < ENTITIES; first += 100) {
    const batch = all.slice(first, first + 100);
    await Promise.all(
      batch.map(([topic, config]) => devices.publish(topic, config, { qos: 1, retain: true })),
    );
  }
  for (const qos of [0, 1]) {
    const home = await broker.peer();
    await home.subscribe(broker.topic("homeassistant/#"), { qos });
    const came = new Map();
    for (let number = 0; number < ENTITIES; number += 1) {
      const message = await home.message(`${ENTITIES} discovery messages, ${number} came`, LONG_WAIT_MS);
      came.set(message.topic, message.payload.toString());
    }
    const missing = all.filter(([topic, config]) => came.get(topic) !== config).map(([topic]) => topic);
    expect("missing or spoilt discovery messages", missing, []);
    await home.disconnect();
  }
}

/** 500 Clients of one process lose their connections at once, three times, come back and miss no message. */
export async function aCrowdReconnects(broker) {
  const options = {
    clean: false,
    properties: { sessionExpiryInterval: 600 },
    reconnectPeriod: 1,
    resubscribe: false,
  };
  const names = Array.from({ length: CROWD }, (_, number) => `crowd${number}`);
  const crowd = await Promise.all(names.map((name) => broker.peer(name, options)));
  const publisher = await broker.peer();
  await Promise.all(crowd.map((peer, number) => peer.subscribe(broker.topic(`crowd/${number}`), { qos: 1 })));
  for (let storm = 1; storm <= 3; storm += 1) {
    for (const peer of crowd) peer.client.stream.destroy();
    await Promise.all(
      crowd.map((_, number) =>
        publisher.publish(broker.topic(`crowd/${number}`), `storm ${storm}`, { qos: 1 }),
      ),
    );
    await Promise.all(crowd.map((peer) => peer.awaitConnected(storm + 1)));
    const told = () => `${crowd.filter((peer) => peer.messages.length < storm).length} still wait`;
    await broker.wait(
      () => crowd.every((peer) => peer.messages.length >= storm),
      `storm ${storm}`,
      LONG_WAIT_MS,
      told,
    );
  }
  for (const peer of crowd) {
    const came = [...new Set(peer.messages.map((message) => message.payload.toString()))];
    expect(`${peer.clientId}: messages`, came, ["storm 1", "storm 2", "storm 3"]);
  }
}
