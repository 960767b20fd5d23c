"""One of a group: worker.py PORT VERSION FILTER. Prints each payload, then acknowledges it."""

import os
import sys

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

VERSIONS = {"3.1.1": paho.MQTTv311, "5.0": paho.MQTTv5}


def main():
    port, version, topic_filter = sys.argv[1:]
    client = paho.Client(
        CallbackAPIVersion.VERSION2, f"worker-{os.getpid()}", protocol=VERSIONS[version], manual_ack=True
    )

    def work(_client, _userdata, message):
        print(message.payload.decode())
        client.ack(message.mid, message.qos)

    client.on_connect = lambda *_: client.subscribe(topic_filter, qos=1)
    client.on_subscribe = lambda *_: print("ready")
    client.on_message = work
    client.connect("127.0.0.1", int(port))
    client.loop_forever()


if __name__ == "__main__":
    main()
