// Plays one scenario: run.mjs SCENARIO PORT VERSION...; run.mjs --list shows them all.

import * as crowds from "./crowds.mjs";
import * as messages from "./messages.mjs";
import * as sessions from "./sessions.mjs";
import * as subscriptions from "./subscriptions.mjs";
import { Broker, Failure } from "./harness.mjs";

const scenarios = { ...crowds, ...messages, ...sessions, ...subscriptions };
const [scenario, port, ...versions] = process.argv.slice(2);

async function play(version) {
  try {
    await scenarios[scenario](new Broker(Number(port), version));
  } catch (error) {
    const text = error instanceof Failure ? error.stack.replace(/^Error: /, "") : error.stack;
    console.log(`${scenario}, MQTT ${version}: ${text}`);
    process.exit(1);
  }
}

if (scenario === "--list") {
  console.log(Object.keys(scenarios).join("\n"));
} else {
  for (const version of versions) await play(version);
  process.exit(0); // the clients need not be asked
}
