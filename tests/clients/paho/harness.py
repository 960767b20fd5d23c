"""A paho-mqtt client whose every wait has a bound and tells what was awaited and what came."""

import itertools
import os
import socket
import ssl
import struct
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

WAIT_S = 10
LONG_WAIT_S = 60
# The door of the Server: tcp, tls, ws or wss, and who has signed its certificate.
DOOR = os.environ.get("DUNLIN_DOOR", "tcp")
CA_FILE = os.environ.get("DUNLIN_CA_FILE")
VERSIONS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5.0": paho.MQTTv5}
_numbers = itertools.count(1)


class Failure(Exception):
    """What the Server did wrong, in a sentence."""


def expect(what, came, expected):
    """Fails unless `came` equals `expected`."""
    if came != expected:
        raise Failure(f"{what}: expected {expected!r}, came {came!r}")


def properties(packet, values):
    """The Properties of `packet` (a name in PacketTypes); keys as paho spells them."""
    result = Properties(getattr(PacketTypes, packet))
    for name, value in (values or {}).items():
        setattr(result, name, value)
    return result


class Will:
    """A Will Message."""

    def __init__(self, topic, payload, qos=1, retain=False, **values):
        self.topic, self.payload, self.qos, self.retain, self.values = topic, payload, qos, retain, values


class Broker:
    """Where the Server listens and which version is spoken."""

    def __init__(self, port, version):
        self.port, self.version = port, version
        self.has_properties = version == "5.0"
        self.changed = threading.Condition()  # something came at one of the peers

    def topic(self, rest):
        """A Topic Name or Filter of this version's own."""
        return f"v{self.version}/{rest}"

    def peer(self, client_id=None, **options):
        """A connected Client; `client_id` is made unique for this version."""
        return self.stranger(client_id, **options).connect()

    def stranger(self, client_id=None, **options):
        """A Client that has not connected yet."""
        return Peer(self, f"{client_id or 'c' + str(next(_numbers))}-{self.version}", **options)

    def let_seconds_pass(self, seconds):
        """Returns when a Will with this delay has come: the Server's own clock has gone on (5.0 only)."""
        topic = f"clock/{next(_numbers)}"
        watcher = self.peer()
        watcher.subscribe(topic, qos=1)
        delay = {"WillDelayInterval": seconds}
        dying = self.peer(session_expiry_s=seconds + 60, will=Will(topic, "now", **delay))
        dying.vanish()
        watcher.message(f"the Will after {seconds} s", within_s=seconds + WAIT_S)
        watcher.disconnect()


