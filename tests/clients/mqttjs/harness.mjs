// An MQTT.js client whose every wait has a bound and tells what was awaited and what came.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

export const WAIT_MS = 10_000;
export const LONG_WAIT_MS = 60_000;
const LEVELS = { 3.1: 3, "3.1.1": 4, "5.0": 5 };
// The door of the Server: tcp, tls, ws or wss, and who has signed its certificate.
const DOOR = process.env.DUNLIN_DOOR ?? "tcp";
const CA = process.env.DUNLIN_CA_FILE ? [readFileSync(process.env.DUNLIN_CA_FILE)] : undefined;
let numbers = 0;

/** What the Server did wrong, in a sentence. */
export class Failure extends Error {}

/** Fails unless `came` equals `expected`, deeply. */
export function expect(what, came, expected) {
  try {
    assert.deepStrictEqual(came, expected);
  } catch (difference) {
    throw new Failure(`${what}: ${difference.message}`);
  }
}

/** Where the Server listens and which version is spoken. */
export class Broker {
  constructor(port, version) {
    this.port = port;
    this.version = version;
    this.hasProperties = version === "5.0";
    this.waiting = new Set(); // what is awaited: a function that looks whether it has come
    this.willLook = false;
  }

  /** A Topic Name or Filter of this version's own. */
  topic(rest) {
    return `v${this.version}/${rest}`;
  }

  /** A connected Client. */
  async peer(clientId, options = {}) {
    const peer = this.stranger(clientId, options);
    await peer.awaitConnected();
    return peer;
  }

  /** A Client that is about to connect; nothing reconnects unless `reconnectPeriod` says so. */
  stranger(clientId, options = {}) {
    numbers += 1;
    return new Peer(this, `${clientId ?? `c${numbers}`}-${this.version}`, options);
  }

  /** Says that something came at a peer; many such words are one look at what is awaited. */
  noteChange() {
    if (this.willLook) return;
    this.willLook = true;
    setImmediate(() => {
      this.willLook = false;
      for (const look of [...this.waiting]) look();
    });
  }

  /** Waits until `isTrue()` holds, which is asked whenever something came at a peer. */
  async wait(isTrue, what, withinMs = WAIT_MS, told = () => "") {
    if (isTrue()) return;
    await new Promise((resolve, reject) => {
      const late = setTimeout(
        () => end(reject, new Failure(`awaited ${what} for ${withinMs} ms; ${told()}`)),
        withinMs,
      );
      const look = () => isTrue() && end(resolve);
      const end = (settle, value) => {
        clearTimeout(late);
        this.waiting.delete(look);
        settle(value);
      };
      this.waiting.add(look);
    });
  }
}

/** One Client. */
export class Peer {
  constructor(broker, clientId, options) {
    this.broker = broker;
    this.clientId = clientId;
    this.messages = [];
    this.taken = 0;
    this.connacks = [];
    this.disconnects = [];
    this.received = []; // all packets, as MQTT.js parsed them
    this.isClosed = false;
    this.client = mqtt.connect({
      host: "127.0.0.1",
      port: broker.port,
      protocol: DOOR,
      ca: CA,
      clientId,
      protocolVersion: LEVELS[broker.version],
      protocolId: broker.version === "3.1" ? "MQIsdp" : "MQTT",
      reconnectPeriod: 0,
      connectTimeout: WAIT_MS,
      ...options,
    });
    const note = (name, act) =>
      this.client.on(name, (...values) => {
        act(...values);
        broker.noteChange();
      });
    note("connect", (connack) => this.connacks.push(connack));
    note("message", (topic, _payload, packet) => this.messages.push({ ...packet, topic })); // a Topic Alias resolved
    note("disconnect", (packet) => this.disconnects.push(packet.reasonCode));
    note("close", () => (this.isClosed = true));
    note("error", (error) => (this.error = error));
    this.client.on("packetreceive", (packet) => this.received.push(packet));
  }

  async awaitConnected(times = 1) {
    await this.wait(() => this.connacks.length >= times, "CONNACK");
    this.isClosed = false;
  }

  get sessionPresent() {
    return this.connacks.at(-1).sessionPresent;
  }

  /** Subscribes in one SUBSCRIBE; gives the Reason Codes. */
  async subscribe(filters, options = { qos: 0 }) {
    const { properties, ...each } = options;
    const entries = Object.fromEntries([filters].flat().map((filter) => [filter, { qos: 0, ...each }]));
    const { granted } = await this.answer(
      (done) =>
        this.client.subscribe(entries, properties ? { properties } : {}, (error, granted, packet) =>
          done(error, { granted, packet }),
        ),
      `SUBACK for ${JSON.stringify(filters).slice(0, 80)}`,
    );
    return granted.map((entry) => entry.qos);
  }

  async unsubscribe(filters) {
    await this.answer((done) => this.client.unsubscribe(filters, done), `UNSUBACK for ${filters}`);
  }

  /** Publishes and awaits the last acknowledgement (with QoS 0: that it was sent). */
  async publish(topic, payload, options = {}) {
    await this.answer(
      (done) => this.client.publish(topic, payload, options, done),
      `the acknowledgement of ${topic}`,
    );
  }

  /** The next message: { topic, payload, qos, retain, dup, properties }. */
  async message(what = "a message", withinMs = WAIT_MS) {
    await this.wait(() => this.messages.length > this.taken, what, withinMs);
    return this.messages[this.taken++];
  }

  /** The payloads of the next `count` messages, as text. */
  async payloads(count, withinMs = WAIT_MS) {
    await this.wait(() => this.messages.length >= this.taken + count, `${count} messages`, withinMs);
    this.taken += count;
    return this.messages.slice(this.taken - count, this.taken).map((message) => message.payload.toString());
  }

  /** A mark on `topic`, sent by the same publisher as what must not come, is the next message. */
  async expectNothingBefore(publisher, topic) {
    numbers += 1;
    await publisher.publish(topic, `mark ${numbers}`, { qos: 1 });
    const message = await this.message("the mark");
    expect(`${this.clientId}: nothing before the mark`, message.payload.toString(), `mark ${numbers}`);
  }

  /** Says DISCONNECT and awaits the end. */
  async disconnect(options = {}) {
    await this.answer((done) => this.client.end(false, options, done), "the end after DISCONNECT");
  }

  /** Breaks the Network Connection without DISCONNECT. */
  async vanish() {
    this.isClosed = false;
    this.client.stream.destroy();
    await this.awaitClosed();
  }

  /** Awaits the end of the Network Connection. */
  async awaitClosed() {
    await this.wait(() => this.isClosed, "the end of the connection");
  }

  wait(isTrue, what, withinMs = WAIT_MS) {
    const packets = () => this.received.slice(-5).map((packet) => packet.cmd);
    const told = () =>
      `${this.clientId}: ${this.messages.length} messages came, ${this.taken} were awaited, ` +
      `the last packets are ${packets()}; ${this.error ?? "no error"}`;
    return this.broker.wait(isTrue, what, withinMs, told);
  }

  async answer(request, what) {
    let came;
    request((error, value) => {
      came = { error, value };
      this.broker.noteChange();
    });
    await this.wait(() => came, what, LONG_WAIT_MS);
    if (came.error) throw new Failure(`${this.clientId}: ${what}: ${came.error.message ?? came.error}`);
    return came.value;
  }
}
