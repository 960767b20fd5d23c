"""Many messages, many Retained Messages, many Clients."""

import json
import selectors

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from harness import LONG_WAIT_S, VERSIONS, Failure, expect, now_s, properties

MESSAGES = 10_000
ENTITIES = 2_000
CROWD = 500


def ten_thousand_arrive_in_order(broker):
    """10,000 messages a QoS from one publisher: none lost, doubled or out of order."""
    publisher, subscriber = broker.peer(), broker.peer()
    for qos in range(3):
        topic = broker.topic(f"order/{qos}")
        subscriber.subscribe(topic, qos=qos)
        for number in range(MESSAGES):
            publisher.start_publish(topic, str(number), qos)
        came = subscriber.payloads(MESSAGES, f"messages of QoS {qos}", LONG_WAIT_S)
        expect(f"QoS {qos} in order", came == [str(number) for number in range(MESSAGES)], True)


def home_assistant_starts(broker):
    """2,000 retained discovery messages reach whoever subscribes, in the middle of live traffic."""
    devices = broker.peer()
    configs = {}
    for number in range(ENTITIES):
        topic = broker.topic(f"homeassistant/sensor/node{number % 50}/entity{number}/config")
        configs[topic] = json.dumps(
            {"name": f"Entity {number}", "unique_id": f"id{number}", "about": "x" * 400}
        )
        devices.start_publish(topic, configs[topic], qos=number % 2, retain=True)
    devices.publish(broker.topic("homeassistant/done"), "all stored", qos=1)
    for qos in range(2):
        home = broker.peer()
        home.subscribe(broker.topic("homeassistant/status"), qos=qos)
        home.subscribe(*[broker.topic(f"state/node{number}/#") for number in range(50)], qos=qos)
        home.subscribe(broker.topic("homeassistant/+/+/+/config"), qos=qos)
        devices.start_publish(broker.topic("homeassistant/status"), "live", qos=1)
        came = {}
        while len(came) < ENTITIES + 1:
            message = home.message(f"{ENTITIES} discovery messages, {len(came)} came", LONG_WAIT_S)
            expect(f"{message.topic} comes once", message.topic in came, False)
            came[message.topic] = message.payload.decode()
        expect("the live message", came.pop(broker.topic("homeassistant/status")), "live")
        expect("all discovery messages are whole", came == configs, True)
        home.disconnect()


class _Crowd:
    """Clients driven by one selector, so that hundreds fit into one thread."""

    def __init__(self, broker):
        self.broker, self.selector = broker, selectors.DefaultSelector()
        self.clients = {}

    def add(self, name):
        options = {} if self.broker.has_properties else {"clean_session": False}
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            name,
            protocol=VERSIONS[self.broker.version],
            reconnect_on_failure=False,
            **options,
        )
        client.is_ready, client.came, client.present = False, [], False
        client.on_connect = self._on_connect
        client.on_subscribe = lambda client, *_: setattr(client, "is_ready", True)
        client.on_message = lambda client, _u, message: client.came.append(message.payload.decode())
        self.clients[name] = client

    def connect_all(self):
        values = {"SessionExpiryInterval": 600}
        for client in self.clients.values():
            client.is_ready = False
            options = {}
            if self.broker.has_properties:
                options = {"clean_start": False, "properties": properties("CONNECT", values)}
            client.connect("127.0.0.1", self.broker.port, 60, **options)
            self.selector.register(client.socket(), selectors.EVENT_READ, client)

    def break_all(self):
        for client in self.clients.values():
            self.selector.unregister(client.socket())
            client.socket().close()
            client._sock = None

    def run_until(self, is_true, what):
        """Drives all Clients until `is_true` holds for each."""
        deadline = now_s() + LONG_WAIT_S
        waiting = set(self.clients.values())
        while waiting:
            if now_s() > deadline:
                raise Failure(f"awaited {what} for {LONG_WAIT_S} s; {len(waiting)} of {CROWD} still wait")
            for key, _ in self.selector.select(timeout=0.1):
                client = key.data
                if client.loop_read() != paho.MQTT_ERR_SUCCESS:
                    raise Failure(f"{what}: the Server closed a connection")
                if is_true(client):
                    waiting.discard(client)
            for client in self.clients.values():
                if client.want_write():
                    client.loop_write()
            waiting = {client for client in waiting if not is_true(client)}

    def _on_connect(self, client, _userdata, flags, code, _properties):
        expect("CONNACK", code.value, 0)
        client.present = flags.session_present
        if client.present:
            client.is_ready = True
        else:
            client.subscribe(self.broker.topic(f"crowd/{client._client_id.decode()}"), qos=1)


def a_crowd_reconnects(broker):
    """500 Clients of one process lose their connections at once, three times, and miss no message."""
    crowd, publisher = _Crowd(broker), broker.peer()
    for number in range(CROWD):
        crowd.add(f"crowd{number}-{broker.version}")
    crowd.connect_all()
    crowd.run_until(lambda client: client.is_ready, "the first SUBACK")
    for storm in range(1, 4):
        crowd.break_all()
        mids = [
            publisher.start_publish(broker.topic(f"crowd/{name}"), f"while away {storm}", qos=1)
            for name in crowd.clients
        ]
        publisher.await_answers(mids, "PUBACK")
        crowd.connect_all()
        crowd.run_until(lambda client: client.is_ready and len(client.came) >= storm, f"storm {storm}")
    expected = [f"while away {storm}" for storm in range(1, 4)]
    for name, client in crowd.clients.items():
        expect(f"{name}: Session Present", bool(client.present), broker.version != "3.1")
        expect(f"{name}: messages, each once", list(dict.fromkeys(client.came)), expected)