class Peer:
    """One Client. Nothing reconnects by itself."""

    def __init__(
        self,
        broker,
        client_id,
        clean=True,
        session_expiry_s=None,
        will=None,
        keep_alive_s=60,
        manual_ack=False,
        connect_properties=None,
    ):
        self.broker, self.clean, self.keep_alive_s, self.client_id = broker, clean, keep_alive_s, client_id
        self.values = dict(connect_properties or {})
        if session_expiry_s is not None and broker.has_properties:
            self.values["SessionExpiryInterval"] = session_expiry_s
        options = {} if broker.has_properties else {"clean_session": clean}
        if DOOR in ("ws", "wss"):
            options["transport"] = "websockets"
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=VERSIONS[broker.version],
            reconnect_on_failure=False,
            manual_ack=manual_ack,
            **options,
        )
        if DOOR in ("tls", "wss"):
            self.client.tls_set(ca_certs=CA_FILE, cert_reqs=ssl.CERT_REQUIRED)
        if will:
            self._set_will(will)
        self.changed = broker.changed
        self.connack = self.ended = None
        self.messages, self.taken, self.codes = [], 0, {}
        self.begun_s, self.noted_s = now_s(), {}
        client = self.client
        client.on_connect = lambda _c, _u, flags, code, props: self._note("connack", (flags, code, props))
        client.on_disconnect = lambda _c, _u, flags, code, props: self._note("ended", (flags, code, props))
        client.on_message = lambda _c, _u, message: self._take(message)
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._code(mid, codes)
        client.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._code(mid, codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._code(mid, code)

    def connect(self):
        """Connects and awaits CONNACK with Success."""
        code = self.try_connect()
        expect(f"{self.client_id}: the CONNACK", code.value, 0)
        return self

    def try_connect(self):
        """Connects and gives the Reason Code of the CONNACK."""
        options = {}
        if self.broker.has_properties:
            options = {"clean_start": self.clean, "properties": properties("CONNECT", self.values)}
        self.connack = self.ended = None
        self.client.connect("127.0.0.1", self.broker.port, self.keep_alive_s, **options)
        self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.loop_start()
        self._wait(lambda: self.connack or self.ended, "a CONNACK")
        if not self.connack:
            raise Failure(f"{self.client_id}: awaited a CONNACK, the Server closed: {self.ended}")
        return self.connack[1]

    @property
    def session_present(self):
        """Session Present of the last CONNACK."""
        return bool(self.connack[0].session_present)

    def subscribe(self, *filters, qos=0, identifier=None, **options):
        """Subscribes in one SUBSCRIBE, awaits SUBACK, gives the Reason Codes."""
        if self.broker.has_properties:
            entries = [(each, SubscribeOptions(qos=qos, **options)) for each in filters]
            values = {"SubscriptionIdentifier": identifier} if identifier else {}
            code, mid = self.client.subscribe(entries, properties=properties("SUBSCRIBE", values))
        else:
            code, mid = self.client.subscribe([(each, qos) for each in filters])
        self._expect_sent("subscribing", code)
        return [code.value for code in self._answer(mid, f"SUBACK for {filters[:3]}")]

    def unsubscribe(self, *filters):
        """Unsubscribes, awaits UNSUBACK, gives the Reason Codes (5.0)."""
        code, mid = self.client.unsubscribe(list(filters))
        self._expect_sent("unsubscribing", code)
        return [code.value for code in self._answer(mid, f"UNSUBACK for {filters}")]

    def publish(self, topic, payload, qos=0, retain=False, **values):
        """Publishes and, with QoS 1 and 2, awaits the last acknowledgement; gives its Reason Code."""
        mid = self.start_publish(topic, payload, qos, retain, **values)
        return self._answer(mid, f"the acknowledgement of {topic}").value

    def start_publish(self, topic, payload, qos=0, retain=False, **values):
        """Publishes without waiting; gives the Packet Identifier."""
        options = {"properties": properties("PUBLISH", values)} if self.broker.has_properties else {}
        info = self.client.publish(topic, payload, qos, retain, **options)
        self._expect_sent("publishing", info.rc)
        return info.mid

    def await_answers(self, mids, what):
        """Awaits the last acknowledgement of each of `mids`."""
        for mid in mids:
            self._answer(mid, what)

    def message(self, what="a message", within_s=WAIT_S):
        """The next message."""
        self._wait(lambda: len(self.messages) > self.taken, what, within_s)
        self.taken += 1
        return self.messages[self.taken - 1]

    def payloads(self, count, what="messages", within_s=WAIT_S):
        """The payloads of the next `count` messages, as text."""
        self._wait(lambda: len(self.messages) >= self.taken + count, f"{count} {what}", within_s)
        taken = self.messages[self.taken : self.taken + count]
        self.taken += count
        return [message.payload.decode() for message in taken]

    def expect_nothing_before(self, publisher, topic):
        """A mark on `topic`, sent by the same publisher as what must not come, is the next message."""
        mark = f"mark {next(_numbers)}"
        publisher.publish(topic, mark, qos=1)
        message = self.message("the mark")
        expect(f"{self.client_id}: nothing before the mark", message.payload.decode(), mark)

    def acknowledge(self, message):
        """Acknowledges a message (with manual_ack)."""
        self.client.ack(message.mid, message.qos)

    def disconnect(self, reason_code=None, **values):
        """Sends DISCONNECT and awaits the end."""
        options = {"properties": properties("DISCONNECT", values)} if values else {}
        if reason_code is not None:
            options["reasoncode"] = reason_code
        self.client.disconnect(**options)
        self._wait(lambda: self.ended, "the end after DISCONNECT")
        self.client.loop_stop()

    def vanish(self):
        """Breaks the Network Connection without DISCONNECT; the Server sees a reset."""
        sock = self._socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
        self._wait(lambda: self.ended, "the end of the broken connection")
        self.client.loop_stop()

    def await_end(self):
        """Awaits that the Server ends the Network Connection; the Reason Code of its DISCONNECT, or None."""
        self._wait(lambda: self.ended, "the end of the connection")
        flags, code, _ = self.ended
        self.client.loop_stop()
        return code.value if flags.is_disconnect_packet_from_server else None

    def await_all(self, is_true, what):
        """Awaits what concerns several peers of this Broker."""
        self._wait(is_true, what, LONG_WAIT_S)

    def _socket(self):
        """The socket below WebSocket, if that is spoken."""
        sock = self.client.socket()
        return getattr(sock, "_socket", sock) if DOOR in ("ws", "wss") else sock

    def _set_will(self, will):
        options = {}
        if self.broker.has_properties:
            options["properties"] = properties("WILLMESSAGE", will.values)
        self.client.will_set(will.topic, will.payload, will.qos, will.retain, **options)

    def _expect_sent(self, what, code):
        if code != paho.MQTT_ERR_SUCCESS:
            raise Failure(f"{self.client_id}: {what}: {paho.error_string(code)} ended: {self.ended}")

    def _note(self, name, value):
        with self.changed:
            self.noted_s[name] = now_s() - self.begun_s
            setattr(self, name, value)
            self.changed.notify_all()

    def _take(self, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def _code(self, mid, code):
        with self.changed:
            self.codes[mid] = code
            self.changed.notify_all()

    def _answer(self, mid, what):
        # No answer comes behind the end.
        self._wait(lambda: mid in self.codes or self.ended, what, LONG_WAIT_S)
        if mid not in self.codes:
            raise Failure(f"{self.client_id}: awaited {what}; {self._story()}")
        return self.codes.pop(mid)

    def _wait(self, is_true, what, within_s=WAIT_S):
        with self.changed:
            if self.changed.wait_for(is_true, timeout=within_s):
                return
            raise Failure(f"{self.client_id}: awaited {what} for {within_s} s; {self._story()}")

    def _story(self):
        """What happened to this Client so far."""
        came = [(m.topic, m.payload[:60]) for m in self.messages[-8:]]
        when = ", ".join(f"{name} after {seconds:.3f} s" for name, seconds in self.noted_s.items())
        return (
            f"{len(self.messages)} messages came, {self.taken} were awaited, the last {came}; "
            f"ended: {self.ended}; {when}; now {now_s() - self.begun_s:.3f} s"
        )


def now_s():
    """Seconds by a clock that never goes back."""
    return time.monotonic()
