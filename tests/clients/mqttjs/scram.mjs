// A Client of MQTT.js that proves its password with SCRAM-SHA-256 (RFC 7677), twice: at CONNECT, and again by AUTH.
// Arguments: port, user name, password. It prints `connected`, `again`, or `refused <Reason Code>`.

import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import mqtt from "mqtt";

const [port, userName, password] = process.argv.slice(2);
const METHOD = "SCRAM-SHA-256";
const CONTINUE = 0x18;
const AGAIN = 0x19;

const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
const xor = (a, b) => Buffer.from(a.map((byte, index) => byte ^ b[index]));

/** One exchange, from the Client's side. */
class Scram {
  constructor() {
    this.bare = `n=${userName},r=${randomBytes(18).toString("base64")}`;
  }

  first() {
    return Buffer.from(`n,,${this.bare}`);
  }

  last(challenge) {
    const { r, s, i } = fields(challenge);
    const withoutProof = `c=biws,r=${r}`;
    this.message = `${this.bare},${challenge},${withoutProof}`;
    this.salted = pbkdf2Sync(password, Buffer.from(s, "base64"), Number(i), 32, "sha256");
    const clientKey = hmac(this.salted, "Client Key");
    const storedKey = createHash("sha256").update(clientKey).digest();
    const proof = xor(clientKey, hmac(storedKey, this.message));
    return Buffer.from(`${withoutProof},p=${proof.toString("base64")}`);
  }

  check(answer) {
    const expected = hmac(hmac(this.salted, "Server Key"), this.message).toString("base64");
    if (fields(answer).v !== expected) {
      end("the Server does not know the password", 1);
    }
  }
}

function fields(data) {
  return Object.fromEntries(`${data}`.split(",").map((field) => [field[0], field.slice(2)]));
}

function end(line, code) {
  console.log(line);
  process.exit(code);
}

let scram = new Scram();
const client = mqtt.connect({
  host: "127.0.0.1",
  port: Number(port),
  protocolVersion: 5,
  reconnectPeriod: 0,
  properties: { authenticationMethod: METHOD, authenticationData: scram.first() },
});

function auth(reasonCode, authenticationData) {
  const properties = { authenticationMethod: METHOD, authenticationData };
  return { cmd: "auth", reasonCode, properties };
}

client.handleAuth = (packet, callback) => {
  const data = packet.properties.authenticationData;
  if (packet.reasonCode === CONTINUE) {
    callback(null, auth(CONTINUE, scram.last(data)));
  } else {
    scram.check(data);
    end("again", 0);
  }
};
client.on("connect", (connack) => {
  scram.check(connack.properties.authenticationData);
  console.log("connected");
  scram = new Scram();
  client._sendPacket(auth(AGAIN, scram.first()));
});
client.on("error", (error) => end(`refused ${error.code}`, 0));
client.on("close", () => end("closed", 1));
